"""Every call the journal makes to the operating system, in one small class that a test can replace."""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""Nonblocking, so that a named pipe in the way is an error at once instead of waited for."""
_MOST_BUFFERS = 1024
"""IOV_MAX of Linux."""
MODE = 0o640


class Found(NamedTuple):
    """One file of the journal's directory."""

    name: str
    size: int


class Room(NamedTuple):
    """Of a file system, in bytes."""

    total: int
    free: int
    """What this user may still use."""


class Files:
    """Plain blocking file calls, all of which raise ``OSError``. No symbolic link in the last place is followed."""

    def make_directory(self, path: Path) -> None:
        """Make a directory and those above it, if need be."""
        path.mkdir(mode=0o750, parents=True, exist_ok=True)

    def open_append(self, path: Path) -> int:
        """Open a file for writing at its end, making it if need be; the caller closes it."""
        return os.open(path, _APPEND, MODE)

    def open_read(self, path: Path) -> int:
        """Open a file for reading; the caller closes it."""
        file = os.open(path, _READ)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise OSError(f"{path} is not a regular file")
        return file

    def close(self, file: int) -> None:
        """Close."""
        os.close(file)

    def writev(self, file: int, buffers: Sequence[bytes]) -> int:
        """Write all of it, one after the other; how many bytes that was.

        Raises:
            OSError: some of it may have been written; `truncate` undoes that.
        """
        total = 0
        for start in range(0, len(buffers), _MOST_BUFFERS):
            part = buffers[start : start + _MOST_BUFFERS]
            size = sum(map(len, part))
            written = os.writev(file, part)
            if written < size:  # a signal, or the disk is filling up: the next call tells which
                self._write(file, memoryview(b"".join(part))[written:])
            total += size
        return total

    def _write(self, file: int, rest: memoryview) -> None:
        while rest:
            rest = rest[os.write(file, rest) :]

    def pread(self, file: int, size: int, offset: int) -> bytes:
        """At most that many bytes from there; fewer only at the end of the file."""
        data = os.pread(file, size, offset)
        if len(data) == size or not data:
            return data
        parts = [data]
        while data and size > (have := sum(map(len, parts))):
            data = os.pread(file, size - have, offset + have)
            parts.append(data)
        return b"".join(parts)

    def size(self, file: int) -> int:
        """Bytes in an open file."""
        return os.fstat(file).st_size

    def truncate(self, file: int, size: int) -> None:
        """Cut an open file to that size."""
        os.ftruncate(file, size)

    def cut(self, path: Path, size: int) -> None:
        """Cut a file to that size, and wait until that would survive a power cut."""
        file = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.ftruncate(file, size)
            os.fsync(file)
        finally:
            os.close(file)

    def sync(self, file: int) -> None:
        """Wait until what was written would survive a power cut."""
        os.fdatasync(file)

    def sync_directory(self, path: Path) -> None:
        """The same for the names in a directory."""
        file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(file)
        finally:
            os.close(file)

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name, in place of what had that name before."""
        old.rename(new)

    def remove(self, path: Path) -> None:
        """Delete a file, if it is there."""
        path.unlink(missing_ok=True)

    def list(self, directory: Path) -> list[Found]:
        """Its regular files, in no order; what vanishes meanwhile is left out.

        Raises:
            FileNotFoundError: there is no such directory.
        """
        found = []
        with os.scandir(directory) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        found.append(Found(entry.name, status.st_size))
        return found

    def room(self, directory: Path) -> Room:
        """Of the file system that this directory lies on."""
        status = os.statvfs(directory)
        return Room(status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize)


@contextmanager
def reading(files: Files, path: Path) -> Iterator[int]:
    """An open file that is closed at the end."""
    file = files.open_read(path)
    try:
        yield file
    finally:
        files.close(file)
