"""Durable feeds: live while they keep up, out of the journal otherwise; nothing missing, nothing twice."""

from functools import partial

import pytest
import trio

from tickerd.dataflow.durable import DurableFeed
from tickerd.dataflow.hub import Hub
from tickerd.dataflow.subscription import Filter
from tickerd.dataflow.wanted import Wanted
from tickerd.instruments import Namespace
from tickerd.journal.cursor import Cursor
from tickerd.plugin import RECORD_KINDS, Instrument, Position, Status

NOWHERE = Position(0, 0)


class Shelf:
    """A journal in memory: everything the hub published, readable at once."""

    def __init__(self):
        self.batches = []
        self.reads = 0

    def append(self, batch):
        self.batches.append(batch)

    async def until(self, position):
        await trio.lowlevel.checkpoint()

    def read_from(self, after):
        self.reads += 1
        return (batch for batch in list(self.batches) if batch.last > after)


@pytest.fixture
def line(read, full):
    class Line:
        def __init__(self):
            self.shelf = Shelf()
            self.hub = Hub(1, self.shelf.append)
            self.namespace = Namespace("kite")

        def publish(self, *tokens):
            self.hub.publish(read(*map(full, tokens)), "kite", self.namespace)

        def feed(self, after=NOWHERE, buffer=1 << 20, only=None):
            limiter = trio.CapacityLimiter(1)
            opener = partial(Cursor, self.shelf, self.shelf.read_from)
            return DurableFeed(
                self.hub,
                "sink.x",
                buffer,
                Filter(tokens=lambda: only),
                Wanted(("tick", *RECORD_KINDS), only),
                after,
                lambda position: opener(position, limiter),
            )

    return Line()


async def receive(feed, count):
    """The tokens of so many ticks."""
    seen = []
    with trio.fail_after(5):
        while len(seen) < count:
            seen += [tick.instrument_token for tick in (await feed.receive(100, 0)).ticks]
    return seen


async def test_what_was_missed_comes_out_of_the_journal_then_it_is_live(line):
    for token in (1, 2, 3):
        line.publish(token)
    feed = line.feed(after=Position(1, 1))
    line.publish(4)
    assert feed.behind
    assert await receive(feed, 3) == [2, 3, 4]
    assert not feed.behind
    assert line.shelf.reads == 1
    line.publish(5)
    assert await receive(feed, 1) == [5]
    assert line.shelf.reads == 1


async def test_one_that_is_up_to_date_never_reads_the_journal(line):
    line.publish(1)
    feed = line.feed(after=line.hub.position)
    line.publish(2)
    assert await receive(feed, 1) == [2]
    assert line.shelf.reads == 0


async def test_one_that_falls_behind_catches_up_from_the_journal(line):
    feed = line.feed(after=Position(1, 0), buffer=2000)
    for token in range(1, 101):
        line.publish(token)
    assert await receive(feed, 100) == list(range(1, 101))
    assert feed.spilled == 1
    line.publish(101)
    assert await receive(feed, 1) == [101]


async def test_falling_behind_again_while_catching_up_loses_nothing(line):
    feed = line.feed(after=Position(1, 0), buffer=2000)
    seen = []
    for start in range(1, 200, 20):
        for token in range(start, start + 20):
            line.publish(token)
        seen += [tick.instrument_token for tick in (await feed.receive(7, 0)).ticks]
    seen += await receive(feed, 200 - len(seen))
    assert seen == list(range(1, 201))


async def test_the_filter_holds_for_both_and_the_position_moves_on(line):
    line.publish(1, 2)
    line.publish(1)
    feed = line.feed(only={2})
    first = await feed.receive(100, 0)
    assert [tick.instrument_token for tick in first.ticks] == [2]
    assert first.last == feed.at == Position(1, 3)
    line.publish(2, 1)
    assert await receive(feed, 1) == [2]


async def test_in_the_journal_an_instrument_is_what_it_was_called_then(line):
    line.namespace.load([Instrument("kite", 1, "NSE", "INFY"), Instrument("kite", 2, "NSE", "TCS")])
    line.publish(1, 2)
    line.namespace.load([])  # as after a start, before any table is there
    line.publish(1)
    feed = line.feed(only={"NSE:INFY"})
    batch = await feed.receive(100, 0)
    assert [(tick.symbol, tick.position.seq) for tick in batch.ticks] == [("NSE:INFY", 1)]


async def test_an_empty_batch_tells_that_only_the_position_moved(line):
    line.publish(1)
    feed = line.feed(only={2})
    batch = await feed.receive(100, 0)
    assert (len(batch), batch.last) == (0, Position(1, 1))


async def test_what_was_put_back_comes_first(line):
    feed = line.feed()
    line.publish(1)
    batch = await feed.receive(100, 0)
    line.publish(2)
    feed.put_back(batch)
    feed.discard(batch, "x")
    assert feed.forfeit(batch) == 0
    assert await receive(feed, 2) == [1, 2]


async def test_records_come_along(line, read, full):
    line.hub.publish_records(Status(state="stale", source="kite"))
    feed = line.feed()
    assert [r.state for r in (await feed.receive(100, 0)).records] == ["stale"]


async def test_it_ends_after_what_is_left_was_read(line):
    line.publish(1)
    feed = line.feed(buffer=700)
    line.publish(2)
    line.publish(3)
    line.publish(4)
    feed.end()
    assert await receive(feed, 4) == [1, 2, 3, 4]
    with pytest.raises(trio.EndOfChannel):
        await feed.receive(100, 0)
    feed.close()


async def test_what_it_holds_in_memory_is_bounded(line):
    feed = line.feed(buffer=5000)
    for token in range(1000):
        line.publish(token)
        assert feed.queued_bytes <= 5000
