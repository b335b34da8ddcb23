"""The running daemon where one runs, else its files."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from tickerd.cli.client import Client
from tickerd.cli.reach import Where, anywhere
from tickerd.state import StateDirectory


@click.command()
@anywhere
def command(where: Where, as_json: bool) -> None:
    """Says what it found."""
    place = where.place()
    click.echo(f"daemon {place.address}" if isinstance(place, Client) else f"files {place}")


def run(*words: str, **how: Any) -> Result:
    return CliRunner().invoke(command, words, **how)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Path]:
    """A state directory that this process holds, like a daemon."""
    with StateDirectory(tmp_path / "held") as directory:
        yield directory.path


def test_without_a_directory_the_daemon_is_asked() -> None:
    assert run().output == "daemon unix:/run/tickerd.sock\n"
    assert run("--socket", "/x").output == "daemon unix:/x\n"
    assert run("--url", "http://h:1", "--key", "k").output == "daemon http://h:1\n"
    assert run(env={"TICKERD_URL": "http://h:2"}).output == "daemon http://h:2\n"


def test_a_directory_that_nobody_holds_is_used_itself_and_that_is_said(tmp_path: Path) -> None:
    with StateDirectory(tmp_path):
        pass
    done = run("--state", str(tmp_path))
    assert (done.stdout, done.stderr) == (
        f"files {tmp_path}\n",
        f"in {tmp_path} itself: no tickerd runs on it\n",
    )


def test_the_daemon_that_holds_the_directory_is_asked_and_that_is_said(held: Path, fake_api: Any) -> None:
    done = run("--state", str(held), "--socket", fake_api.socket)
    assert done.stdout == f"daemon unix:{fake_api.socket}\n"
    assert done.stderr == f"asking the running tickerd (process {os.getpid()}) at unix:{fake_api.socket}\n"


def test_another_daemon_at_the_address_is_not_asked(held: Path, fake_api: Any) -> None:
    (held / "lock").write_text("1\n")
    done = run("--state", str(held), "--socket", fake_api.socket)
    assert (done.stdout, done.stderr) == (f"files {held}\n", f"in {held} itself: process 1 runs on it\n")


def test_a_daemon_without_an_api_leaves_the_files(held: Path) -> None:
    done = run("--state", str(held), "--socket", "/nowhere.sock")
    assert done.stdout == f"files {held}\n"


@pytest.mark.parametrize("text", ["", "x", "999999999"])
def test_a_lock_that_names_nobody_is_nobodys(tmp_path: Path, text: str) -> None:
    (tmp_path / "lock").write_text(text)
    assert run("--state", str(tmp_path)).stdout == f"files {tmp_path}\n"


def test_a_file_says_where_both_are(held: Path, fake_api: Any, tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    text = f"sources: {{demo: {{use: simulator}}}}\nstate: {{dir: '{held}'}}\n"
    file.write_text(f"{text}control: {{listen: 'unix:{fake_api.socket}'}}\n")
    assert run("-c", str(file)).stdout == f"daemon unix:{fake_api.socket}\n"
    narrowed = f"{text}control: {{listen: [{{address: 'unix:{fake_api.socket}', scopes: [status:read]}}]}}\n"
    file.write_text(narrowed)
    assert run("-c", str(file)).stdout == f"files {held}\n"  # it may do less there than in the files
    assert run("-c", str(file), "--socket", fake_api.socket).stdout == f"daemon unix:{fake_api.socket}\n"
    file.write_text(text)
    assert run("-c", str(file)).stdout == f"files {held}\n"


def test_it_is_said_once_where_to_look(held: Path) -> None:
    for words in (("-c", "x", "--state", str(held)), ("--url", "http://h:1", "--state", str(held))):
        assert run(*words).exit_code == 2
    assert run("--url", "http://h:1", "--socket", "/x").exit_code == 2
