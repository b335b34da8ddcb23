"""The source itself: a thread reads ahead by blocks, the event loop publishes when each frame is due."""

import glob
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import trio

from tickerd.plugin import Batch, Instrument, Row, Source, SourceContext
from tickerd_plugins.replay.merge import Block, Blocks, Frame, survey
from tickerd_plugins.replay.options import ReplayOptions
from tickerd_plugins.replay.pace import Pace
from tickerd_plugins.replay.recording import Recording, Tally

_T = TypeVar("_T")
_BLOCK = 2_000
"""Rows that are read at a time."""
_AHEAD = 2
"""Blocks that wait to be played."""
_BREATH = 400
"""Rows published between two looks at the other tasks."""
_SURVEY = 100_000
_REPORT_S = 1.0
_UNPUBLISHABLE = (ValueError, TypeError, OverflowError)


def _glob(pattern: str) -> list[str]:
    return glob.glob(pattern, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute patterns


class ReplaySource(Source):
    """Plays recorded files; see `ReplayOptions`. When it has played them it waits to be cancelled."""

    Options = ReplayOptions

    def __init__(self, options: ReplayOptions) -> None:
        self._options = options

    async def run(self, ctx: SourceContext, *, task_status: trio.TaskStatus[None]) -> None:
        """Publish until cancelled."""
        task_status.started()
        await _Run(self._options, ctx).play()
        await trio.sleep_forever()


class _Run:
    """One life of the source."""

    def __init__(self, options: ReplayOptions, ctx: SourceContext) -> None:
        self._options = options
        self._ctx = ctx
        self._limiter = trio.CapacityLimiter(1)
        self._tally = Tally()
        self._known: dict[int, str] = {}
        self._loaded: dict[int, Instrument] = {}
        self._wanted: frozenset[int] = frozenset()
        self._rows = self._records = self._files = 0
        self._since_breath = 0
        self._reported = float("-inf")

    async def play(self) -> None:
        """Everything there is, once or for ever."""
        recordings = await self._in_thread(self._find)
        self._files = len(recordings)
        if not recordings:
            self._ctx.log.warning("nothing to replay", paths=list(self._options.paths))
            self._ctx.report("finished", "no file matches any of paths", rows=0, records=0, files=0)
            return
        self._ctx.report("reading", files=self._files)
        self._known = await self._in_thread(lambda: survey(recordings, _SURVEY))
        self._load(self._known)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow_demand)
            await self._rounds(recordings)
            nursery.cancel_scope.cancel()
        self._ctx.report("finished", rows=self._rows, records=self._records, files=self._files)
        self._ctx.log.info("replay finished", rows=self._rows, records=self._records, files=self._files)

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        # it only reads, so a disk that hangs may keep the thread
        return await trio.to_thread.run_sync(work, limiter=self._limiter, abandon_on_cancel=True)

    def _find(self) -> list[Recording]:
        found = {path for pattern in self._options.paths for path in _glob(pattern)}
        paths = [path for path in map(Path, sorted(found)) if path.is_file()]
        return [Recording(path, self._options.order, self._tally) for path in paths]

    async def _rounds(self, recordings: Sequence[Recording]) -> None:
        while True:
            before = self._rows + self._records
            await self._round(recordings)
            # a loop over nothing would only turn
            if not self._options.loop or before == self._rows + self._records:
                return

    async def _round(self, recordings: Sequence[Recording]) -> None:
        blocks = Blocks(recordings, records=self._options.records, known=self._known)
        send, receive = trio.open_memory_channel[Block](_AHEAD)
        speed = self._options.speed
        pace = Pace(None if speed == "max" else speed, self._options.max_pause)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read, blocks, send)
            async with receive:
                async for block in receive:
                    self._load(block.symbols)
                    for frame in block.frames:
                        await self._play(frame, pace)

    async def _read(self, blocks: Blocks, send: trio.MemorySendChannel[Block]) -> None:
        async with send:
            while True:
                block = await self._in_thread(lambda: blocks.take(_BLOCK))
                self._tell()
                if not block.frames:
                    return
                await send.send(block)

    async def _play(self, frame: Frame, pace: Pace) -> None:
        now = trio.current_time()
        due = pace.due(frame.when_ns, now)
        self._since_breath += len(frame.rows) or 1
        if due > now:
            self._report(now)
            await trio.sleep_until(due)
            self._since_breath = 0
        elif self._since_breath >= _BREATH:
            self._report(now)
            await trio.lowlevel.checkpoint()
            self._since_breath = 0
        self._publish(frame)

    def _publish(self, frame: Frame) -> None:
        recorded = self._options.stamps == "recorded"
        if frame.record is not None:
            if not recorded:
                frame.record.ts_recv, frame.record.source = self._ctx.clock.now_ns(), None
            self._records += 1
            self._ctx.publish(Batch.control(frame.record))
            return
        rows = frame.rows
        if self._wanted:
            rows = [row for row in rows if row.instrument_token in self._wanted]
        if rows:
            self._publish_rows(rows, recorded=recorded)

    def _publish_rows(self, rows: list[Row], *, recorded: bool) -> None:
        if recorded:
            connection, ts_recv = rows[0].connection, rows[0].ts_recv
        else:
            connection, ts_recv = None, self._ctx.clock.now_ns()
            for row in rows:
                row.ts_recv, row.source, row.connection = 0, None, None
        try:
            batch = Batch.of(rows, connection=connection, ts_recv=ts_recv)
        except _UNPUBLISHABLE:
            rows = self._publishable(rows)
            batch = Batch.of(rows, connection=connection, ts_recv=ts_recv)
        if rows:
            self._rows += len(rows)
            self._ctx.count("rows", len(rows))
            self._ctx.publish(batch)

    def _publishable(self, rows: Sequence[Row]) -> list[Row]:
        """A number that no tick can hold makes its line a broken one."""
        good = []
        for row in rows:
            try:
                Batch.of([row])
            except _UNPUBLISHABLE:
                self._ctx.count("broken_lines")
            else:
                good.append(row)
        return good

    # -- instruments ---------------------------------------------------------------------------------------

    def _load(self, symbols: dict[int, str]) -> None:
        """Add instruments to our table; there is no other dump than the recording."""
        fresh: dict[int, Instrument] = {}
        for token, symbol in symbols.items():
            exchange, colon, name = symbol.partition(":")
            if colon:
                fresh[token] = Instrument(self._ctx.name, token, exchange, name)
        if fresh:
            self._loaded |= fresh
            self._ctx.instruments.load(self._loaded.values())
        self._refresh()

    def _refresh(self) -> None:
        """Take over which tokens are wanted; none means everything."""
        self._wanted = frozenset(instrument.token for instrument in self._ctx.demand.wanted())

    async def _follow_demand(self) -> None:
        async for _ in self._ctx.demand.changes():
            self._refresh()

    # -- telling -------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        for reason, count in self._tally.counts.items():
            self._ctx.count(reason, count)
        self._tally.counts.clear()
        for path, problem in self._tally.notes:
            self._ctx.log.warning("recording is not whole", path=path, problem=problem)
        self._tally.notes.clear()

    def _report(self, now: float) -> None:
        if now >= self._reported + _REPORT_S:
            self._reported = now
            self._ctx.report("playing", rows=self._rows, records=self._records, files=self._files)
