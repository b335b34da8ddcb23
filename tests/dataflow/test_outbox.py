"""Delivering from the outbox: attempts by the schedule, order, caps, dead letters, crashes, and the way out."""

from contextlib import asynccontextmanager

import pytest
import structlog
import trio
import trio.testing

from tickerd.config import RetrySettings
from tickerd.dataflow.commit import DurableCommit
from tickerd.dataflow.delivery import Meter
from tickerd.dataflow.guard import Guard
from tickerd.dataflow.outbox import Desk, Outbox
from tickerd.plugin import Batch, Clock, Message, MessageSink, Options, Position, Rejected, Retry, Status
from tickerd.state import StateError, cursors, deadletters, outbox
from tickerd.state.connection import FILE
from tickerd.state.store import Store

NAME = "alerts"
QUICK = ("0s", "100ms", "300ms", "1s")
DAY = ("0s", "5s", "30s", "5m", "30m", "2h", "5h", "10h", "10h")


class Inline:
    """The state file without its thread, so that virtual time can jump by days."""

    def __init__(self, directory):
        self._store = Store(directory / FILE)

    async def __aenter__(self):
        self._store.open()
        return self

    async def __aexit__(self, *error):
        self._store.close()

    async def run(self, work, *args, **kwargs):
        await trio.lowlevel.checkpoint()
        return self._store.call("fast", lambda connection: work(connection, *args, **kwargs))

    async def read(self, work, *args, **kwargs):
        await trio.lowlevel.checkpoint()
        return self._store.call("read", lambda connection: work(connection, *args, **kwargs))


class Receiver(MessageSink):
    """Answers each attempt as the test's ``answer(number, attempt)`` says: None, an exception, or seconds to hang."""

    Options = Options

    def __init__(self, answer=lambda number, attempt: None, *, ordered=False, in_flight=4):
        self.answer = answer
        self.ordered = ordered
        self.in_flight = in_flight
        self.tries = []
        self.taken = []
        self.busy = self.most_busy = 0
        self.composed = 0
        self.restored = None

    def compose(self, batch):
        self.composed += len(batch.records)
        return [
            Message(f"msg_{r.epoch}_{r.seq}", Position(r.epoch, r.seq), "feed.status", r.detail.encode())
            for r in batch.records
        ]

    async def send(self, message, attempt):
        number = int(message.body)
        self.tries.append((number, attempt, trio.current_time(), message.id))
        self.busy += 1
        self.most_busy = max(self.busy, self.most_busy)
        try:
            answer = self.answer(number, attempt)
            if isinstance(answer, BaseException):
                raise answer
            await trio.sleep(answer or 0)
        finally:
            self.busy -= 1
        self.taken.append(number)

    async def commit(self):
        return str(self.composed).encode()

    async def restore(self, position, kept):
        self.restored = (position, kept)

    def numbers(self):
        return [number for number, *_ in self.tries]

    def times(self, number):
        return [at for n, _, at, _ in self.tries if n == number]


class Pipe:
    """A feed that a test fills."""

    def __init__(self):
        self.send, self.take = trio.open_memory_channel(1000)
        self.seq = 0

    def say(self, *numbers):
        records = []
        for number in numbers:
            self.seq += 1
            records.append(
                Status(state="stale", detail=str(number), epoch=1, seq=self.seq, ts_recv=1, source="kite")
            )
        self.send.send_nowait(Batch(ticks=(), records=records, last=Position(1, self.seq)))

    def end(self):
        self.send.close()

    async def receive(self, max_ticks, max_wait):
        return await self.take.receive()


