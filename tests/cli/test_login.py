"""`tickerd login`."""

import io
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from tickerd.cli import login as module
from tickerd.cli.login import login
from tickerd.state import StateDirectory, mailbox
from tickerd.state.mailbox import Answer, Question

PATH = "/v1/sources/kite/login"
URL = "https://broker/login?state=S"
BEGUN = {"source": "kite", "url": URL, "url_until_ns": 9, "user": None, "expires_ns": None, "logins": 0}
DONE = {**BEGUN, "url": None, "user": "AB1234", "expires_ns": 1_768_437_000 * 10**9, "logins": 1}


@pytest.fixture(autouse=True)
def in_india(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times are shown as the host has them."""
    import time

    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def run(fake_api: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    monkeypatch.setattr(module, "WAIT_S", 0.1)

    def running(*words: str, **how: Any) -> Result:
        return CliRunner().invoke(login, ["kite", "--socket", fake_api.socket, *words], **how)

    return running


def bodies(fake_api: Any) -> list[Any]:
    return [json.loads(one[3]) for one in fake_api.asked if one[0] == "POST"]


def test_the_address_is_printed(run: Callable[..., Result], fake_api: Any) -> None:
    fake_api.answers[PATH] = (200, BEGUN)
    done = run("--no-wait")
    assert (done.exit_code, done.stdout) == (0, f"{URL}\n")
    assert bodies(fake_api) == [{}]
    assert json.loads(run("--no-wait", "--json").stdout) == {"source": "kite", "url": URL}


def test_the_address_is_opened(
    run: Callable[..., Result], fake_api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_api.answers[PATH] = (200, BEGUN)
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or False)
    assert "no browser" in run("--no-wait", "--open").stderr
    assert opened == [URL]


@pytest.fixture
def paste(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Makes this stand on standard input, and then its end."""
    files: list[Any] = []

    def pasting(text: str) -> None:
        read, write = os.pipe()
        os.write(write, text.encode())
        os.close(write)
        files.append(os.fdopen(read, encoding="utf-8"))
        monkeypatch.setattr(module, "_stdin", lambda: files[-1])

    yield pasting
    for file in files:
        file.close()


def test_what_is_pasted_is_handed_over(
    run: Callable[..., Result], fake_api: Any, paste: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = iter([(200, BEGUN), (200, DONE)])
    monkeypatch.setattr(fake_api, "answers", _Each(replies))
    paste("\nhttp://127.0.0.1/?request_token=R&status=success\n")
    monkeypatch.setattr(module._ByApi, "status", lambda _: module.Standing())
    done = run()
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{URL}\nkite is logged in as AB1234, until 2026-01-15 06:00+05:30\n"
    assert bodies(fake_api) == [{}, {"redirected": "http://127.0.0.1/?request_token=R&status=success"}]


class _Each:
    """Answers in turn."""

    def __init__(self, replies: Iterator[Any]) -> None:
        self._replies = replies

    def get(self, path: str, default: Any) -> Any:
        assert path == PATH
        return next(self._replies, default)


def test_a_callback_ends_the_wait(
    run: Callable[..., Result], fake_api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    standing = {**DONE, "logins": 3}
    replies = iter([(200, {**BEGUN, "logins": 2}), (200, {**BEGUN, "logins": 2}), (200, standing)])
    monkeypatch.setattr(fake_api, "answers", _Each(replies))
    monkeypatch.setattr(module, "_stdin", io.StringIO)
    done = run("--json")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"source": "kite", "url": URL},
        {"source": "kite", "user": "AB1234", "expires_ns": DONE["expires_ns"]},
    ]


def test_nobody_is_waited_for_without_end(run: Callable[..., Result], fake_api: Any, paste: Any) -> None:
    fake_api.answers[PATH] = (200, BEGUN)
    paste("")
    done = run()
    assert done.exit_code == 1
    assert "nobody has logged in within" in done.stderr


def test_a_refusal_is_shown(run: Callable[..., Result], fake_api: Any) -> None:
    fake_api.answers[PATH] = (422, {"type": "x", "title": "invalid value", "detail": "log in again"})
    done = run()
    assert (done.exit_code, done.stderr) == (1, "Error: invalid value: log in again\n")


class TestTokenFile:
    def test_the_token_in_it_is_handed_over(
        self, run: Callable[..., Result], fake_api: Any, tmp_path: Path
    ) -> None:
        path = tmp_path / "token"
        path.write_text("TOKEN\n")
        fake_api.answers[PATH] = (200, DONE)
        done = run("--access-token-file", str(path), "--no-wait")
        assert done.stdout == "kite is logged in as AB1234, until 2026-01-15 06:00+05:30\n"
        assert bodies(fake_api) == [{"access_token": "TOKEN"}]

    @pytest.mark.parametrize(
        ("content", "words"), [(None, "No such file"), (b"", "is empty"), (b"\xff", "not UTF-8")]
    )
    def test_a_file_that_holds_none_is_told(
        self, run: Callable[..., Result], tmp_path: Path, content: bytes | None, words: str
    ) -> None:
        path = tmp_path / "token"
        if content is not None:
            path.write_bytes(content)
        done = run("--access-token-file", str(path), "--no-wait")
        assert done.exit_code == 1
        assert words in done.stderr

    def test_each_new_one_is_handed_over_until_it_is_stopped(
        self, run: Callable[..., Result], fake_api: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "token"
        contents = iter([None, "ONE", "ONE", "BAD", "TWO"])
        refused = (422, {"type": "x", "title": "invalid value", "detail": "log in again"})
        replies = iter([(200, DONE), refused, (200, DONE)])
        monkeypatch.setattr(fake_api, "answers", _Each(replies))
        real = module._token

        def token(*args: Any, **how: Any) -> str:
            content = next(contents, "stop")
            if content == "stop":
                raise KeyboardInterrupt
            if content is not None:
                path.write_text(content)
            return real(*args, **how)

        monkeypatch.setattr(module, "_token", token)
        done = run("--access-token-file", str(path))
        assert [body["access_token"] for body in bodies(fake_api)] == ["ONE", "BAD", "TWO"]
        assert done.stdout.count("is logged in") == 2
        assert "log in again" in done.stderr

    def test_a_daemon_that_is_gone_ends_it(
        self, run: Callable[..., Result], fake_api: Any, tmp_path: Path
    ) -> None:
        path = tmp_path / "token"
        path.write_text("TOKEN")
        fake_api.answers[PATH] = (403, {"type": "x", "title": "not allowed"})
        assert run("--access-token-file", str(path)).exit_code == 1


class TestState:
    """Without a control API, by files."""

    @pytest.fixture
    def held(self, tmp_path: Path) -> Iterator[Path]:
        with StateDirectory(tmp_path / "held") as directory:
            mailbox.prepare(directory.path)
            yield directory.path

    @pytest.fixture
    def daemon(self, held: Path) -> Iterator[Callable[[Callable[[Question], Answer]], list[Question]]]:
        """Answers questions in a thread."""
        stop, threads = threading.Event(), []

        def start(answered: Callable[[Question], Answer]) -> list[Question]:
            seen: list[Question] = []

            def work() -> None:
                while not stop.wait(0.01):
                    now = (held / "lock").stat().st_mtime_ns
                    for name, question in mailbox.waiting(held, now):
                        seen.append(question)
                        mailbox.answer(held, name, answered(question))

            threads.append(threading.Thread(target=work))
            threads[-1].start()
            return seen

        yield start
        stop.set()
        for thread in threads:
            thread.join()

    def invoke(self, held: Path, *words: str) -> Result:
        nowhere = str(held / "no.sock")
        return CliRunner().invoke(login, ["kite", "--state", str(held), "--socket", nowhere, *words])

    def test_the_address_and_the_end_come_that_way(self, held: Path, daemon: Any, paste: Any) -> None:
        def answered(question: Question) -> Answer:
            if question.verb == "begin":
                return Answer(url=URL)
            return Answer(user="AB1234", expires_ns=DONE["expires_ns"], logins=1)

        seen = daemon(answered)
        paste("request_token=R\n")
        done = self.invoke(held)
        assert done.exit_code == 0, done.output
        assert done.stdout == f"{URL}\nkite is logged in as AB1234, until 2026-01-15 06:00+05:30\n"
        finish = next(question for question in seen if question.verb == "finish")
        assert finish.given == {"request_token": "R"}
        assert finish.uid == os.getuid()

    def test_what_the_daemon_refuses_is_shown(self, held: Path, daemon: Any) -> None:
        daemon(lambda _: Answer(error="no source 'kite' that logs in; there is none"))
        done = self.invoke(held)
        assert done.exit_code == 1
        assert "no source 'kite' that logs in" in done.stderr

    def test_a_daemon_that_does_not_answer_is_told(self, held: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        real = mailbox.ask
        monkeypatch.setattr(mailbox, "ask", lambda place, question, _: real(place, question, 0.1))
        done = self.invoke(held, "--no-wait")
        assert done.exit_code == 1
        assert "no tickerd answers" in done.stderr

    def test_what_is_no_address_is_not_sent(self, held: Path) -> None:
        with pytest.raises(click.ClickException, match="paste"):
            module._ByState(held, "kite").finish("redirected", "http://[x")
