"""Reads one small text file completely, or says in a few words why that cannot be done."""

import os
from pathlib import Path


class Unreadable(Exception):
    """A file cannot be used; the text says why, without the file's name or content.

    Args:
        text: what is wrong.
        data: what was read, when the problem lies in the content.
        offset: of the first wrong byte in ``data``.
    """

    def __init__(self, text: str, data: bytes = b"", offset: int = 0) -> None:
        super().__init__(text)
        self.data = data
        self.offset = offset


def read_bytes(path: Path, limit: int) -> bytes:
    """At most ``limit`` bytes; reads no further than that, whatever the file is.

    Raises:
        Unreadable: it cannot be opened or read, or is larger.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except FileNotFoundError:
        raise Unreadable("no such file") from None
    except IsADirectoryError:
        raise Unreadable("is a directory, expected a file") from None
    except PermissionError:
        raise Unreadable(f"permission denied for user id {os.geteuid()}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else None
        raise Unreadable(f"cannot be read: {(reason or 'not a valid path').lower()}") from None
    if len(data) > limit:
        raise Unreadable(f"is larger than {_size(limit)}")
    return data


def read_text(path: Path, limit: int) -> str:
    """The same as text in UTF-8, a byte-order mark left out.

    Raises:
        Unreadable: also for content that is no text.
    """
    return decode(read_bytes(path, limit))


def decode(data: bytes) -> str:
    """UTF-8 bytes as text, a byte-order mark left out.

    Raises:
        Unreadable: it is something else.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Unreadable("is UTF-16 text, expected UTF-8")
    if b"\0" in data:
        raise Unreadable("is a binary file, expected text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable("is not UTF-8 text from here on", data, error.start) from None


def _size(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count >> 10} KiB"
