"""Delivery to a pushing sink: batches, retries, refusals, and what an error does to the batch in hand."""

from types import SimpleNamespace

import pytest
import trio
import trio.testing

from tickerd.dataflow.delivery import Meter, NoCommit, deliver
from tickerd.dataflow.hub import Hub
from tickerd.instruments import Namespace
from tickerd.plugin import Clock, Position, Reject, Retry


class ScriptedSink:
    """Answers each write with the next item of its script: a list of rejects, or an exception."""

    def __init__(self, *script):
        self.script = list(script)
        self.taken = []

    async def write(self, batch):
        await trio.lowlevel.checkpoint()
        answer = self.script.pop(0) if self.script else []
        if isinstance(answer, BaseException):
            raise answer
        self.taken.append([t.instrument_token for t in batch.ticks])
        return answer


@pytest.fixture
def line(read, full):
    """A hub, one subscription, and `run`, which delivers to a sink until the hub closes."""

    class Line:
        def __init__(self):
            self.hub = Hub(epoch=1)
            self.subscription = self.hub.subscribe("sink.x", "drop_oldest", 1 << 20)[1]
            self.meter = Meter()
            self.retries = []
            self.refused = []

        def publish(self, *tokens):
            self.hub.publish(read(*map(full, tokens)), "kite", Namespace("kite"))

        async def run(self, sink, max_wait=0.0):
            await deliver(
                sink,
                self.subscription,
                self.meter,
                commit=NoCommit(),
                batch=SimpleNamespace(max_ticks=100, max_wait=max_wait),
                retry=SimpleNamespace(initial=1.0, cap=4.0),
                clock=Clock(),
                retrying=lambda error, wait: self.retries.append((error.reason, wait)),
                answered=self.refuse,
            )

        async def refuse(self, batch, rejects):
            self.refused += rejects

    return Line()


async def test_everything_is_delivered_before_it_ends(line):
    line.publish(1, 2)
    line.publish(3)
    line.hub.close()
    sink = ScriptedSink()
    await line.run(sink)
    assert sink.taken == [[1, 2, 3]]
    assert (line.meter.written, line.meter.batches) == (3, 1)
    assert line.meter.last_write_ns is not None


async def test_a_batch_that_was_not_taken_is_offered_again_with_growing_waits(line, autojump_clock):
    line.publish(1)
    line.hub.close()
    sink = ScriptedSink(*[Retry("disk full") for _ in range(6)])
    await line.run(sink)
    assert sink.taken == [[1]]
    assert [reason for reason, _ in line.retries] == ["disk full"] * 6
    waits = [wait for _, wait in line.retries]
    assert all(0.1 <= wait <= 4.0 for wait in waits)
    assert line.meter.retries == 6
    assert line.meter.retrying is None


async def test_a_sink_may_ask_for_a_longer_wait(line, autojump_clock):
    line.publish(1)
    line.hub.close()
    began = trio.current_time()
    await line.run(ScriptedSink(Retry("busy", after=30)))
    assert trio.current_time() - began >= 30


async def test_while_it_retries_the_meter_says_why(line, autojump_clock):
    line.publish(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(line.run, ScriptedSink(Retry("read-only", after=10)))
        await trio.sleep(1)
        assert line.meter.retrying == "read-only"
        nursery.cancel_scope.cancel()


async def test_refused_records_are_counted_and_passed_on(line):
    line.publish(1, 2)
    line.hub.close()
    reject = Reject(Position(1, 1), "too odd")
    await line.run(ScriptedSink([reject]))
    assert line.refused == [reject]
    assert (line.meter.written, line.meter.rejected) == (1, 1)


async def test_after_an_outage_the_batch_in_hand_is_delivered_by_the_next_run(line):
    line.publish(1)
    with pytest.raises(OSError, match="gone"):
        await line.run(ScriptedSink(OSError("gone")))
    line.publish(2)
    line.hub.close()
    sink = ScriptedSink()
    await line.run(sink)
    assert sink.taken == [[1, 2]]


async def test_a_batch_that_meets_a_bug_is_dropped_and_told(line):
    line.publish(1)
    with pytest.raises(ZeroDivisionError):
        await line.run(ScriptedSink(ZeroDivisionError()))
    line.publish(2)
    records = (await line.subscription.receive()).records
    assert [(r.reason, r.lost) for r in records] == [("sink_failed", 1)]


async def test_what_a_stopped_sink_still_held_is_counted_as_lost(line):
    line.publish(1, 2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(line.run, ScriptedSink(Retry("down", after=1000)))
        await trio.testing.wait_all_tasks_blocked()
        line.publish(3)
        nursery.cancel_scope.cancel()
    assert line.meter.lost == 3
