"""Durable sinks over restarts of the sink and of the daemon."""

from contextlib import asynccontextmanager

import msgspec
import pytest
import trio

from tickerd.config import BatchSettings, SinkSettings
from tickerd.plugin import Batch, Gap, Instrument, Options, Reject, Row, Sink
from tickerd.runtime.units import DurableSinkUnit
from tickerd.state import Database, cursors, deadletters


class NoOptions(Options):
    """None."""


class Target:
    """What is on the other side: survives the daemon. Exactly once, because it commits its length."""

    def __init__(self):
        self.rows = []
        self.fail = []
        self.refuse = set()
        self.gaps = []


TARGET = Target()


class ToTarget(Sink):
    Options = NoOptions

    def __init__(self, options, ctx):
        pass

    async def commit(self):
        return msgspec.msgpack.encode(len(TARGET.rows))

    async def restore(self, position, kept):
        if kept:
            del TARGET.rows[msgspec.msgpack.decode(kept) :]

    async def write(self, batch):
        await trio.lowlevel.checkpoint()
        if TARGET.fail:
            raise TARGET.fail.pop(0)
        TARGET.gaps += [r for r in batch.records if isinstance(r, Gap)]
        TARGET.rows += [tick.volume_traded for tick in batch.ticks]
        return [Reject(t.position, "refused") for t in batch.ticks if t.volume_traded in TARGET.refuse]


@pytest.fixture(autouse=True)
def target():
    TARGET.__init__()
    return TARGET


@pytest.fixture
def daemon(sink_runs):
    """One run of it."""

    @asynccontextmanager
    async def make(*, graceful=False, commit="50ms"):
        settings = SinkSettings(
            name="out",
            use="x",
            type=ToTarget,
            options=NoOptions(),
            delivery="durable",
            batch=BatchSettings(max_wait="0ms", commit=commit),
        )
        async with sink_runs(settings, graceful=graceful) as (unit, house):
            kite = house.table.namespace("kite")
            kite.load([Instrument("kite", 7, "NSE", "SEVEN")])

            def publish(*volumes):
                rows = [Row(7, volume_traded=volume) for volume in volumes]
                house.hub.publish(Batch.of(rows), "src", kite)

            unit.publish, unit.db = publish, house.db
            yield unit

    return make


async def until(condition):
    with trio.fail_after(30):
        while not condition():
            await trio.sleep(0.005)


async def test_what_comes_is_delivered_and_committed(daemon, target):
    async with daemon(graceful=True) as unit:
        assert isinstance(unit, DurableSinkUnit)
        unit.publish(1, 2)
        await until(lambda: target.rows == [1, 2])
    assert unit.committed == (1, 2)


async def test_after_a_crash_it_resumes_exactly_where_it_was(daemon, target):
    async with daemon(commit="10m") as unit:
        for volume in range(20):
            unit.publish(volume)
        await until(lambda: len(target.rows) == 20)
    async with daemon(graceful=True) as unit:
        unit.publish(20)
        await until(lambda: len(target.rows) >= 21)
    assert target.rows == list(range(21))


async def test_what_a_sink_missed_while_its_target_was_down_comes_later_in_order(daemon, target):
    target.fail = [OSError("target down")] * 3
    async with daemon(graceful=True) as unit:
        for volume in range(50):
            unit.publish(volume)
        await until(lambda: len(target.rows) == 50)
        assert unit.restarts == 3
    assert target.rows == list(range(50))
    assert unit.dropped == 0


async def test_a_bug_that_passes_loses_nothing_either(daemon, target):
    target.fail = [ZeroDivisionError()]
    async with daemon(graceful=True) as unit:
        unit.publish(1)
        unit.publish(2)
        await until(lambda: len(target.rows) == 2)
    assert target.rows == [1, 2]


async def test_what_it_refuses_for_good_becomes_a_dead_letter(daemon, target):
    target.refuse = {2}
    async with daemon(graceful=True) as unit:
        unit.publish(1, 2, 3)
        await until(lambda: unit.meter.rejected == 1)
        with trio.fail_after(30):
            while not await unit.db.read(deadletters.page, "out"):
                await trio.sleep(0.01)
        assert unit.dropped == 1


async def test_a_dead_letter_is_offered_again_when_it_is_asked_for(daemon, target):
    target.refuse = {2}
    async with daemon(graceful=True) as unit:
        unit.publish(1, 2, 3)
        await until(lambda: unit.meter.rejected == 1)
        with trio.fail_after(30):
            while not await unit.db.run(deadletters.request_redrive, "out", now_ns=1):
                await trio.sleep(0.01)
    assert target.rows == [1, 2, 3]
    async with daemon(graceful=True) as unit:  # refused once more: it stays
        await until(lambda: len(target.rows) == 4)
        with trio.fail_after(30):
            while (await unit.db.read(deadletters.page, "out"))[0].attempts < 2:
                await trio.sleep(0.01)
        await unit.db.run(deadletters.request_redrive, "out", now_ns=2)
    target.refuse = set()
    async with daemon(graceful=True) as unit:
        with trio.fail_after(30):
            while await unit.db.read(deadletters.page, "out"):
                await trio.sleep(0.01)
        unit.publish(4)
        await until(lambda: target.rows[-1] == 4)
    assert target.rows == [1, 2, 3, 2, 2, 4]


async def test_a_cursor_beyond_the_journal_is_set_back_and_told(daemon, target, tmp_path):
    async with daemon(graceful=True) as unit:
        unit.publish(1)
        await until(lambda: target.rows == [1])
        await unit.db.run(cursors.put, "sink.out", unit._house.hub.position._replace(seq=9), now_ns=1)
        unit.finish()
    async with Database(tmp_path) as db:
        await db.run(
            cursors.put, "sink.out", unit._house.hub.position._replace(seq=9), kept=b"\x01", now_ns=1
        )
    async with daemon(graceful=True) as unit:
        unit.publish(2)
        await until(lambda: target.rows == [1, 2])
        await until(lambda: [gap.reason for gap in target.gaps if gap.reason != "restart"])
    (gap,) = [gap for gap in target.gaps if gap.reason != "restart"]
    assert (gap.reason, gap.lost, gap.after) == ("cursor_beyond_journal", 8, (1, 1))
