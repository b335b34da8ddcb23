"""Every call the file sink makes to the operating system, in one small class that a test can replace."""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
"""Nonblocking, so that a named pipe in the way is refused at once instead of waited for."""

REASONS = {
    errno.ENOSPC: "disk full",
    errno.EDQUOT: "disk quota used up",
    errno.EROFS: "read-only file system",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENOENT: "directory missing",
    errno.EMFILE: "too many open files",
    errno.ENFILE: "too many open files",
    errno.EIO: "input/output error",
    errno.ESTALE: "input/output error",
    errno.ELOOP: "a symbolic link is in the way",
    errno.ENOTDIR: "a symbolic link or a file is in the way",
    errno.EISDIR: "a directory is in the way",
    errno.ENXIO: "not a regular file",
    errno.ETXTBSY: "in use by another writer",
    errno.EFBIG: "file too large",
}


def reason_of(error: OSError) -> str:
    """A short constant phrase for logs, counters and status; names no path."""
    return REASONS.get(error.errno or 0, "file error")


class Identity(NamedTuple):
    """What tells one file from another that took its name."""

    device: int
    inode: int


class Found(NamedTuple):
    """One file below the root."""

    path: str
    size: int
    mtime_ns: int


class Disk:
    """Plain blocking file calls, all of which raise ``OSError``. Paths are relative to a root directory.

    A file is reached from the root one name at a time and no symbolic link is followed on the way, so that
    whatever somebody plants below the root, nothing outside of it is ever touched. The root itself may be
    reached through links: that is the administrator's choice.
    """

    def folder(self, root: str, parts: list[str], *, make: bool) -> int:
        """Open a directory below the root; the caller closes it. Missing ones are made if asked for."""
        if make:
            Path(root).mkdir(mode=0o750, parents=True, exist_ok=True)
        fd = os.open(root, _DIRECTORY)
        try:
            for part in parts:
                inner = self._enter(fd, part, make=make)
                os.close(fd)
                fd = inner
        except OSError:
            os.close(fd)
            raise
        return fd

    def _enter(self, fd: int, part: str, *, make: bool) -> int:
        if make:
            with suppress(FileExistsError):
                os.mkdir(part, 0o750, dir_fd=fd)
        return os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)

    def open(self, root: str, path: str, *, make: bool = True) -> int:
        """Open a file for reading and writing, locked against others; it and its directories are made if need be."""
        *parts, name = path.split("/")
        folder = self.folder(root, parts, make=make)
        try:
            fd = os.open(name, _FILE | os.O_CREAT if make else _FILE, 0o640, dir_fd=folder)
        finally:
            os.close(folder)
        try:
            self._claim(fd)
        except OSError:
            os.close(fd)
            raise
        return fd

    def _claim(self, fd: int) -> None:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.ENXIO, "not a regular file")
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError(errno.ETXTBSY, "another process or sink writes this file") from None
        except OSError as error:
            # file systems without locks are used without
            if error.errno not in {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS}:
                raise

    def close(self, fd: int) -> None:
        """Close."""
        os.close(fd)

    def write(self, fd: int, data: bytes, offset: int) -> None:
        """All of it, at that offset; on an error some of it may have been written."""
        view = memoryview(data)
        while view:
            written = os.pwrite(fd, view, offset)
            view, offset = view[written:], offset + written

    def read(self, fd: int, length: int, offset: int) -> bytes:
        """At most that many bytes from there."""
        return os.pread(fd, length, offset)

    def truncate(self, fd: int, length: int) -> None:
        """Cut to that length."""
        os.ftruncate(fd, length)

    def sync(self, fd: int) -> None:
        """Wait until what was written would survive a power cut."""
        os.fsync(fd)

    def sync_folder(self, root: str, path: str) -> None:
        """The same for the names of a new file and of the directories above it, up to the root."""
        parts = path.split("/")[:-1]
        for depth in range(len(parts), -1, -1):
            fd = self.folder(root, parts[:depth], make=False)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def sync_above(self, root: str) -> None:
        """The same for the name of the root itself, as far as the directories above it let us."""
        for folder in Path(root).absolute().parents:
            with suppress(OSError):
                fd = os.open(folder, _DIRECTORY)
                try:
                    os.fsync(fd)
                finally:
                    os.close(fd)

    def identify(self, fd: int) -> tuple[Identity, int]:
        """Which file this is, and its size."""
        status = os.fstat(fd)
        return Identity(status.st_dev, status.st_ino), status.st_size

    def look(self, root: str, path: str) -> tuple[Identity, int] | None:
        """Which file has this name now, and its size; None when there is none."""
        try:
            status = os.lstat(f"{root}/{path}")
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Identity(status.st_dev, status.st_ino), status.st_size

    def names(self, root: str, folder: str) -> list[str]:
        """The names in a directory below the root; empty when it does not exist."""
        try:
            fd = self.folder(root, [part for part in folder.split("/") if part], make=False)
        except FileNotFoundError:
            return []
        try:
            return os.listdir(fd)  # noqa: PTH208 - pathlib cannot list a descriptor
        finally:
            os.close(fd)

    def walk(self, root: str) -> Iterator[Found]:
        """All regular files below the root, no link followed; what vanishes meanwhile is left out."""
        for folder, _, names, fd in os.fwalk(root, follow_symlinks=False):
            prefix = os.path.relpath(folder, root) + "/"
            for name in names:
                with suppress(FileNotFoundError):
                    status = os.lstat(name, dir_fd=fd)
                    if stat.S_ISREG(status.st_mode):
                        yield Found((prefix + name).removeprefix("./"), status.st_size, status.st_mtime_ns)

    def remove(self, root: str, path: str, *, sync: bool = False) -> None:
        """Delete a file, and the directories below the root that this leaves empty; for good, if asked for."""
        parts = path.split("/")
        fd = self.folder(root, parts[:-1], make=False)
        try:
            os.unlink(parts[-1], dir_fd=fd)
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)
        for depth in range(len(parts) - 1, 0, -1):
            fd = self.folder(root, parts[: depth - 1], make=False)
            try:
                os.rmdir(parts[depth - 1], dir_fd=fd)
            except OSError:
                return
            finally:
                os.close(fd)