@pytest.fixture
def office(tmp_path):
    """A state file, and `post`, which runs an outbox until the block ends."""

    class Office:
        def __init__(self, db):
            self.db = db
            self.pipe = Pipe()
            self.clock = Clock()
            self.meter = Meter()
            self.told = []
            self.released = False
            self.guard = self.make_guard(None)
            self.sending = trio.CapacityLimiter(64)

        def make_guard(self, policy):
            return Guard(policy, self.clock.now_ns, lambda *told: self.told.append(told), draw=lambda: 1.0)

        async def run(self, sink, durable=True, settled=lambda: None, **retry):
            retry = {"schedule": QUICK, "jitter": 0, **retry}
            policy = RetrySettings(**retry)
            if policy.breaker is not None:
                self.guard = self.make_guard(policy.breaker)
            log = structlog.get_logger()
            desk = Desk(
                NAME, self.db, self.clock, self.guard, self.meter, self.sending, log, draw=lambda: 0.5
            )
            commit = None
            if durable:
                commit = DurableCommit(self.db, f"sink.{NAME}", sink, 1.0, self.clock)
                await commit.begin(Position(0, 0))
            await Outbox(desk, sink, policy, commit, settled).run(self.pipe, lambda: self.released)

        @asynccontextmanager
        async def post(self, sink, **options):
            """Runs while the block runs; then, unless the test has ended it, it is killed."""
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lambda: self.run(sink, **options))
                yield nursery
                nursery.cancel_scope.cancel()

        @property
        def breaker(self):
            found = self.guard.breaker
            return "" if found is None else found.state

        async def standing(self):
            return await self.db.read(outbox.standing, NAME)

        async def letters(self):
            return await self.db.read(deadletters.page, NAME)

    @asynccontextmanager
    async def make():
        async with Inline(tmp_path) as db:
            yield Office(db)

    return make


async def until(condition, limit=3600, every=0.01):
    with trio.fail_after(limit * every / 0.01):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await trio.sleep(every)


async def test_messages_are_delivered_and_nothing_is_left(office, autojump_clock):
    sink = Receiver()
    async with office() as here:
        here.pipe.say(1, 2)
        here.pipe.say(3)
        here.pipe.end()
        await here.run(sink)
        assert sorted(sink.taken) == [1, 2, 3]
        assert (await here.standing()).messages == 0
        assert (here.meter.written, here.meter.waiting) == (3, 0)
        cursor = await here.db.read(cursors.get, f"sink.{NAME}")
        assert (cursor.position, cursor.kept) == (Position(1, 3), b"3")


@pytest.mark.full
async def test_a_message_is_tried_by_the_schedule_for_more_than_a_day_and_is_then_a_dead_letter(
    office, autojump_clock
):
    sink = Receiver(lambda *_: Retry("status 500", response=b"oh no"))
    async with office() as here:
        here.pipe.say(1)
        async with here.post(sink, schedule=DAY):
            await until(lambda: here.meter.rejected, every=60)
            began = sink.tries[0][2]
            due = [0, 5, 35, 335, 2135, 9335, 27335, 63335, 99335]
            assert sink.times(1) == [pytest.approx(began + at, abs=2) for at in due]
            assert {name for *_, name in sink.tries} == {"msg_1_1"}
            assert [attempt for _, attempt, *_ in sink.tries] == list(range(1, 10))
            await trio.sleep(1)
            assert (await here.standing()).messages == 0
            (line,) = await here.letters()
            letter = await here.db.read(deadletters.get, NAME, line.id)
            assert (letter.reason, letter.attempts, letter.message_id) == ("status 500", 9, "msg_1_1")
            assert (letter.response, letter.payload, letter.kind) == (b"oh no", b"1", "feed.status")


async def test_the_other_side_may_ask_for_a_longer_wait(office, autojump_clock):
    sink = Receiver(lambda number, attempt: Retry("status 429", after=60) if attempt == 1 else None)
    async with office() as here:
        here.pipe.say(1)
        async with here.post(sink):
            await until(lambda: sink.taken)
    first, second = sink.times(1)
    assert second - first == pytest.approx(60, abs=1)


async def test_an_attempt_that_takes_too_long_has_failed(office, autojump_clock):
    sink = Receiver(lambda number, attempt: 1000 if attempt == 1 else None)
    async with office() as here:
        here.pipe.say(1)
        async with here.post(sink, timeout="5s"):
            await until(lambda: len(sink.tries) == 2)
            await until(lambda: sink.taken)
    first, second = sink.times(1)
    assert second - first == pytest.approx(5.1, abs=1)


async def test_one_that_fails_does_not_hold_up_the_others(office, autojump_clock):
    sink = Receiver(lambda number, attempt: Retry("no") if number == 1 and attempt < 4 else None)
    async with office() as here:
        here.pipe.say(1, 2, 3, 4, 5, 6)
        async with here.post(sink):
            await until(lambda: len(sink.taken) == 6)
    assert sink.taken[-1] == 1
    assert sorted(sink.taken) == [1, 2, 3, 4, 5, 6]


