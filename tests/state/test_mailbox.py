"""Questions and answers by files in the state directory."""

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tickerd.state import mailbox
from tickerd.state.mailbox import Answer, NoAnswer, Question

QUESTION = Question(source="kite", verb="finish", given={"request_token": "SECRET"}, uid=7)
NOW_NS = 10**18


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    mailbox.prepare(tmp_path)
    return tmp_path / mailbox.FOLDER


@pytest.fixture
def now(folder: Path) -> Callable[[], int]:
    """As the file system sees it."""

    def read() -> int:
        probe = folder / "probe"
        probe.touch()
        ns = probe.stat().st_mtime_ns
        probe.unlink()
        return ns

    return read


def put(folder: Path, question: Question = QUESTION, name: str = "a") -> Path:
    path = folder / f"{name}.question"
    mailbox._write(path, mailbox.msgspec.json.encode(question))
    return path


def test_a_question_is_answered(tmp_path: Path, folder: Path, now: Callable[[], int]) -> None:
    seen: list[Question] = []

    def daemon() -> None:
        while not seen:
            for name, question in mailbox.waiting(tmp_path, now()):
                seen.append(question)
                mailbox.answer(tmp_path, name, Answer(user="AB1234", logins=1))

    thread = threading.Thread(target=daemon)
    thread.start()
    try:
        answer = mailbox.ask(tmp_path, QUESTION, 10)
    finally:
        seen.append(QUESTION)
        thread.join()
    assert (answer.user, answer.logins, answer.error) == ("AB1234", 1, None)
    assert seen[0] == QUESTION
    assert list(folder.iterdir()) == []


def test_a_question_is_handed_out_once(tmp_path: Path, folder: Path, now: Callable[[], int]) -> None:
    put(folder)
    assert mailbox.waiting(tmp_path, now()) == [("a", QUESTION)]
    assert mailbox.waiting(tmp_path, now()) == []


def test_nobody_else_can_read_it(tmp_path: Path, folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(put(folder).stat().st_mode) == 0o600
    folder.chmod(0o755)
    mailbox.prepare(tmp_path)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_it_does_not_print_what_is_secret() -> None:
    assert "SECRET" not in repr(QUESTION)


def test_nonsense_and_links_are_passed_over(tmp_path: Path, folder: Path, now: Callable[[], int]) -> None:
    (folder / "1.question").write_text("nonsense")
    (folder / "2.question").mkdir()
    secret = tmp_path / "secret"
    secret.write_text('{"source":"kite","verb":"status"}')
    (folder / "3.question").symlink_to(secret)
    (folder / "4.question").write_text(" " * (mailbox.MOST_BYTES + 1))
    put(folder, name="5")
    assert [name for name, _ in mailbox.waiting(tmp_path, now())] == ["5"]
    assert secret.exists()


def test_a_pipe_does_not_hold_the_daemon_up(tmp_path: Path, folder: Path, now: Callable[[], int]) -> None:
    os.mkfifo(folder / "1.question")
    assert mailbox.waiting(tmp_path, now()) == []


def test_what_nobody_fetches_is_removed(tmp_path: Path, folder: Path, now: Callable[[], int]) -> None:
    mailbox.answer(tmp_path, "old", Answer())
    put(folder, name="old")
    assert mailbox.waiting(tmp_path, now() + mailbox.FORGOTTEN_AFTER_NS + 10**9) == []
    assert list(folder.iterdir()) == []


def test_so_many_at_once_and_the_rest_later(tmp_path: Path, folder: Path, now: Callable[[], int]) -> None:
    for number in range(mailbox.MOST + 3):
        put(folder, name=f"{number:03}")
    assert len(mailbox.waiting(tmp_path, now())) == mailbox.MOST
    assert len(mailbox.waiting(tmp_path, now())) == 3


def test_no_daemon_is_told_and_leaves_nothing_behind(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(NoAnswer, match="is it running"):
        mailbox.ask(tmp_path, QUESTION, 0.1)
    assert list(folder.iterdir()) == []


def test_a_directory_in_which_none_has_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoAnswer, match="has run here"):
        mailbox.ask(tmp_path, QUESTION, 0.1)


@pytest.mark.parametrize(
    ("error", "words"), [(PermissionError(13, "denied"), "be the user"), (OSError(28, "full"), "full")]
)
def test_what_cannot_be_written_is_told(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, words: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(mailbox, "_write", fail)
    with pytest.raises(NoAnswer, match=words):
        mailbox.ask(tmp_path, QUESTION, 0.1)


@pytest.mark.root
def test_roots_question_belongs_to_the_daemons_user(tmp_path: Path, folder: Path) -> None:
    os.chown(folder, 12345, 12345)
    assert put(folder).stat().st_uid == 12345
