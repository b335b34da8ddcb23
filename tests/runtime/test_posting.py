"""Message sinks in a daemon: from the journal into the outbox and out of it, over crashes and hand-overs."""

from contextlib import asynccontextmanager

import pytest
import trio

from tickerd.config import BatchSettings, BreakerSettings, RetrySettings, SinkSettings
from tickerd.plugin import (
    Batch,
    Endpoint,
    Message,
    MessageSink,
    Options,
    Position,
    Rejected,
    Retry,
    Status,
)
from tickerd.runtime.posting import by_message
from tickerd.runtime.units import DurableSinkUnit, LiveSinkUnit
from tickerd.state import cursors, outbox


class NoOptions(Options):
    """None."""


class Target:
    """What is on the other side: survives the daemon."""

    def __init__(self):
        self.got = []
        self.answer = lambda text: None


TARGET = Target()


class ToTarget(MessageSink):
    Options = NoOptions

    def __init__(self, options, ctx):
        self.in_flight = 2

    def compose(self, batch):
        return [
            Message(f"msg_{r.epoch}_{r.seq}", Position(r.epoch, r.seq), "x", r.detail.encode())
            for r in batch.records
            if isinstance(r, Status)
        ]

    async def send(self, message, attempt):
        await trio.lowlevel.checkpoint()
        answer = TARGET.answer(message.body.decode())
        if isinstance(answer, BaseException):
            raise answer
        await trio.sleep(answer or 0)
        TARGET.got.append((message.body.decode(), message.id))


@pytest.fixture(autouse=True)
def target():
    TARGET.__init__()
    return TARGET


def settings(delivery="durable", schedule=("0s", "50ms", "50ms", "1h", "1h"), **more):
    return SinkSettings(
        name="out",
        use="x",
        type=ToTarget,
        options=NoOptions(),
        delivery=delivery,
        batch=BatchSettings(max_wait="0ms"),
        retry=RetrySettings(schedule=schedule, jitter=0, **more),
    )


@pytest.fixture
def daemon(sink_runs):
    """One run of it."""

    @asynccontextmanager
    async def make(*, graceful=False, **options):
        async with sink_runs(settings(**options), graceful=graceful) as (unit, house):

            def say(*texts):
                found = [Status(state="stale", detail=text, ts_recv=1) for text in texts]
                house.hub.publish(Batch.control(*found), "src")

            unit.say, unit.db = say, house.db
            unit.records = house.hub.subscribe("test", "drop_oldest", 1 << 20)[1]
            yield unit

    return make


async def until(condition):
    with trio.fail_after(10):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await trio.sleep(0.005)


def texts(target):
    return sorted(text for text, _ in target.got)


async def test_what_happens_is_delivered(daemon, target):
    async with daemon(graceful=True) as unit:
        assert isinstance(unit, DurableSinkUnit)
        unit.say("a", "b")
        unit.say("c")
    assert texts(target) == ["a", "b", "c"]
    assert unit.meter.written == 3


async def test_after_a_crash_everything_comes_at_least_once_and_twice_only_with_the_same_id(daemon, target):
    target.answer = lambda text: 0.02
    said = []
    for run in range(4):
        async with daemon() as unit:
            for n in range(20):
                said.append(f"{run}.{n}")
                unit.say(said[-1])
                await trio.sleep(0.002)
            # what the journal has not got when the process dies is lost; that is not what is tried here
            await until(lambda run=run: any(text.startswith(f"{run}.") for text in texts(target)))
            await trio.sleep(0.1)
    target.answer = lambda text: None
    async with daemon() as unit:
        await until(lambda: set(said) <= set(texts(target)))
        standing = await unit.db.read(outbox.standing, "out")
        assert standing.failures == 0
    ids = {}
    for text, name in target.got:
        assert ids.setdefault(text, name) == name
    assert len(set(ids.values())) == len(ids)


async def test_a_crash_makes_no_false_alarm_of_a_cursor_beyond_the_journal(daemon, target):
    async with daemon() as unit:
        unit.say("a")
        await until(lambda: target.got)
        beyond = Position(1, 1000)  # as when the process dies before the journal has what the outbox has
        await unit.db.run(cursors.put, "sink.out", beyond, now_ns=1)
    async with daemon() as unit:
        unit.say("b")
        await until(lambda: len(target.got) >= 2)
        batch = await unit.records.receive()
        assert [type(record) for record in batch.records] == [Status]


async def test_live_delivery_has_an_outbox_too(daemon, target):
    target.answer = lambda text: Retry("no")
    async with daemon(delivery="live") as unit:
        assert isinstance(unit, LiveSinkUnit)
        unit.say("a")
        await until(lambda: unit.meter.retries == 3)
    target.answer = lambda text: None
    async with daemon(delivery="live", schedule=("0s", "0s", "0s", "0s", "0s")) as unit:
        # its next attempt is due in an hour
        assert (await unit.db.read(outbox.standing, "out")).messages == 1


async def test_others_are_told_when_it_keeps_failing_and_when_it_works_again(daemon, target):
    target.answer = lambda text: Retry("status 500")
    async with daemon(breaker=BreakerSettings(open="10ms"), schedule=("0s",) + ("1ms",) * 99) as unit:
        unit.say("a")
        await until(lambda: unit.meter.retries >= 4)
        target.answer = lambda text: None
        await until(lambda: target.got)
        batch = await unit.records.receive()
        told = [record for record in batch.records if isinstance(record, Endpoint)]
        assert [(one.source, one.state) for one in told] == [
            ("sink.out", "failing"),
            ("sink.out", "recovered"),
        ]
        assert told[0].detail == "status 500"
        assert all(one.ts_recv > 1 for one in told)


async def test_one_that_is_gone_for_good_fails_and_says_so(daemon, target):
    target.answer = lambda text: Rejected("disabled: gone")
    async with daemon(breaker=BreakerSettings()) as unit:
        unit.say("a")
        await until(lambda: unit.state == "failed")
        assert unit.detail == "disabled: gone"
        batch = await unit.records.receive()
        assert batch.records[-1].state == "disabled"
        assert (await unit.db.read(outbox.standing, "out")).messages == 1


async def test_a_unit_that_is_released_leaves_the_rest_to_its_successor(daemon, target):
    target.answer = lambda text: 0.05
    async with daemon() as unit:
        unit.say(*[f"{n:02}" for n in range(40)])
        await until(lambda: target.got)
        unit.release()
        await until(lambda: unit.state == "finished")
        left = (await unit.db.read(outbox.standing, "out")).messages
        assert left == 40 - len(target.got) > 20


def test_only_message_sinks_with_a_schedule_have_an_outbox():
    assert by_message(settings())
    assert not by_message(settings(schedule=None))
