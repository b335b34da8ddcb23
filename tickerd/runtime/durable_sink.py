"""A pushing sink that is fed from the journal where the live stream has gone by."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from tickerd.config.settings import SinkSettings
from tickerd.dataflow.commit import DurableCommit
from tickerd.dataflow.delivery import Commit, Feed
from tickerd.dataflow.durable import DurableFeed
from tickerd.dataflow.wanted import Wanted
from tickerd.plugin import (
    Gap,
    Position,
    Sink,
)
from tickerd.runtime.house import House
from tickerd.runtime.posting import by_message
from tickerd.runtime.recorder import Recorder
from tickerd.runtime.sink_unit import SinkUnit, sink_filter
from tickerd.runtime.unit import Unit


class DurableSinkUnit(SinkUnit):
    """Fed from the journal where the live stream has gone by; each attempt begins at what was committed."""

    def __init__(self, settings: SinkSettings, house: House, changed: Callable[[Unit], None]) -> None:
        super().__init__(settings, house, changed)
        self._joined_at = house.hub.position
        self._feed: DurableFeed | None = None
        self._finished = False
        self.committed: Position | None = None

    @asynccontextmanager
    async def open_feed(self, sink: Sink) -> AsyncIterator[tuple[Feed, Commit]]:
        """See `SinkUnit.open_feed`."""
        house, settings = self._house, self.settings
        assert house.recorder is not None
        commit = DurableCommit(house.db, self.name, sink, settings.batch.commit, self.clock)
        after = await commit.begin(self._joined_at)
        after = self._on_disk(sink.resume_from() or after, house.recorder)
        feed = self._feed = DurableFeed(
            house.hub,
            self.name,
            settings.buffer,
            sink_filter(settings, house.wants),
            Wanted(
                settings.events,
                settings.instruments,
                current=house.wants.selection(settings.instruments or ()),
            ),
            after,
            house.recorder.open_cursor,
        )
        if self._finished:
            feed.end()
        try:
            yield feed, commit
        finally:
            self.committed = commit.committed
            feed.close()

    def _on_disk(self, after: Position, recorder: Recorder) -> Position:
        """Set a cursor beyond the journal's end back to it: what lay between was lost in a power cut."""
        end = recorder.last_on_disk(after)
        if end < after and not by_message(self.settings):  # an outbox has what lay between
            structlog.get_logger().error(
                "cursor is beyond the journal", unit=self.name, lost=after.seq - end.seq
            )
            gap = Gap(source=self.name, reason="cursor_beyond_journal", after=(end.epoch, end.seq))
            gap.lost, gap.ts_recv = after.seq - end.seq, self.clock.now_ns()
            self._house.hub.publish_records(gap)
        return end

    @property
    def dropped(self) -> int:
        """See `SinkUnit.dropped`."""
        return self.meter.rejected

    @property
    def queued_bytes(self) -> int:
        """See `SinkUnit.queued_bytes`."""
        return 0 if self._feed is None else self._feed.queued_bytes

    @property
    def behind(self) -> bool:
        """Reading from the journal."""
        return self._feed is not None and self._feed.behind

    def finish(self) -> None:
        """See `Unit.finish`."""
        self._finished = True
        if self._feed is not None:
            self._feed.end()
        self._end_valve()