async def test_no_more_are_on_their_way_than_the_sink_says_and_than_all_may(office, autojump_clock):
    sink = Receiver(lambda *_: 1.0, in_flight=3)
    async with office() as here:
        here.pipe.say(*range(12))
        here.pipe.end()
        await here.run(sink)
        assert sink.most_busy == 3
        here.sending = trio.CapacityLimiter(1)
        narrow = Receiver(lambda *_: 1.0, in_flight=3)
        here.pipe = Pipe()
        here.pipe.seq = 100
        here.pipe.say(*range(5))
        here.pipe.end()
        await here.run(narrow)
        assert (narrow.most_busy, len(narrow.taken)) == (1, 5)


async def test_in_order_each_waits_for_the_one_before(office, autojump_clock):
    sink = Receiver(
        lambda number, attempt: Retry("no") if number % 3 == 0 and attempt < 3 else 0.5, ordered=True
    )
    async with office() as here:
        here.pipe.say(*range(5))
        here.pipe.say(*range(5, 10))
        async with here.post(sink):
            await until(lambda: len(sink.taken) == 10)
    assert sink.taken == list(range(10))
    assert sink.most_busy == 1
    assert here.meter.passed_by == 0


async def test_in_order_a_message_holds_up_others_for_a_while_and_is_then_passed_by(office, autojump_clock):
    sink = Receiver(
        lambda number, attempt: Retry("no") if number == 1 and attempt < 6 else None, ordered=True
    )
    async with office() as here:
        here.pipe.say(1, 2, 3)
        async with here.post(sink, schedule=DAY, hold="60s"):
            await until(lambda: sink.taken == [2, 3])
            # the third failure would mean five minutes
            assert trio.current_time() - sink.tries[0][2] == pytest.approx(35, abs=2)
            assert here.meter.passed_by == 1
            here.pipe.say(4)
            await until(lambda: 4 in sink.taken, 10)
            await until(lambda: sink.taken == [2, 3, 4, 1], every=60)


@pytest.mark.parametrize("ordered", [False, True])
async def test_what_was_not_written_down_is_sent_again_with_the_same_id_after_a_crash(
    office, autojump_clock, ordered
):
    hang = Receiver(lambda number, attempt: 10_000, ordered=ordered)
    async with office() as here:
        here.pipe.say(1, 2, 3)
        async with here.post(hang):
            await until(lambda: hang.tries)
        assert hang.taken == []
        again = Receiver(ordered=ordered)
        here.pipe = Pipe()
        async with here.post(again):
            await until(lambda: len(again.taken) == 3)
        assert sorted(again.taken) == [1, 2, 3]
        assert again.restored == (Position(1, 3), b"3")
        before = {(number, name) for number, _, _, name in hang.tries}
        assert before <= {(number, name) for number, _, _, name in again.tries}
        assert {attempt for _, attempt, *_ in again.tries} == {1}


async def test_attempts_are_remembered_over_a_restart_and_the_order_is_kept(office, autojump_clock):
    down = Receiver(lambda number, attempt: Retry("no") if number == 2 else None, ordered=True)
    async with office() as here:
        here.pipe.say(1, 2, 3)
        async with here.post(down, schedule=("0s", "1s", "50s", "50s"), hold="10m"):
            await until(lambda: len(down.times(2)) == 2)
            await trio.sleep(1)
        up = Receiver(ordered=True)
        here.pipe = Pipe()
        async with here.post(up, schedule=("0s", "1s", "50s", "50s"), hold="10m"):
            await until(lambda: len(up.taken) == 2)
        assert up.taken == [2, 3]
        assert up.tries[0][:2] == (2, 3)  # its third attempt
        assert up.times(2)[0] - down.times(2)[1] == pytest.approx(50, abs=2)


async def test_it_ends_when_the_feed_has_ended_and_leaves_what_is_not_due(office, autojump_clock):
    sink = Receiver(lambda number, attempt: Retry("no") if number == 1 else None)
    async with office() as here:
        here.pipe.say(1, 2)
        here.pipe.end()
        began = trio.current_time()
        await here.run(sink, schedule=("0s", "1h", "1h"))
        assert trio.current_time() - began < 10
        assert sink.taken == [2]
        assert (await here.standing()).messages == 1


