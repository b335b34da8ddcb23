"""`tickerd backup` and `tickerd restore`."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from tickerd.cli.backup import backup, restore
from tickerd.cli.keys import keys

YAML = """
sources: {{demo: {{use: simulator}}}}
auth: {{keys: {{use: api_key}}}}
state: {{dir: '{0}'}}
journal: {{min_free: 1MiB}}
"""


def run(command, *words, code=0):
    result = CliRunner().invoke(command, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result


def daemon(file):
    command = [sys.executable, "-m", "tickerd", "run", "-c", str(file), "--for", "300ms"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.fixture
def file(tmp_path):
    """A configuration whose daemon has run, with a key."""
    home = tmp_path / "etc"
    (home / "conf.d").mkdir(parents=True)
    (home / "tickerd.yaml").write_text(YAML.format(tmp_path / "state"))
    (home / "conf.d" / "more.yaml").write_text("log: {level: debug}\n")
    (home / "conf.d" / ".hidden.yaml").write_text("broken: [")
    daemon(home / "tickerd.yaml")
    return home / "tickerd.yaml"


def test_from_one_machine_to_an_empty_one_and_the_daemon_runs_there(tmp_path, file):
    made = run(
        keys, "create", "charts", "--scope", "ticks:read", "--state", tmp_path / "state"
    ).stdout.strip()
    result = run(backup, "-c", file, tmp_path / "b.tar")
    assert "keep it as secret as the state directory" in result.stderr
    assert "whole; " in run(restore, "--check", tmp_path / "b.tar").output
    new, home = tmp_path / "new", tmp_path / "newetc"
    said = run(restore, "--state", new, "--config-dir", home, tmp_path / "b.tar").output
    assert f"the configuration is in {home}" in said
    assert (home / "conf.d" / "more.yaml").exists()
    (home / "tickerd.yaml").write_text(YAML.format(new))
    log = daemon(home / "tickerd.yaml")
    assert "moved aside" not in log
    (shown,) = [
        one
        for one in json.loads(run(keys, "list", "--state", new, "--json").stdout)["keys"]
        if one["label"] == "charts"
    ]
    assert shown["id"] in made
    assert (new / "epoch").read_text() == "1002\n"


def test_json_says_the_same(tmp_path, file):
    made = json.loads(run(backup, "--state", tmp_path / "state", "--json", tmp_path / "b.tar").output)
    assert made["config_file"] is None
    assert json.loads(run(restore, "--check", "--json", tmp_path / "b.tar").output) == made
    done = json.loads(run(restore, "--state", tmp_path / "new", "--json", tmp_path / "b.tar").output)
    assert (done["epoch"], done["moved_aside"]) == (made["epoch"] + 1000, None)


def test_what_cannot_be_done_is_told(tmp_path, file):
    run(backup, "-c", file, tmp_path / "b.tar")
    assert "never replaces another" in run(backup, "-c", file, tmp_path / "b.tar", code=1).output
    assert "say what to back up" in run(backup, tmp_path / "c.tar", code=2).output
    assert "say where it shall go" in run(restore, tmp_path / "b.tar", code=2).output
    assert "is not empty" in run(restore, "--state", tmp_path / "state", tmp_path / "b.tar", code=1).output
    said = run(restore, "--state", tmp_path / "state", "--force", tmp_path / "b.tar").output
    assert "what was there is in" in said
    assert "stayed in the backup; --config-dir" in said
    assert "No such file" in run(restore, "--check", tmp_path / "nothing.tar", code=1).output


@pytest.mark.full
def test_the_file_of_the_calendar_is_taken_along(tmp_path, file):
    (tmp_path / "days.yaml").write_text("{}\n")
    with file.open("a") as out:
        out.write(f"calendar: {{overrides: '{tmp_path / 'days.yaml'}'}}\n")
    made = json.loads(run(backup, "-c", file, "--json", tmp_path / "b.tar").stdout)
    assert "config/elsewhere/days.yaml" in [one["name"] for one in made["files"]]
