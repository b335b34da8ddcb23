"""The journal in the daemon: made good at start, written, swept and compressed, and read by durable sinks."""

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import structlog
import trio

from tickerd.config.settings import JournalSettings
from tickerd.dataflow.durable import OpenCursor
from tickerd.dataflow.hub import Hub
from tickerd.journal.catalog import newest, segments
from tickerd.journal.compress import compress
from tickerd.journal.cursor import MAX_READERS, Cursor
from tickerd.journal.files import Files
from tickerd.journal.reader import JournalReader
from tickerd.journal.recovery import Recovered, recover
from tickerd.journal.retention import Rules, Swept, sweep
from tickerd.journal.segment import SUFFIX
from tickerd.journal.segment_reader import NOWHERE, Damaged, Span
from tickerd.journal.writer import Journal, JournalOptions, Lost
from tickerd.plugin import Batch, Clock, Codec, Gap, Origin, Position
from tickerd.runtime.kept import kept
from tickerd.state import Database, StateError, cursors

SWEEP_S = 60.0
"""Between two looks at what has to go and what can be compressed."""
FIRST_LOOK_S = 5.0
LOOK_BACK = 100_000
"""Positions before the journal's end among which the last tick of each source is looked for."""
SOURCE = "journal"
"""What gap records of the journal name as their source."""


class Disk(NamedTuple):
    """What the last look at the directory found."""

    segments: int = 0
    bytes: int = 0
    free: int | None = None
    """Of the file system."""
    oldest: Position | None = None
    """Nothing before it is kept."""


