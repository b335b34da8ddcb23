"""Questions to the daemon by files in its state directory, for commands on a host without a control API.

One file each, readable by the daemon's user and root alone. Everything here blocks.
"""

import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

FOLDER = "logins"
MOST_BYTES = 64 * 1024
MOST = 20
"""Questions that are answered at once; further ones wait for the next look."""
FORGOTTEN_AFTER_NS = 600 * 10**9
"""Age of files that nobody fetches any more."""
_LOOK_S = 0.05
_QUESTION, _ANSWER = ".question", ".answer"


class Question(msgspec.Struct, kw_only=True, frozen=True):
    """What a command wants of a source's login."""

    source: str
    verb: Literal["status", "begin", "finish"]
    given: dict[str, str] = {}
    """What is to be exchanged; may be secret."""
    uid: int = -1
    """Who asks."""

    def __repr__(self) -> str:
        return f"Question(source={self.source!r}, verb={self.verb!r})"


class Answer(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What the daemon says."""

    error: str | None = None
    """Why there is nothing else."""
    url: str | None = None
    user: str | None = None
    expires_ns: int | None = None
    logins: int = 0
    """How often somebody has logged in since the daemon's start."""


class NoAnswer(Exception):
    """The daemon does not look into this state directory; the text says what to do."""


def prepare(directory: Path) -> None:
    """Make the folder, for the daemon.

    Raises:
        OSError: it cannot be made.
    """
    folder = directory / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)


# -- the command's side ---------------------------------------------------------------------------------


def ask(directory: Path, question: Question, seconds: float) -> Answer:
    """Put a question and wait for the answer.

    Raises:
        NoAnswer: none came.
    """
    folder = directory / FOLDER
    path = folder / f"{secrets.token_hex(16)}{_QUESTION}"
    answer = path.with_suffix(_ANSWER)
    try:
        _write(path, msgspec.json.encode(question))
        for _ in range(max(1, round(seconds / _LOOK_S))):
            with suppress(FileNotFoundError):
                return msgspec.json.decode(_read(answer), type=Answer)
            threading.Event().wait(_LOOK_S)
    except FileNotFoundError:
        raise NoAnswer(f"{directory}: no tickerd with a source that logs in has run here") from None
    except PermissionError:
        raise NoAnswer(
            f"{folder}: you may not write there; be the user that tickerd runs as, or root"
        ) from None
    except (OSError, msgspec.MsgspecError) as error:
        raise NoAnswer(f"{folder}: {getattr(error, 'strerror', None) or 'damaged answer'}") from None
    finally:
        for file in (path, answer):
            with suppress(OSError):
                file.unlink()
    raise NoAnswer(f"no tickerd answers in {directory}: is it running?")


# -- the daemon's side ----------------------------------------------------------------------------------


def waiting(directory: Path, now_ns: int) -> list[tuple[str, Question]]:
    """Take the questions that wait, at most `MOST`; each is handed out once.

    Raises:
        OSError: the folder cannot be read.
    """
    taken: list[tuple[str, Question]] = []
    for path in _files(directory / FOLDER, now_ns):
        if path.suffix == _QUESTION and len(taken) < MOST:
            with suppress(OSError, msgspec.MsgspecError):
                taken.append((path.stem, msgspec.json.decode(_taken(path), type=Question)))
    return taken


def answer(directory: Path, name: str, given: Answer) -> None:
    """Answer the question of that name.

    Raises:
        OSError: it cannot be written.
    """
    _write(directory / FOLDER / f"{name}{_ANSWER}", msgspec.json.encode(given))


def _files(folder: Path, now_ns: int) -> Iterator[Path]:
    """Oldest first; forgotten ones are removed."""
    for path in sorted(folder.iterdir()):
        with suppress(OSError):
            if now_ns - path.stat().st_mtime_ns > FORGOTTEN_AFTER_NS:
                path.unlink()
            else:
                yield path


def _taken(path: Path) -> bytes:
    try:
        return _read(path)
    finally:
        path.unlink()


def _read(path: Path) -> bytes:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        return file.read(MOST_BYTES)


def _write(path: Path, data: bytes) -> None:
    """As a whole, for the owner of the folder."""
    owner = path.parent.stat()
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        if os.geteuid() == 0:
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        file.write(data)
    fresh.replace(path)
