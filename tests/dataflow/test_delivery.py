"""Delivery to a pushing sink: batches, retries, refusals, and what an error does to the batch in hand."""

from types import SimpleNamespace

import pytest
import trio
import trio.testing

from tickerd.config import BreakerSettings, RetrySettings
from tickerd.dataflow.delivery import Meter, NoCommit, deliver
from tickerd.dataflow.guard import Guard
from tickerd.dataflow.hub import Hub
from tickerd.instruments import Namespace
from tickerd.plugin import Clock, Position, Reject, Rejected, Retry


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

        async def run(self, sink, max_wait=0.0, retry=None, guard=None, keeps=True):
            await deliver(
                sink,
                self.subscription,
                self.meter,
                commit=NoCommit(),
                batch=SimpleNamespace(max_ticks=100, max_wait=max_wait),
                retry=RetrySettings(**(retry or {"cap": "4s"})),
                clock=Clock(),
                retrying=lambda error, wait: self.retries.append((error.reason, wait)),
                answered=self.refuse,
                guard=guard,
                keeps=keeps,
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


SHORT = {"schedule": ("0s", "1s", "5s"), "jitter": 0}


async def test_after_the_schedule_a_batch_is_refused_for_good(line, autojump_clock):
    line.publish(1, 2)
    line.publish(3)
    line.hub.close()
    began = trio.current_time()
    sink = ScriptedSink(*[Retry("status 500")] * 3)
    await line.run(sink, retry=SHORT)
    assert trio.current_time() - began == pytest.approx(6)
    assert line.refused == [Reject(Position(1, n), "status 500") for n in (1, 2, 3)]
    assert (line.meter.rejected, line.meter.written, line.meter.given_up) == (3, 0, 0)


async def test_where_nothing_is_kept_it_is_only_counted(line, autojump_clock):
    line.publish(1, 2)
    line.hub.close()
    await line.run(ScriptedSink(*[Retry("no")] * 3), retry=SHORT, keeps=False)
    assert line.refused == []
    assert (line.meter.given_up, line.meter.rejected, line.meter.batches) == (2, 0, 0)


async def test_an_attempt_that_takes_too_long_is_made_again(line, autojump_clock):
    line.publish(1)
    line.hub.close()

    class Slow(ScriptedSink):
        tries = 0

        async def write(self, batch):
            self.tries += 1
            if self.tries == 1:
                await trio.sleep_forever()
            return await super().write(batch)

    sink = Slow()
    await line.run(sink, retry={**SHORT, "timeout": "3s"})
    assert (sink.tries, sink.taken) == (2, [[1]])
    assert line.retries == [("took longer than 3 s", 1.0)]


async def test_newer_ticks_take_the_place_of_those_that_were_not_taken(line, autojump_clock):
    line.subscription = line.hub.subscribe("sink.y", "conflate", 1 << 20)[1]
    line.publish(1, 2)
    sink = ScriptedSink(Retry("no"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: line.run(sink, retry=SHORT))
        await trio.sleep(0.5)
        line.publish(2, 3)
        await trio.sleep(5)
        nursery.cancel_scope.cancel()
    assert sink.taken == [[1, 2, 3]]
    assert line.subscription.merged == 1


async def test_what_has_become_too_old_meanwhile_is_not_sent_at_all(line, autojump_clock):
    line.publish(1)  # received in 1970
    line.hub.close()
    sink = ScriptedSink(Retry("no"))
    await line.run(sink, retry={**SHORT, "max_age": "30s"})
    assert sink.taken == []
    assert line.subscription.expired == 1
    assert line.meter.written == 0


async def test_while_the_breaker_is_open_nothing_is_written(line, autojump_clock):
    told = []
    guard = Guard(BreakerSettings(failures=2), Clock().now_ns, lambda *what: told.append(what), lambda: 1.0)
    line.publish(1)
    line.hub.close()
    sink = ScriptedSink(Retry("no"), Retry("no"))
    began = trio.current_time()
    await line.run(sink, retry={"schedule": ("0s",) + ("1s",) * 9, "jitter": 0}, guard=guard)
    assert sink.taken == [[1]]
    assert trio.current_time() - began == pytest.approx(31)
    assert guard.breaker.state == "closed"


async def test_a_sink_that_says_no_for_good_is_told_and_its_batch_goes_back(line):
    told = []
    guard = Guard(BreakerSettings(), Clock().now_ns, lambda *what: told.append(what))
    line.publish(1)
    with pytest.raises(Rejected):
        await line.run(ScriptedSink(Rejected("gone")), guard=guard)
    assert told == [("disabled", "gone")]
    line.hub.close()
    sink = ScriptedSink()
    await line.run(sink)
    assert sink.taken == [[1]]