class Recorder:
    """Owns the live journal of a daemon.

    Args:
        settings: the ``journal`` section.
        directory: of the segments.
        hub: whose batches are recorded; its epoch is that of the segments.
        db: where the cursors of durable sinks are.
        codecs: by id, for reading.
    """

    def __init__(
        self,
        settings: JournalSettings,
        directory: Path,
        hub: Hub,
        clock: Clock,
        db: Database,
        codecs: Mapping[str, Codec],
        files: Files | None = None,
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._hub = hub
        self._clock = clock
        self._db = db
        self.codecs = codecs
        """By id, for reading; another mapping once a reload has loaded more plugins."""
        self._files = files or Files()
        self._readers = trio.CapacityLimiter(MAX_READERS)
        self._log = structlog.get_logger().bind(unit=SOURCE)
        options = JournalOptions(settings.sync, settings.segment_size, settings.buffer)
        self.journal = Journal(directory, hub.epoch, clock, options, self._tell_lost, self._files)
        self.recovered = Recovered()
        self._before: dict[str, Batch] = {}
        self._restarted: deque[tuple[Batch, Origin]] = deque()
        self._came_back = trio.Event()
        self._stopping = False
        self.durable: frozenset[str] = frozenset()
        """Units whose cursors count; those of sinks that are no longer configured hold nothing."""
        self.swept = Swept()
        """What the last sweep did."""
        self.disk = Disk()

    async def open(self) -> None:
        """Make the directory good and begin to take batches; they are written once `run` runs.

        A directory that cannot be used is an alarm and no reason not to start: the journal keeps trying.
        """
        try:
            self.recovered = await trio.to_thread.run_sync(recover, self._directory, self._files)
        except OSError as error:
            self._log.error("journal cannot be looked at", reason=error.strerror or str(error))
        for problem in self.recovered.problems:
            self._log.warning(
                "journal mended",
                what=problem.what,
                file=problem.path.name,
                bytes=problem.size,
                detail=problem.detail,
            )
        try:
            self._before = await trio.to_thread.run_sync(self._last_of_each_source)
        except OSError as error:
            self._log.error("end of the journal cannot be read", reason=error.strerror or str(error))
        self._hub.record = self._record

    def _record(self, batch: Batch) -> None:
        """Take a batch; with the first one of a source the hole since the last run of the daemon ends."""
        self.journal.append(batch)
        if self._before and batch.origin is not None:
            last = self._before.pop(batch.origin.source or "", None)
            if last is not None:
                self._restarted.append((last, batch.origin))
                self._came_back.set()

    def _last_of_each_source(self) -> dict[str, Batch]:
        """What each source brought last before this run, as far as the last stretch of the journal tells."""
        last = self.recovered.last
        if last == NOWHERE:
            return {}
        after = Position(last.epoch, max(0, last.seq - LOOK_BACK))
        found = (batch for batch in self._read_from(after) if batch.origin is not None)
        return {batch.origin.source or "": batch for batch in found if batch.origin is not None}

    async def _tell_restarts(self) -> None:
        """A gap for each source that was there before this run, from its last tick to its first."""
        while self._before:
            await self._came_back.wait()
            self._came_back = trio.Event()
            while self._restarted:
                last, first = self._restarted.popleft()
                assert last.origin is not None
                gap = Gap(
                    source=first.source,
                    connection=first.connection,
                    ts_recv=first.ts_recv,
                    reason="restart",
                    since_ns=last.origin.ts_recv,
                    until_ns=first.ts_recv,
                    after=(last.last.epoch, last.last.seq),
                )
                self._hub.publish_records(gap)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write, sweep and compress until cancelled; what was appended by then is written and synced."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.journal.run)
            nursery.start_soon(kept, SOURCE, self._tell_restarts)
            nursery.start_soon(kept, SOURCE, self._keep_house)
            nursery.start_soon(self._stop_with_us)
            task_status.started()

    async def _stop_with_us(self) -> None:
        """A thread that compresses is not cancelled: it asks between two blocks."""
        try:
            await trio.sleep_forever()
        finally:
            self._stopping = True

    async def _keep_house(self) -> None:
        await self.tidy()
        await trio.sleep(FIRST_LOOK_S)  # by then there is something to be told of in the status
        while True:
            await self.tidy()
            await trio.sleep(SWEEP_S)

    async def tidy(self) -> None:
        """Delete what has to go and compress what is closed; done each minute."""
        await self._sweep()
        await self._compress()
        try:
            self.disk = await trio.to_thread.run_sync(_look, self._directory, self._files)
        except OSError as error:
            self._log.error("journal cannot be looked at", reason=error.strerror or str(error))

    @property
    def min_free(self) -> int:
        """Bytes of the file system that the journal leaves to others."""
        return self._settings.min_free

    def renew(self, settings: JournalSettings, durable: Collection[str]) -> None:
        """Go by these limits from the next look on.

        Args:
            settings: the section; only what can change while running counts.
            durable: see `durable`.
        """
        self._settings = settings
        self.durable = frozenset(durable)

    def open_cursor(self, after: Position) -> Cursor:
        """A cursor of a durable sink; see `tickerd.dataflow.durable.OpenCursor`."""
        return Cursor(self.journal, self._read_from, after, self._readers)

    async def reaches(self, after: Position) -> bool:
        """Whether everything that was recorded after that position is still there, and it is one that was given out."""
        if after.epoch == self._hub.epoch:
            if after > self._hub.position:
                return False
            await self.journal.until(self._hub.position)
        elif after > self.recovered.ends.get(after.epoch, NOWHERE):
            return False
        try:
            found = await trio.to_thread.run_sync(segments, self._directory, self._files)
        except OSError as error:
            self._log.error("journal cannot be looked at", reason=error.strerror or str(error))
            return False
        return bool(found) and found[0].first <= (after.epoch, after.seq + 1)

    def last_on_disk(self, position: Position) -> Position:
        """The position itself, or the journal's end in that epoch where it is beyond it."""
        if position.epoch == self._hub.epoch:
            return position
        end = self.recovered.ends.get(position.epoch)
        return position if end is None else min(position, end)

    def _read_from(self, after: Position) -> Iterator[Batch]:
        reader = JournalReader(self._directory, self.codecs, Span(after), self._files)
        try:
            for item in reader.items():
                if isinstance(item, Batch):
                    yield item
                    continue
                self._log.warning(
                    "journal damaged here", file=item.path.name, bytes=item.size, reason=item.reason
                )
                if item.after is not None:
                    # a thread has no clock of ours: the newest tick is near enough
                    yield _damage(item, item.after, self._hub.totals.last_tick_ns or 0)
        finally:
            reader.close()

    async def _sweep(self) -> None:
        try:
            await self._db.sync()  # a power cut must not put a cursor back behind what is deleted now
            found = await self._db.read(cursors.every)
            held = {cursor.unit: cursor.position for cursor in found if cursor.unit in self.durable}
            look = partial(
                sweep,
                self._directory,
                rules(self._settings),
                self._clock.now_ns(),
                self._hub.epoch,
                held,
                self._files,
            )
            self.swept = await trio.to_thread.run_sync(look)
        except (OSError, StateError) as error:
            self._log.error("journal cannot be swept", reason=str(error))
            return
        for removal in self.swept.removed:
            self._log.info("journal segment removed", file=removal.segment.path.name, why=removal.why)
        for path, reason in self.swept.failed:
            self._log.error("journal segment cannot be removed", file=path.name, reason=reason)
        for lost in self.swept.overtaken:
            self._log.error("retention overtook a durable sink", sink=lost.sink, lost=lost.lost)
            gap = Gap(
                source=lost.sink, reason="retention", after=(lost.after.epoch, lost.after.seq), lost=lost.lost
            )
            gap.ts_recv = self._clock.now_ns()
            self._hub.publish_records(gap)
        if self.swept.short > 0:
            self._log.error(
                "journal is over its limits and nothing more may be removed", bytes=self.swept.short
            )

    async def _compress(self) -> None:
        """What is closed; in a thread, one after the other."""
        try:
            found = await trio.to_thread.run_sync(segments, self._directory, self._files)
            busy = newest(found, self._hub.epoch)
            for path in (segment.path for segment in found):
                if path != busy and path.name.endswith(SUFFIX):
                    await trio.to_thread.run_sync(
                        partial(compress, path, self._files, stop=lambda: self._stopping)
                    )
        except OSError as error:
            self._log.error("journal cannot be compressed", reason=error.strerror or str(error))

    def _tell_lost(self, lost: Lost) -> None:
        self._log.error("journal has a gap", reason=lost.reason, lost=lost.count)
        gap = Gap(
            source=SOURCE,
            ts_recv=lost.last_ns,
            reason="journal_" + ("slow" if lost.overflow else "failed"),
            since_ns=lost.first_ns,
            until_ns=lost.last_ns,
            after=(lost.after.epoch, lost.after.seq),
            lost=lost.count,
        )
        self._hub.publish_records(gap)


def _look(directory: Path, files: Files) -> Disk:
    found = segments(directory, files)
    room = files.room(directory)
    return Disk(len(found), sum(one.size for one in found), room.free, found[0].first if found else None)


def _damage(found: Damaged, after: Position, now_ns: int) -> Batch:
    """What a reader is told of a part that cannot be read; it stands at the position before it."""
    where = (after.epoch, after.seq)
    gap = Gap(source=SOURCE, ts_recv=now_ns, epoch=after.epoch, seq=after.seq, reason="journal_damaged")
    gap.after, gap.lost = where, found.lost
    return Batch(ticks=(), records=[gap], last=after)


def rules(settings: JournalSettings) -> Rules:
    """What the section says of how much may stay."""
    share = settings.max_size if isinstance(settings.max_size, float) else None
    size = None if share is not None else int(settings.max_size)
    return Rules(round(settings.keep * 1e9), size, share, settings.min_free)


__all__ = ["OpenCursor", "Recorder", "rules"]