async def test_in_order_nothing_overtakes_on_the_way_out(office, autojump_clock):
    sink = Receiver(lambda number, attempt: Retry("no") if number == 1 else None, ordered=True)
    async with office() as here:
        here.pipe.say(1, 2, 3)
        here.pipe.end()
        await here.run(sink, schedule=("0s", "30s", "1h"))
        assert sink.taken == []
        assert (await here.standing()).messages == 3


async def test_what_is_due_is_left_to_a_successor_that_takes_over(office, autojump_clock):
    sink = Receiver(lambda *_: 1.0, in_flight=1)
    async with office() as here:
        here.pipe.say(*range(50))
        here.pipe.end()
        here.released = True
        await here.run(sink)
        assert len(sink.taken) < 5
        assert (await here.standing()).messages == 50 - len(sink.taken)


async def test_while_the_breaker_is_open_nothing_is_tried_and_attempts_do_not_grow(office, autojump_clock):
    health = {"up": False}
    sink = Receiver(lambda *_: None if health["up"] else Retry("status 503"), in_flight=1)
    async with office() as here:
        here.pipe.say(1, 2, 3, 4, 5, 6, 7)
        async with here.post(sink, schedule=DAY, breaker={}):
            await until(lambda: here.breaker == "open")
            assert len(sink.tries) == 5
            await trio.sleep(20)
            assert len(sink.tries) == 5
            await until(lambda: here.guard.breaker.opened == 3)
            assert len(sink.tries) == 7  # one for each time that it was half open
            health["up"] = True
            await until(lambda: len(sink.taken) == 7)
            assert here.breaker == "closed"
            assert max(attempt for _, attempt, *_ in sink.tries) <= 4
    assert [verdict for verdict, _ in here.told] == ["failing", "recovered"]


async def test_a_person_can_close_the_breaker(office, autojump_clock):
    health = {"up": False}
    sink = Receiver(lambda *_: None if health["up"] else Retry("status 503"), in_flight=1)
    async with office() as here:
        here.pipe.say(*range(6))
        async with here.post(sink, schedule=DAY, breaker={"open": "10m"}):
            await until(lambda: here.breaker == "open")
            opened = trio.current_time()
            health["up"] = True
            here.guard.reset()
            await until(lambda: 5 in sink.taken)
            assert trio.current_time() - opened < 60


async def test_a_breaker_that_is_open_does_not_hold_up_the_end(office, autojump_clock):
    sink = Receiver(lambda *_: Retry("status 503"), in_flight=2)
    async with office() as here:
        here.pipe.say(*range(20))
        async with here.post(sink, schedule=DAY, breaker={"open": "10m"}) as nursery:
            await until(lambda: here.breaker == "open")
            began = trio.current_time()
            here.pipe.end()
            await until(lambda: not nursery.child_tasks)
            assert trio.current_time() - began < 10
        assert (await here.standing()).messages == 20


async def test_a_sink_that_says_no_for_good_fails_with_its_words_and_messages_are_kept(
    office, autojump_clock
):
    sink = Receiver(lambda number, attempt: Rejected("gone for good") if number == 2 else None, in_flight=1)
    async with office() as here:
        here.pipe.say(1, 2, 3)
        with pytest.raises(Rejected, match="gone for good"):
            await here.run(sink, breaker={})
        assert here.told == [("disabled", "gone for good")]
        assert sink.taken == [1]
        assert (await here.standing()).messages == 2


async def test_after_five_days_of_failing_it_is_given_up_also_when_there_were_restarts(
    office, autojump_clock, monkeypatch
):
    monkeypatch.setattr("tickerd.dataflow.outbox.LOOK_S", 3600.0)
    async with office() as here:
        sink = Receiver(lambda *_: Retry("status 500"), in_flight=1)
        start = trio.current_time()
        error = None
        for day in range(8):
            here.pipe = Pipe()
            here.pipe.seq = 100 * day
            here.pipe.say(*range(4))
            try:
                with trio.move_on_after(86_400):
                    await here.run(sink, schedule=DAY, breaker={"failures": 1000, "window": 1000})
            except Rejected as found:
                error = found
                break
        assert "disabled" in str(error)
        assert "status 500" in str(error)
        assert 5 * 86_400 <= trio.current_time() - start < 6 * 86_400
        assert here.told[-1][0] == "disabled"
        assert (await here.standing()).failures == 0  # whoever enables it again begins anew


