"""The live journal: batches are handed over on the loop, one thread writes them in groups, readers are told."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog
import trio

from tickerd.journal.files import Files
from tickerd.journal.open_segment import OpenSegment
from tickerd.journal.segment import Header
from tickerd.plugin import Batch, Clock, Position
from tickerd.wire.day import day_of, next_roll_ns

GROUP_S = 0.01
"""Batches that come within so many seconds of a write are written together."""
RETRY_S = 1.0
"""Between two tries on a disk that refuses."""


@dataclass(frozen=True)
class JournalOptions:
    """How the journal is written; sizes in bytes, times in seconds."""

    sync: float = 0.2
    """Between two fdatasyncs: what a power cut may cost. A crash of the process alone costs nothing written."""
    segment_size: int = 2**30
    buffer: int = 2**26
    """Most that waits for the disk; beyond it batches are lost, counted and told."""


@dataclass
class Lost:
    """What could not be written since it was last told."""

    reason: str
    after: Position
    first_ns: int
    last_ns: int
    overflow: bool = False
    """The disk was too slow, rather than refusing."""
    count: int = 0


class Journal:
    """Made by the daemon, fed by the hub through `append`, followed by cursors.

    `append` is synchronous and never waits. The thread lives while `run` does. What the disk does not take is
    lost to the journal only: the live feed goes on, ``lost`` tells it, and writing resumes by itself.

    Args:
        directory: of the segments; made if need be.
        epoch: of this run; each segment holds one epoch.
        told: called on the loop when a stretch that was lost has ended, to publish a gap.
        files: how files are touched; tests inject faults there.
    """

    def __init__(
        self,
        directory: Path,
        epoch: int,
        clock: Clock,
        options: JournalOptions,
        told: Callable[[Lost], None],
        files: Files | None = None,
    ) -> None:
        self.directory = directory
        self.options = options
        self.committed = Position(epoch, 0)
        """Everything up to here is in the files, or is known to be lost."""
        self.failing: str | None = None
        """Why the disk does not take anything, while it does not."""
        self.queued_bytes = 0
        self.written_bytes = self.written_batches = self.lost_total = 0
        self._clock = clock
        self._told = told
        self._files = files or Files()
        self._log = structlog.get_logger().bind(unit="journal")
        self._queue: deque[Batch] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._lost: Lost | None = None
        self._grown = trio.Event()
        self._segment: OpenSegment | None = None
        self._roll_at_ns = 0
        self._now_ns = clock.now_ns()
        self._appended = Position(epoch, 0)
        self._token: trio.lowlevel.TrioToken | None = None

    # -- on the loop -----------------------------------------------------------------------------------

    def append(self, batch: Batch) -> None:
        """Take a batch that the hub has stamped."""
        size = batch.nbytes
        with self._wake:
            if self.queued_bytes + size > self.options.buffer:
                self._lose([batch], "the disk is slower than the feed", overflow=True)
            else:
                self._queue.append(batch)
                self.queued_bytes += size
            self._appended = batch.last
            self._now_ns = self._clock.now_ns()
            if len(self._queue) == 1:
                self._wake.notify()

    async def until(self, position: Position) -> None:
        """Wait until everything up to this position is committed, or known to be lost."""
        while self.committed < position:
            await self._grown.wait()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the writing thread until cancelled; then what was appended is written and synced, within 5 s."""
        self._token = trio.lowlevel.current_trio_token()
        thread = threading.Thread(target=self._write_all, name="tickerd-journal", daemon=True)
        thread.start()
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            with self._wake:
                self._closing = True
                self._wake.notify()
            with trio.CancelScope(shield=True), trio.move_on_after(5):
                await trio.to_thread.run_sync(thread.join, 5.0)

    def _notify(self) -> None:
        grown, self._grown = self._grown, trio.Event()
        grown.set()
        with self._wake:
            over = self.failing is None and self.queued_bytes < self.options.buffer // 2
            lost = self._lost if over else None
            if lost is not None:
                self._lost = None
        if lost is not None:
            self._told(lost)

    # -- in the thread ---------------------------------------------------------------------------------

    def _write_all(self) -> None:
        while self._write_group():
            pass
        if self._segment is not None:
            self._segment.close()

    def _write_group(self) -> bool:
        """Wait for batches and write them; False when closing and everything is written."""
        with self._wake:
            if not self._queue and not self._closing:
                self._wake.wait(self._until_sync())
            closing = self._closing
            group, upto = list(self._queue), self._appended
            self._queue.clear()
            self.queued_bytes = 0
        if group:
            self._write(group, upto, closing=closing)
        elif self._segment is not None:
            self._sync()
        if not closing:
            with self._wake:
                self._wake.wait_for(lambda: self._closing, GROUP_S if self.failing is None else RETRY_S)
        return not closing or bool(group)

    def _until_sync(self) -> float | None:
        return self.options.sync if self._segment is not None and self._segment.dirty else None

    def _write(self, group: list[Batch], upto: Position, *, closing: bool) -> None:
        try:
            for batch in group:
                self._room(batch).add(batch)
            assert self._segment is not None
            self.written_bytes += self._segment.flush()
            if closing:
                self._segment.sync()
            else:
                self._segment.sync_if_due(self.options.sync)
        except (OSError, ValueError) as error:
            self._failed(group, error)
        else:
            self.written_batches += len(group)
            self.failing = None
        self.committed = upto
        if self._token is not None:
            try:
                self._token.run_sync_soon(self._notify, idempotent=True)
            except trio.RunFinishedError:
                self._token = None

    def _room(self, batch: Batch) -> OpenSegment:
        """The segment that this batch belongs into; a new one by the day, by size, or after a fault."""
        segment = self._segment
        if (
            segment is not None
            and segment.size < self.options.segment_size
            and self._now_ns < self._roll_at_ns
        ):
            return segment
        if segment is not None:
            self._segment = None
            self.written_bytes += segment.flush()
            segment.close()
        now = self._now_ns
        self._roll_at_ns = next_roll_ns(now)
        first = batch.last.seq - len(batch) + 1
        header = Header(batch.last.epoch, first, now, day_of(now).isoformat())
        self._files.make_directory(self.directory)
        self._segment = OpenSegment(self.directory, header, self._files)
        return self._segment

    def _sync(self) -> None:
        assert self._segment is not None
        try:
            self._segment.sync_if_due(0)
        except OSError as error:
            self._failed([], error)

    def _failed(self, group: list[Batch], error: Exception) -> None:
        """Give the segment up where it stands; the next group begins a new one."""
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        if self.failing is None:
            self._log.error("journal cannot be written, the feed goes on without it", reason=reason)
        self.failing = reason
        if self._segment is not None:
            self._segment.abandon()
            self._segment = None
        with self._wake:
            self._lose(group, reason)

    def _lose(self, batches: list[Batch], reason: str, *, overflow: bool = False) -> None:
        """Needs the lock."""
        for batch in batches:
            when = batch.origin.ts_recv if batch.origin is not None else self._now_ns
            if self._lost is None:
                before = Position(batch.last.epoch, batch.last.seq - len(batch))
                self._lost = Lost(reason, before, when, when, overflow)
            self._lost.count += len(batch)
            self._lost.last_ns = when
            self.lost_total += len(batch)
