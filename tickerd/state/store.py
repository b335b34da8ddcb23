"""The state file in the hands of the daemon: made, checked, brought up to date, and put back when it breaks."""

import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from sqlite3 import Connection
from typing import TypeVar

import structlog

from tickerd.state import schema
from tickerd.state.connection import APPLICATION_ID, Begin, connect, transaction
from tickerd.state.errors import StateError, told
from tickerd.state.soundness import examine, move_aside

MODE = 0o600
"""It holds the secrets of the webhooks that were registered at run time."""
MOST_MOVED = 3
"""How often a damaged file is replaced in one run: a disk that keeps breaking them is not filled with copies."""

T = TypeVar("T")


class Store:
    """Owns the connection; all calls come from one thread, one after the other, and may wait for the disk.

    Each call raises `StateError` when the file is at fault, and heals by itself: a damaged file is moved aside
    and begun anew, one that was removed is written again from the connection that still holds it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.moved_aside: tuple[Path, ...] = ()
        self._connection: Connection | None = None
        self._inode = (0, 0)
        self._log = structlog.get_logger()

    def open(self) -> None:
        """Make or open the file, check it, and take the missing steps of the schema."""
        self._guard(self._there)

    def call(self, how: Begin, work: Callable[[Connection], T]) -> T:
        """The work's result, after its transaction was committed; see `connection.transaction`."""
        return self._guard(lambda: self._call(how, work))

    def sync(self) -> None:
        """Returns when everything that was committed would outlive a power cut."""
        self._guard(self._sync)

    def close(self) -> None:
        """Close the file; what was committed is in it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):  # it fails to tidy up; that is done when it is opened next
                connection.close()

    def _call(self, how: Begin, work: Callable[[Connection], T]) -> T:
        connection = self._there()
        with told(self.path), transaction(connection, how):
            return work(connection)

    def _sync(self) -> None:
        self._there()
        # What is not in the log any more was synced into the file before the log was begun again. Of the log
        # we may open a second descriptor: POSIX drops locks at the close of any, but these are on other files.
        with suppress(FileNotFoundError):
            _fsync(self.path.with_name(f"{self.path.name}-wal"))

    def _guard(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except StateError as error:
            if error.problem == "damaged":
                self.close()  # examined at the next call, which moves it aside if it is so
            raise

    def _there(self) -> Connection:
        """The connection, to the file that is now under our path."""
        if self._connection is not None:
            try:
                found = self.path.stat()
            except FileNotFoundError:
                self._write_again(self._connection)
            else:
                if (found.st_dev, found.st_ino) == self._inode:
                    return self._connection
                text = "was replaced by another file while in use; restart tickerd to use that one"
                raise StateError(self.path, "replaced", text)
        try:
            return self._open()
        except StateError as error:
            if error.problem != "damaged" or len(self.moved_aside) >= MOST_MOVED:
                raise
            self._move_aside(error)
        return self._open()

    def _open(self) -> Connection:
        if not self.path.exists():
            self._prepare(_mark).rename(self.path)
        _close_to_others(self.path)
        with told(self.path):
            connection = connect(self.path, "rw")
            try:
                examine(connection, self.path)
                self._bring_up_to_date(connection)
            except BaseException:
                connection.close()
                raise
        found = self.path.stat()
        self._connection, self._inode = connection, (found.st_dev, found.st_ino)
        _fsync(self.path.parent)
        return connection

    def _bring_up_to_date(self, connection: Connection) -> None:
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            text = "the file system of the state file has no shared memory, so readers wait for writers"
            self._log.warning(text, file=str(self.path))
        self._keep_older(connection)
        if steps := schema.migrate(connection):
            self._log.info("state file brought up to date", file=str(self.path), steps=steps)

    def _keep_older(self, connection: Connection) -> None:
        """A copy of the file as it was: an older tickerd, put back, refuses the one that we are about to change."""
        number = schema.version(connection)
        copy = self.path.with_name(f"{self.path.name}.v{number}")
        if number == schema.newest() or copy.exists():
            return
        fresh = copy.with_name(f"{copy.name}.new")
        fresh.unlink(missing_ok=True)
        os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, MODE))
        with closing(connect(fresh, "rw")) as target:
            connection.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")
        _fsync(fresh)
        fresh.rename(copy)
        self._log.info("state file of an older version kept beside", file=str(copy), version=number)

    def _prepare(self, fill: Callable[[Connection], object]) -> Path:
        """A whole file beside our place; a rename puts it there, so that there is never half of one."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        fresh = self.path.with_name(f"{self.path.name}.new")
        fresh.unlink(missing_ok=True)
        os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, MODE))
        with told(self.path), closing(connect(fresh, "rw")) as connection:
            fill(connection)
            schema.migrate(connection)
        _fsync(fresh)
        return fresh

    def _write_again(self, connection: Connection) -> None:
        """The file was removed under us; the connection still has all of it."""
        fresh = self._prepare(connection.backup)
        # Closing deletes a log under our path, whosever it is: first this, then the new file
        self.close()
        fresh.rename(self.path)
        self._log.error("state file was removed while in use, written again", file=str(self.path))

    def _move_aside(self, problem: StateError) -> None:
        target = move_aside(self.path)
        self.moved_aside += (target,)
        self._log.error(
            "state file damaged, moved aside and begun anew: cursors and dead letters are lost to this run",
            reason=str(problem),
            moved_to=str(target),
        )


def _mark(connection: Connection) -> None:
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID:d}")


def _close_to_others(path: Path) -> None:
    """Take away what `MODE` does not give; and give us what we need, if the file is ours."""
    with suppress(PermissionError):  # it is not: opening it tells whether that matters
        path.chmod(path.stat().st_mode & MODE | stat.S_IRUSR | stat.S_IWUSR)


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
