"""The state directory: held by one daemon at a time, and the epoch that grows by one at each start."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self


class StateLocked(RuntimeError):
    """Another daemon holds this state directory."""


class StateDirectory:
    """A context manager that holds the lock. Does file I/O; use it before the loop matters.

    Raises on entering:
        StateLocked: another daemon runs on it.
        OSError: it cannot be made or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True, exist_ok=True, mode=0o750)
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(lock)
            raise StateLocked(
                f"{self.path}: another tickerd (process {holder}) uses this state directory; "
                "stop it, or give this one another with state.dir"
            ) from None
        os.truncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        self._lock = lock
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def unit(self, kind: str, name: str) -> Path:
        """The directory of one unit's own, made if need be."""
        path = self.path / kind / name
        path.mkdir(parents=True, exist_ok=True, mode=0o750)
        return path

    def next_epoch(self) -> int:
        """The epoch of this run; on disk before it is returned, so that no position is ever given out twice.

        Raises:
            ValueError: the file does not hold a number: it must not be guessed, or positions would repeat.
        """
        file = self.path / "epoch"
        try:
            last = int(file.read_text("ascii"))
        except FileNotFoundError:
            last = 0
        except ValueError:
            raise ValueError(
                f"{file}: does not hold a number; write the highest epoch seen so far into it"
            ) from None
        fresh = file.with_suffix(".new")
        with fresh.open("w", encoding="ascii") as out:
            out.write(f"{last + 1}\n")
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(file)
        directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        return last + 1
