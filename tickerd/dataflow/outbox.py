"""Delivering messages from the outbox: composed once, kept in the state file, sent until taken or given up.

Three kinds of tasks. The intake has the sink compose messages of what its feed brings, and puts them into the outbox in
one transaction with the sink's position. The loader reads what is due, and hands it to the senders. The clerk
writes down what became of attempts, many at a time; until it has, a message counts as held, and is not read again.
A crash in between sends a message once more, with the same id.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import trio
from structlog.typing import FilteringBoundLogger

from tickerd.dataflow.clerk import AGAIN_S, Clerk
from tickerd.dataflow.commit import DurableCommit
from tickerd.dataflow.delivery import Meter, RetryPolicy
from tickerd.dataflow.guard import Guard, Standing
from tickerd.dataflow.schedule import next_wait
from tickerd.plugin import Batch, Clock, Message, MessageSink, Position, Rejected, Retry
from tickerd.plugin.errors import may_pass
from tickerd.state import Database, StateError, deadletters, outbox
from tickerd.state.outbox import Later, Waiting

PAGE = 500
"""Messages that are read at once."""
LOOK_S = 5.0
"""Between two looks for dead letters that are to be offered again."""
REDRIVEN = 100
"""Of them at once."""
IDLE_S = 60.0
"""How often the position of a sink that has nothing to do moves on."""
LAST_FLUSH_S = 2.0
SPREAD_S = 30.0
"""Within this, or the first wait of the schedule, what has failed before is tried again after a restart."""


class OutboxPolicy(RetryPolicy, Protocol):
    """The ``retry`` option, as far as messages with attempts of their own need it."""

    @property
    def hold(self) -> float:
        """In order: how long a message that fails holds up others, in seconds."""
        ...

    @property
    def outbox(self) -> int:
        """Most that waits on disk, in bytes."""
        ...


class Source(Protocol):
    """What the intake reads; a part of `tickerd.dataflow.delivery.Feed`."""

    async def receive(self, max_ticks: int, max_wait: float) -> Batch:
        """The next batch; ``trio.EndOfChannel`` when it has ended."""
        ...


@dataclass(frozen=True)
class Desk:
    """What an outbox works with."""

    name: str
    """The sink's."""
    db: Database
    clock: Clock
    guard: Guard
    meter: Meter
    sending: trio.CapacityLimiter
    """Shared by all outboxes: attempts at the same time."""
    log: FilteringBoundLogger
    max_ticks: int = 10_000
    max_wait: float = 0.0
    max_bytes: int = 2**24
    """Most that is read from the outbox at once."""
    draw: Callable[[], float] = random.random


