"""The pepper: a secret in a file of its own, without which the digests of the state file are worth nothing.

The file has one pepper on each line, as 64 hexadecimal digits; the last is that of new keys. Whoever wants another
one adds a line; keys made before go on with theirs. Nothing is read from a pepper but a name and digests.
"""

import hmac
import os
import re
import secrets
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from tickerd.state.errors import StateError

FILE = "pepper"
_LINE = re.compile(r"[0-9a-f]{64}", re.ASCII)
_LONGEST = 2**16


class Peppers:
    """All peppers of a file, by name. They do not print.

    Args:
        peppers: at least one; the last is that of new keys.
    """

    def __init__(self, peppers: list[bytes]) -> None:
        self._by_name = {_name(pepper): pepper for pepper in peppers}
        self.newest = _name(peppers[-1])
        """Name of the one for new keys."""

    def __repr__(self) -> str:
        return f"Peppers({', '.join(self._by_name)})"

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def digest(self, text: str, name: str | None = None) -> bytes:
        """What is kept of a key. Under a pepper that is gone it is still a digest, just never the right one.

        Takes the same time for every name and every text of one length.
        """
        pepper = self._by_name.get(name or self.newest, self._by_name[self.newest])
        return hmac.digest(pepper, text.encode(), "sha256")


def open_peppers(directory: Path) -> Peppers:
    """The peppers of this state directory; the first is made if need be. Does file I/O.

    Raises:
        StateError: the file cannot be read or made, is open to others, or is damaged.
    """
    path = directory / FILE
    try:
        if not path.exists():
            _make(path)
        return Peppers(_read(path))
    except PermissionError:
        text = "may not be used by this user; run this as the daemon's user or as root"
        raise StateError(path, "unreachable", text) from None
    except OSError as error:
        if isinstance(error, StateError):
            raise
        raise StateError(path, "unreachable", f"cannot be used: {error.strerror}") from error


def write_private(path: Path, text: str) -> bool:
    """Make a file of mode 0600 that is there whole or not at all; False if there is one already.

    Root gives it to whom the directory belongs: the daemon has to read it.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with open(handle, "w", encoding="ascii") as out:  # noqa: PTH123 - a descriptor
            if os.geteuid() == 0:
                owner = path.parent.stat()
                os.fchown(handle, owner.st_uid, owner.st_gid)
            out.write(text)
            out.flush()
            os.fsync(handle)
        with suppress(FileExistsError):
            path.hardlink_to(fresh)  # unlike a rename it never replaces what somebody else has just made
            sync_directory(path.parent)
            return True
        return False
    finally:
        fresh.unlink()


def sync_directory(path: Path) -> None:
    """A power cut does not undo what was made or removed in it."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _make(path: Path) -> None:
    write_private(path, f"{secrets.token_hex(32)}\n")


def _read(path: Path) -> list[bytes]:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with open(handle, encoding="ascii", errors="replace") as file:  # noqa: PTH123 - a descriptor
        mode = os.fstat(handle).st_mode & 0o777
        text = file.read(_LONGEST)
    if mode & 0o077:
        raise StateError(path, "unreachable", f"others can read it (mode {mode:04o}); chmod 600 it")
    lines = text.split()
    if not lines or not all(map(_LINE.fullmatch, lines)):
        hint = "put it back from a backup, or delete it together with all keys"
        raise StateError(path, "damaged", f"does not hold lines of 64 hexadecimal digits; {hint}")
    return list(map(bytes.fromhex, lines))


def _name(pepper: bytes) -> str:
    """Not the pepper's own digest as anything else makes it, so that it helps nobody."""
    return sha256(b"tickerd pepper name\0" + pepper).hexdigest()[:8]
