"""The sink itself: one hop into a thread per batch, where everything is encoded, written or set back."""

import os
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, repeat
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

import trio

from tickerd.plugin import (
    AnyRecord,
    Batch,
    Position,
    Reject,
    Retry,
    Sink,
    SinkContext,
    Tick,
)
from tickerd.wire.rows import CSV_HEADER, csv_lines, json_line
from tickerd_plugins.file.disk import Disk, reason_of
from tickerd_plugins.file.files import OPEN_COMPRESSED, OPEN_FILES, Files, Kind
from tickerd_plugins.file.ledger import Ledger
from tickerd_plugins.file.options import FileOptions
from tickerd_plugins.file.restore import Restored
from tickerd_plugins.file.retention import Purged, Retention, Rules
from tickerd_plugins.file.routes import Routes
from tickerd_plugins.file.template import parse

_T = TypeVar("_T")
_REPORT_S = 1.0
_PIECE = 500
"""Ticks encoded and written at once. What does not fit the processor's cache costs half as much again."""
_JSON_START = b'{"'


class _Stored(NamedTuple):
    """What the thread did with a batch."""

    size: int
    rejects: Sequence[Reject]
    purged: Purged
    open_files: int


class FileSink(Sink):
    """Writes each batch to files, whole or not at all.

    Args:
        options: see `FileOptions`.
        ctx: the unit's context.
        disk: the calls to the operating system; tests hand in slow and failing ones.
    """

    Options = FileOptions
    replace = "after"

    def __init__(self, options: FileOptions, ctx: SinkContext, disk: Disk | None = None) -> None:
        self._options = options
        self._ctx = ctx
        self._disk = disk or Disk()
        self._limiter = trio.CapacityLimiter(1)
        template = options.template()
        control = template.control()
        csv = options.format == "csv"
        self._lines: Callable[[Sequence[Tick]], bytes] = _csv if csv else _json
        start = CSV_HEADER if csv else _JSON_START
        self._kind = Kind(template, options.compression, CSV_HEADER if csv else b"", start)
        self._control = Kind(control, options.compression, b"", _JSON_START)
        self._routes = Routes(template, control)
        self._failing = ""
        self._rows = self._bytes = 0
        self._reported = float("-inf")
        root = os.path.abspath(template.root)  # noqa: PTH100 - resolve() would follow links
        self._root = root
        self._files = Files(
            self._disk,
            root,
            rotate_size=options.rotate_size,
            sync=options.sync == "batch",
            limit=OPEN_FILES if options.compression == "none" else OPEN_COMPRESSED,
        )
        keep = None if options.keep is None else round(options.keep * 1e9)
        rules = Rules((template.pattern(), control.pattern()), keep, options.max_size)
        self._retention = Retention(self._disk, root, rules)

    async def __aenter__(self) -> Self:
        """Make the root directory. Where that fails it is reported, and tried again with each batch."""
        try:
            await self._in_thread(self._prepare)
        except OSError as error:
            self._failed(error)
        else:
            self._report()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all files; they need no ending."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
            await self._in_thread(self._files.close)

    async def write(self, batch: Batch) -> Sequence[Reject]:
        """Write a batch, all of it or (raising `Retry`) nothing; returns what can not be encoded."""
        ticks, records = batch.ticks, batch.records
        now = self._ctx.clock.now_ns()
        try:
            stored = await self._in_thread(lambda: self._store(ticks, records, now))
        except OSError as error:
            reason = self._failed(error)
            raise Retry(reason) from error
        finally:
            self._tell()
        self._wrote(len(batch) - len(stored.rejects), stored)
        return stored.rejects

    async def restore(self, position: Position, kept: bytes) -> None:
        """Set all files back to the last commit. From now on each file is noted before it is first changed.

        Raises:
            OSError: a file that has to be set back can not be.
        """
        del position
        try:
            done = await self._in_thread(lambda: self._set_back(kept))
        except OSError as error:
            self._failed(error)
            raise
        except ValueError as error:
            self._ctx.count("commits_unreadable")
            self._ctx.log.warning("what the last commit kept is not of this sink", reason=str(error))
        else:
            self._tell_restored(done)

    async def commit(self) -> bytes:
        """Make everything written so far safe against a power cut; the ends of the files."""
        try:
            return await self._in_thread(self._files.checkpoint)
        except OSError as error:
            self._failed(error)
            raise

    async def committed(self) -> None:
        """The last commit is what the next start goes back to; what was noted before it counts no more."""
        if self._files.stored():
            await self._in_thread(self._files.tidy)
        else:
            await trio.lowlevel.checkpoint()

    @classmethod
    def relocated(cls, options: FileOptions, directory: Path) -> FileOptions:
        """The same files below another directory, where none is ever deleted.

        Raises:
            ValueError: the directory's name can not be part of a path template.
        """
        tail = os.path.normpath(options.path).lstrip("/").removeprefix("../")
        while tail.startswith("../"):
            tail = tail.removeprefix("../")
        path = str(directory.absolute() / tail)
        parse(path)
        return options.model_copy(update={"path": path, "keep": None, "max_size": None})

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        # never abandoned: the host would offer a batch again that the thread is still writing
        return await trio.to_thread.run_sync(work, limiter=self._limiter)

    # -- in the thread ---------------------------------------------------------------------------------

    def _set_back(self, kept: bytes) -> Restored:
        ledger = Ledger(self._disk, str(self._ctx.state_dir), self._root)
        return self._files.restore(ledger, kept)

    def _prepare(self) -> None:
        self._disk.close(self._disk.folder(self._root, [], make=True))

    def _store(self, ticks: Sequence[Tick], records: Sequence[AnyRecord], now_ns: int) -> _Stored:
        size = 0
        rejects: list[Reject] = []
        try:
            parts = self._routes.ticks(ticks, now_ns) if ticks else {}
            control = self._routes.records(records, now_ns)
            self._announce(parts, control)
            for name, some in parts.items():
                for first in range(0, len(some), _PIECE):
                    size += self._append(name, some[first : first + _PIECE], rejects)
            for name, items in control.items():
                size += self._files.append(self._control, name, b"".join(map(json_line, items)))
            self._files.commit()
        except BaseException:
            self._files.undo()
            raise
        self._retention.wrote(size)
        purged = self._retention.run(now_ns, self._files.busy_paths)
        if purged.paths:
            self._files.deleted(purged.paths)
        return _Stored(size, rejects, purged, len(self._files.open_paths))

    def _announce(self, parts: Iterable[str], control: Iterable[str]) -> None:
        kinds = chain(zip(repeat(self._kind), parts), zip(repeat(self._control), control))
        self._files.announce(kinds)

    def _append(self, name: str, ticks: Sequence[Tick], rejects: list[Reject]) -> int:
        try:
            lines = self._lines(ticks)
        except (ValueError, TypeError, OverflowError):
            ticks = _encodable(ticks, self._lines, rejects)
            if not ticks:
                return 0
            lines = self._lines(ticks)
        return self._files.append(self._kind, name, lines)

    # -- told on the event loop ------------------------------------------------------------------------

    def _failed(self, error: OSError) -> str:
        """Count, report, and log once until it works again."""
        reason = reason_of(error)
        self._ctx.count(reason.replace(" ", "_"))
        if reason != self._failing:
            self._failing = reason
            self._ctx.log.error("file sink can not write", reason=reason, error=str(error), root=self._root)
        self._ctx.report("failing", reason, rows=self._rows, bytes=self._bytes)
        return reason

    def _wrote(self, rows: int, stored: _Stored) -> None:
        self._rows += rows
        self._bytes += stored.size
        self._ctx.count("rows", rows)
        self._ctx.count("bytes", stored.size)
        if stored.purged.files:
            self._ctx.count("files_deleted", stored.purged.files)
            self._ctx.log.info("old files deleted", files=stored.purged.files, bytes=stored.purged.size)
        if self._failing:
            self._ctx.log.info("file sink writes again", after=self._failing)
            self._failing = ""
            self._reported = float("-inf")
        if trio.current_time() >= self._reported + _REPORT_S:
            self._report(stored.open_files)

    def _report(self, open_files: int = 0) -> None:
        self._reported = trio.current_time()
        state = "writing" if self._rows else "ready"
        self._ctx.report(state, rows=self._rows, bytes=self._bytes, open_files=open_files)

    def _tell(self) -> None:
        """Count and log what happened to files."""
        for event, count in self._files.events.items():
            self._ctx.count(event, count)
        self._files.events.clear()
        for event, path, size in self._files.notes:
            self._ctx.log.warning(event, path=path, bytes=size)
        self._files.notes.clear()

    def _tell_restored(self, done: Restored) -> None:
        log, count = self._ctx.log, self._ctx.count
        if done.files:
            count("files_set_back", done.files)
            log.info("files set back to the last commit", files=done.files, bytes=done.size)
        if done.short:
            count("files_too_short", done.short)
            log.error(
                "files lack bytes that were on the disk at the last commit",
                files=done.short,
                bytes=done.missing,
                first=done.first_short,
            )
        if done.replaced:
            count("files_changed_by_others", done.replaced)
            log.warning("files of the last commit are gone or not the same", files=done.replaced)


def _json(ticks: Sequence[Tick]) -> bytes:
    return Batch(ticks=ticks).lines()


def _csv(ticks: Sequence[Tick]) -> bytes:
    return csv_lines([tick.row for tick in ticks])


def _encodable(
    ticks: Sequence[Tick], encode: Callable[[Sequence[Tick]], bytes], rejects: list[Reject]
) -> Sequence[Tick]:
    """The ticks that have a text at all; the others are refused for good."""
    good: list[Tick] = []
    for tick in ticks:
        try:
            encode([tick])
        except (ValueError, TypeError, OverflowError) as error:
            rejects.append(Reject(tick.position, f"can not be encoded: {error}"))
        else:
            good.append(tick)
    return good