class Outbox:
    """One attempt at running one sink's outbox.

    Args:
        sink: is open.
        policy: see `OutboxPolicy`.
        commit: where the sink's position is kept; None with live delivery.
        settled: up to where nothing can come any more that the sink wants; see `DurableFeed.settled`.
    """

    def __init__(
        self,
        desk: Desk,
        sink: MessageSink,
        policy: OutboxPolicy,
        commit: DurableCommit | None,
        settled: Callable[[], Position | None] = lambda: None,
    ) -> None:
        self._desk = desk
        self._log = desk.log
        self._sink = sink
        self._policy = policy
        self._commit = commit
        self._settled_at = settled
        self._clerk = Clerk(desk.name, desk.db, desk.guard, desk.log, ordered=sink.ordered, wake=self._wake)
        self._newest = 0
        self._closing = trio.Event()
        self._left = False
        self._looked_ns = 0
        self._news = trio.Event()
        self._fatal: Exception | None = None
        self._scope = trio.CancelScope()

    async def run(self, feed: Source, stop: Callable[[], bool] = lambda: False) -> None:
        """Deliver until the feed has ended and nothing is due, or the sink cannot go on.

        Args:
            stop: asked once the feed has ended: whether to leave what is due to a successor.

        Raises:
            Rejected: the sink, or its long record of failures, says that a person must act.
            Exception: what ``compose`` raised.
        """
        try:
            with self._scope:
                await self._begin()
                async with trio.open_nursery() as clerks:
                    clerks.start_soon(self._clerk.run)
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._guarded, self._take_in, feed)
                        nursery.start_soon(self._guarded, self._deliver, stop)
                        nursery.start_soon(self._guarded, self._redrive)
                    clerks.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True), trio.move_on_after(LAST_FLUSH_S):
                await self._clerk.flush()
        if self._fatal is not None:
            raise self._fatal

    async def _begin(self) -> None:
        desk = self._desk
        standing = await desk.db.read(outbox.standing, desk.name)
        desk.guard.standing = Standing(standing.failing_since_ns, standing.failures)
        steps = self._policy.schedule or (0.0,)
        window = min(SPREAD_S, steps[1] if len(steps) > 1 else self._policy.initial)
        await desk.db.run(outbox.spread, desk.name, desk.clock.now_ns(), round(window * 1e9))
        desk.meter.waiting, desk.meter.waiting_bytes = standing.messages, standing.bytes

    async def _guarded(self, work: Callable[..., object], *args: object) -> None:
        """Run one of the tasks; what it raises ends the others and comes out of `run` as it is."""
        try:
            await work(*args)  # type: ignore[misc]
        except Exception as error:  # noqa: BLE001 - raised by `run`
            self._fatal = self._fatal or error
            self._scope.cancel()

    # -- intake ----------------------------------------------------------------------------------------

    async def _take_in(self, feed: Source) -> None:
        """Compose and keep, until the feed has ended."""
        idle: Position | None = None
        while True:
            every = IDLE_S if self._commit is None else min(IDLE_S, self._commit.due)
            with trio.move_on_after(every) as limit:
                try:
                    batch = await feed.receive(self._desk.max_ticks, self._desk.max_wait)
                except trio.EndOfChannel:
                    break
            if not limit.cancelled_caught:
                await self._keep(self._sink.compose(batch) if len(batch) else (), batch.last)
                idle = None
            elif self._commit is not None:
                # the mark of the last look: what the journal has on disk by now
                await self._move_on(idle)
                idle = self._settled_at()
        await self._keep((), None, now=True)
        self._closing.set()
        self._wake()
        self._desk.guard.wake()

    async def _move_on(self, position: Position | None) -> None:
        await self._keep((), position, now=True)

    async def _keep(
        self, messages: Sequence[Message], position: Position | None, *, now: bool = False
    ) -> None:
        """Put messages into the outbox, and note the position: with them, or when it is due."""
        commit = self._commit
        if commit is not None and position is not None and position > (0, 0):
            commit.written(position)
        if not messages and not (commit is not None and (now or commit.due <= 0)):
            return
        while not await self._put(messages):  # noqa: ASYNC110 - nothing tells when the file can be written again
            await trio.sleep(AGAIN_S)
        if messages:
            self._wake()

    async def _put(self, messages: Sequence[Message]) -> bool:
        desk, commit = self._desk, self._commit
        position = None if commit is None else commit.position
        if position is None and not messages:
            return True
        kept = await self._sink.commit() if commit is not None else b""
        try:
            taken = await desk.db.run(
                outbox.take_in,
                desk.name,
                messages,
                cursor=None if commit is None or position is None else (commit.unit, position, kept),
                max_bytes=self._policy.outbox,
                now_ns=desk.clock.now_ns(),
                wait_ns=round((self._policy.schedule or (0.0,))[0] * 1e9),
            )
        except StateError as error:
            self._log.error("messages cannot be kept, will try again", reason=str(error))
            return False
        if commit is not None and position is not None:
            await commit.stored(position)
        desk.meter.waiting += taken.put - taken.overflowed
        if taken.overflowed:
            desk.meter.rejected += taken.overflowed
            self._log.error("outbox is full, oldest messages became dead letters", count=taken.overflowed)
        return True

    async def _redrive(self) -> None:
        """Put dead letters that somebody wants offered again back into the outbox."""
        desk = self._desk
        while not self._closing.is_set():
            try:
                if await desk.db.read(deadletters.take_redrives, desk.name, 1):
                    count = await desk.db.run(
                        outbox.take_back, desk.name, limit=REDRIVEN, now_ns=desk.clock.now_ns()
                    )
                    self._log.info("dead letters are offered again", count=count)
                    desk.meter.waiting += count
                    self._wake()
            except StateError as error:
                self._log.error("dead letters cannot be read", reason=str(error))
            with trio.move_on_after(LOOK_S):
                await self._closing.wait()

    # -- sending ---------------------------------------------------------------------------------------

    async def _deliver(self, stop: Callable[[], bool]) -> None:
        """Hand what is due to the senders; ends when the feed has ended and nothing is due."""
        ways = 1 if self._sink.ordered else max(1, self._sink.in_flight)
        give, take = trio.open_memory_channel[Waiting](0)
        async with trio.open_nursery() as nursery, give:
            for _ in range(ways):
                nursery.start_soon(self._guarded, self._send_all, take.clone())
            take.close()
            while not self._ends(stop):
                news = self._news
                page = await self._page()
                if not page and self._closing.is_set() and not self._clerk.held:
                    break
                for one in page:
                    if self._ends(stop):
                        break
                    await give.send(one)
                if not page:
                    await self._until_due(news)

    def _ends(self, stop: Callable[[], bool]) -> bool:
        """Nothing more shall be sent, though some of it is due."""
        return self._closing.is_set() and (self._left or stop())

    async def _page(self) -> list[Waiting]:
        """The next messages to be sent; they count as held from now on."""
        db, name = self._desk.db, self._desk.name
        now = self._looked_ns = self._desk.clock.now_ns()
        limit, most = PAGE + len(self._clerk.held), self._desk.max_bytes
        try:
            found = list(
                await db.read(
                    outbox.due, name, until_ns=now, limit=limit, max_bytes=most, only_aside=self._sink.ordered
                )
            )
            if self._sink.ordered:
                found += await db.read(outbox.in_order, name, after=self._newest, limit=PAGE, max_bytes=most)
        except StateError as error:
            self._log.error("outbox cannot be read, will try again", reason=str(error))
            await trio.sleep(AGAIN_S)
            return []
        page = [one for one in found if one.row not in self._clerk.held]
        self._clerk.held.update(one.row for one in page)
        self._newest = max((one.row for one in page if not one.aside), default=self._newest)
        return page

    async def _until_due(self, news: trio.Event) -> None:
        """Wait until something is new, or the next attempt is due."""
        desk = self._desk
        after, aside = self._looked_ns, self._sink.ordered
        try:
            due = await desk.db.read(outbox.next_due, desk.name, after_ns=after, only_aside=aside)
        except StateError:
            due = after + round(AGAIN_S * 1e9)
        now = desk.clock.now_ns()
        with trio.move_on_after(math.inf if due is None else max(0.0, (due - now) / 1e9)):
            await news.wait()

    async def _send_all(self, channel: trio.MemoryReceiveChannel[Waiting]) -> None:
        async with channel:
            async for one in channel:
                await self._clerk.room()
                if not self._left:
                    await self._send(one)

    async def _send(self, one: Waiting) -> None:
        """Attempts at one message: one, or in order as many as it may hold others up for."""
        wait = (one.due_ns - self._desk.clock.now_ns()) / 1e9
        while await self._may_be_sent(wait):
            failure = await self._attempt(one)
            if failure is None:
                self._clerk.delivered(one.row)
                return
            later = self._failed(one, failure)
            if later is None:
                return
            one, wait = later
        self._left = True  # in order, nothing may overtake it; and while the breaker is open, nothing is sent

    async def _may_be_sent(self, wait: float) -> bool:
        """Wait so long, and for the breaker; False: everything is about to end before."""
        if wait > 0:
            with trio.move_on_after(wait):
                await self._closing.wait()
                return False
        return await self._desk.guard.admitted(self._closing.is_set) != "left"

    async def _attempt(self, one: Waiting) -> Retry | None:
        """One attempt; why it failed, or None."""
        desk, attempt = self._desk, one.attempts + 1
        failure = None
        try:
            async with desk.sending:
                with trio.move_on_after(self._policy.timeout or math.inf) as limit:
                    await self._sink.send(one.message, attempt)
            if limit.cancelled_caught:
                failure = Retry(f"took longer than {self._policy.timeout:g} s")
        except Retry as error:
            failure = error
        except Rejected as error:
            desk.guard.disabled(str(error))
            raise
        except Exception as error:  # noqa: BLE001 - one message must not stop the others
            reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            self._log.error("sending failed", reason=reason, exc_info=None if may_pass(error) else error)
            failure = Retry(reason)
        except BaseException:
            desk.guard.told_nothing()
            raise
        if failure is None:
            desk.guard.succeeded()
            desk.meter.written += 1
            desk.meter.waiting -= 1
            desk.meter.retrying = None
            desk.meter.last_write_ns = desk.clock.now_ns()
            return None
        return failure

    def _failed(self, one: Waiting, failure: Retry) -> tuple[Waiting, float] | None:
        """Note a failed attempt: the message as it stands now and its wait, where it goes on being held up for."""
        desk, now = self._desk, self._desk.clock.now_ns()
        attempts = one.attempts + 1
        hopeless = desk.guard.failed(failure.reason, failure.weight) == "disabled"
        wait = next_wait(self._policy, attempts, failure.after, desk.draw)
        desk.meter.retrying = failure.reason
        if wait is None:
            self._give_up(one, failure, attempts)
            wait, later = 0.0, None
        else:
            desk.meter.retries += 1
            later = self._later(one, attempts, now, wait)
            self._log.warning(
                "message not delivered, will try again",
                message=one.message.id,
                attempt=attempts,
                reason=failure.reason,
                wait_s=round(wait, 3),
            )
        if hopeless:
            raise Rejected(f"disabled: it has failed for days, at last with: {failure.reason}")
        return None if later is None else (later, wait)

    def _later(self, one: Waiting, attempts: int, now: int, wait: float) -> Waiting | None:
        """Note the next attempt; the message where it is to be held up for, None where it is passed by."""
        due = now + round(wait * 1e9)
        tried = one.tried_ns or now
        aside = one.aside
        if self._sink.ordered and not aside and due - tried > self._policy.hold * 1e9:
            aside = True
            self._desk.meter.passed_by += 1
            self._log.error("order is broken: a message is passed by", message=one.message.id)
        self._clerk.later(Later(one.row, attempts, tried, due, aside))
        if not self._sink.ordered or aside:
            return None
        return one._replace(attempts=attempts, tried_ns=tried, due_ns=due)

    def _give_up(self, one: Waiting, failure: Retry, attempts: int) -> None:
        desk = self._desk
        letter = outbox.letter_of(
            desk.name, one, failure.reason, desk.clock.now_ns(), attempts=attempts, response=failure.response
        )
        self._clerk.given_up(one.row, letter)
        desk.meter.rejected += 1
        desk.meter.waiting -= 1
        self._log.error(
            "message given up, it is a dead letter",
            message=one.message.id,
            attempts=attempts,
            reason=failure.reason,
        )

    def _wake(self) -> None:
        self._news.set()
        self._news = trio.Event()
