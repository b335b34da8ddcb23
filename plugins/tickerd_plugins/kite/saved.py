"""The login of the day on disk, readable by nobody else, so that a restart needs no second one. Blocks."""

import os
from contextlib import suppress
from pathlib import Path

import msgspec

FILE = "login.json"
LONGEST = 64 * 1024


class SavedLogin(msgspec.Struct, kw_only=True, frozen=True):
    """A login that was exchanged, or a token that somebody handed over."""

    api_key: str
    """Of the app that it belongs to: a token works with no other."""
    access_token: str
    user_id: str
    since_ns: int
    """When the login was made, nanoseconds since 1970 UTC."""

    def __repr__(self) -> str:
        return f"SavedLogin(user_id={self.user_id!r}, since_ns={self.since_ns})"


def load(directory: Path) -> SavedLogin | None:
    """The login that was saved last, None where there is none.

    Raises:
        OSError: the file cannot be read.
        ValueError: it does not hold a login; the text does not show what it holds.
    """
    try:
        with (directory / FILE).open("rb") as file:
            raw = file.read(LONGEST)
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(raw, type=SavedLogin)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise ValueError(f"{directory / FILE} does not hold a login; log in again") from None


def save(directory: Path, login: SavedLogin) -> None:
    """Replace it as a whole, on disk before this returns.

    Raises:
        OSError: it cannot be written.
    """
    path = directory / FILE
    fresh = path.with_suffix(".new")
    with suppress(FileNotFoundError):
        fresh.unlink()
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.encode(login))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    directory_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory_fd)
    finally:
        os.close(directory_fd)