async def test_a_bug_in_the_sink_costs_that_message_its_attempts_and_no_other(office, autojump_clock):
    sink = Receiver(lambda number, attempt: ZeroDivisionError("oops") if number == 1 else None)
    async with office() as here:
        here.pipe.say(1, 2)
        async with here.post(sink):
            await until(lambda: here.meter.rejected == 1)
            await trio.sleep(1)
            (line,) = await here.letters()
            assert line.reason == "ZeroDivisionError: oops"
    assert sink.taken == [2]


async def test_a_bug_in_composing_ends_it_as_it_is(office, autojump_clock):
    sink = Receiver()
    sink.compose = lambda batch: 1 / 0
    async with office() as here:
        here.pipe.say(1)
        with pytest.raises(ZeroDivisionError):
            await here.run(sink)


async def test_when_the_state_file_cannot_be_written_it_waits_and_nothing_is_lost(office, autojump_clock):
    sink = Receiver()
    async with office() as here:
        real, broken = here.db.run, {"yes": True}

        async def run(work, *args, **kwargs):
            if broken["yes"] and work in (outbox.take_in, outbox.settle):
                raise StateError("full", "f", "no space left on device")
            return await real(work, *args, **kwargs)

        here.db.run = run
        here.pipe.say(1, 2)
        async with here.post(sink, durable=False):
            await trio.sleep(30)
            assert sink.tries == []
            broken["yes"] = False
            await until(lambda: len(sink.taken) == 2)
            broken["yes"] = True
            here.pipe.say(3)
            await trio.sleep(5)
            broken["yes"] = False
            await until(lambda: len(sink.taken) == 3)
            await trio.sleep(5)
        assert len(sink.tries) == 3  # outcomes that could not be written down were not tried again
        assert (await here.standing()).messages == 0


async def test_with_live_delivery_messages_are_kept_and_no_position(office, autojump_clock):
    sink = Receiver(lambda *_: 10_000)
    async with office() as here:
        here.pipe.say(1)
        async with here.post(sink, durable=False):
            await until(lambda: sink.tries)
        assert (await here.standing()).messages == 1
        assert await here.db.read(cursors.get, f"sink.{NAME}") is None


async def test_dead_letters_that_are_asked_for_are_sent_again_under_their_ids(office, autojump_clock):
    sink = Receiver(lambda *_: Retry("no"))
    async with office() as here:
        here.pipe.say(1, 2)
        async with here.post(sink):
            await until(lambda: here.meter.rejected == 2)
            await trio.sleep(1)
            sink.answer = lambda *_: None
            await here.db.run(deadletters.request_redrive, NAME, now_ns=1)
            await until(lambda: len(sink.taken) == 2)
            await trio.sleep(1)
            assert await here.letters() == []
    assert {name for *_, name in sink.tries} == {"msg_1_1", "msg_1_2"}


async def test_beyond_its_room_the_oldest_messages_become_dead_letters(office, autojump_clock):
    sink = Receiver(lambda *_: 10_000, in_flight=1)
    async with office() as here:
        async with here.post(sink, outbox="1MiB"):
            for start in range(0, 6000, 1000):
                here.pipe.say(*range(start, start + 1000))
            await until(lambda: here.meter.rejected, 60)
            await trio.sleep(1)
        standing = await here.standing()
        assert standing.bytes <= 2**20
        assert standing.messages + here.meter.rejected == 6000


async def test_the_position_of_a_sink_that_has_nothing_to_do_moves_on(office, autojump_clock):
    at = Position(1, 5)
    async with office() as here:
        async with here.post(Receiver(), settled=lambda: at):
            await trio.sleep(70)
            at = Position(1, 900)
            await trio.sleep(60)
            cursor = await here.db.read(cursors.get, f"sink.{NAME}")
            assert cursor.position == Position(1, 5)  # what the last look found: the journal has it by now
            await trio.sleep(60)
            cursor = await here.db.read(cursors.get, f"sink.{NAME}")
            assert cursor.position == Position(1, 900)
