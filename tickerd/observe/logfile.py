"""A log file that rotates by size, compresses what it rotated, and removes it after some days."""

import contextlib
import errno
import gzip
import os
import re
import shutil
import stat
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, get_args

Compress = Literal["gzip", "zstd", "none"]

ROTATE_SIZE = 100_000_000
KEEP_S = 7 * 86400.0
TIDY_EVERY_S = 3600.0
_RETRY_ROTATION_S = 60.0
_ENDINGS = {"gzip": ".gz", "zstd": ".zst", "none": ""}
_PART = ".part"


def _utc_now() -> datetime:
    return datetime.now(UTC)


class LogFile:
    """An `Output` that appends to a file and keeps its size and age within limits.

    ``tickerd.log`` is rotated to ``tickerd.20260731T034500.123456Z.log`` and compressed to ``….log.gz`` by a
    thread of its own, which also removes rotated files that have not been written to for ``keep_s``. When
    somebody else moves or removes the file, a new one is begun. Raises `OSError` at once if it cannot be
    opened.

    Args:
        path: of the file; its directory is made if it is missing.
        rotate_size: bytes after which a new file is begun.
        keep_s: seconds after which rotated files are removed.
        compress: ``gzip`` (read by ``zcat`` and ``zgrep`` everywhere), ``zstd``, or ``none``.
        now: the wall clock.
    """

    def __init__(
        self,
        path: Path,
        *,
        rotate_size: int = ROTATE_SIZE,
        keep_s: float = KEEP_S,
        compress: Compress = "gzip",
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        if compress not in get_args(Compress):
            raise ValueError(f"unknown compression {compress!r}, choose one of gzip, zstd, none")
        self._path = path
        self._rotate_size = rotate_size
        self._now = now
        self._try_rotation_after = now()
        self._torn = False
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd: int | None = self._open()
        self._tidier = Tidier(path, keep_s=keep_s, compress=compress, now=now)

    def write(self, data: bytes) -> None:
        """Append whole lines; raises `OSError` if not all of them could be written."""
        fd = self._current()
        size = os.fstat(fd).st_size
        if size and size + len(data) > self._rotate_size:
            fd = self._rotated(fd)
        left = memoryview(b"\n" + data if self._torn else data)
        while left:
            # On a full disk part of a line may be in: the next write begins a line of its own.
            self._torn = self._torn or len(left) < len(data)
            left = left[os.write(fd, left) :]
        self._torn = False

    def close(self) -> None:
        """Close the file and stop compressing; an unfinished piece of work is done at the next start."""
        self._tidier.close()
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _open(self) -> int:
        # O_NONBLOCK: a FIFO without a reader must not hold up the start; it means nothing for a file
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        fd = os.open(self._path, flags, 0o640)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, "not a regular file", str(self._path))
        return fd

    def _current(self) -> int:
        """The open file, opened anew where the path no longer leads to it."""
        if self._fd is not None and not self._moved(self._fd):
            return self._fd
        old, self._fd = self._fd, None
        if old is not None:
            os.close(old)
        self._torn = False
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = self._open()
        return self._fd

    def _moved(self, fd: int) -> bool:
        try:
            return not os.path.samestat(os.fstat(fd), self._path.stat())
        except OSError:
            return True

    def _rotated(self, fd: int) -> int:
        """The file to go on with: a new one, or the old one where it cannot be renamed."""
        now = self._now()
        if now < self._try_rotation_after:
            return fd
        try:
            self._path.rename(self._path.with_name(_rotated_name(self._path, now)))
        except OSError:
            self._try_rotation_after = now + timedelta(seconds=_RETRY_ROTATION_S)
            return fd
        fd = self._current()
        self._tidier.wake()
        return fd


class Tidier:
    """The thread that compresses and removes rotated files: at its start, when woken, and once an hour."""

    def __init__(
        self,
        path: Path,
        *,
        keep_s: float = KEEP_S,
        compress: Compress = "gzip",
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._path = path
        self._keep_s = keep_s
        self._compress: Compress = compress
        self._now = now
        self._woken = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tickerd-log-tidier", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There is something to do."""
        self._woken.set()

    def close(self) -> None:
        """Stop soon, also in the middle of a file."""
        self._stop.set()
        self._woken.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._woken.clear()
            tidy(self._path, keep_s=self._keep_s, compress=self._compress, now=self._now(), stop=self._stop)
            if not self._stop.is_set():
                self._woken.wait(TIDY_EVERY_S)


def tidy(path: Path, *, keep_s: float, compress: Compress, now: datetime, stop: threading.Event) -> None:
    """Remove the rotated files of ``path`` that are too old, compress the rest; skip what fails."""
    for rotated in rotated_files(path):
        if stop.is_set():
            return
        with contextlib.suppress(OSError):
            if rotated.suffix == _PART or now.timestamp() - rotated.stat().st_mtime > keep_s:
                rotated.unlink()
            elif rotated.suffix not in (".gz", ".zst") and compress != "none":
                _compress(rotated, compress, stop)


def rotated_files(path: Path) -> list[Path]:
    """The files that rotating ``path`` has made, oldest first; nothing else is ever touched."""
    pattern = re.compile(
        rf"{re.escape(path.stem)}\.\d{{8}}T\d{{6}}\.\d{{6}}Z{re.escape(path.suffix)}(\.gz|\.zst)?(\{_PART})?"
    )
    with contextlib.suppress(OSError):
        return sorted(entry for entry in path.parent.iterdir() if pattern.fullmatch(entry.name))
    return []


def _rotated_name(path: Path, now: datetime) -> str:
    while path.with_name(name := f"{path.stem}.{now:%Y%m%dT%H%M%S.%f}Z{path.suffix}").exists():
        now += timedelta(microseconds=1)
    return name


def _compress(rotated: Path, how: Compress, stop: threading.Event) -> None:
    """Beside the file, then renamed over, so that a crash leaves either the one or the other."""
    done = rotated.with_name(rotated.name + _ENDINGS[how])
    part = done.with_name(done.name + _PART)
    times = rotated.stat()
    with rotated.open("rb") as plain, _compressed(part, how) as packed:
        while chunk := plain.read(2**20):
            packed.write(chunk)
            if stop.is_set():
                return
    shutil.copymode(rotated, part)
    os.utime(part, ns=(times.st_atime_ns, times.st_mtime_ns))
    part.rename(done)
    rotated.unlink()


def _compressed(path: Path, how: Compress) -> contextlib.AbstractContextManager[Any]:
    if how == "gzip":
        return gzip.open(path, "wb", compresslevel=6)
    from tickerd.wire.compression import zstd  # noqa: PLC0415 - a megabyte that few need

    return zstd.open(path, "wb")
