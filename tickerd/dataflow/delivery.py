"""Feeding a pushing sink from its subscription: batches, retries with back-off, and what was refused."""

import math
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import trio

from tickerd.dataflow.guard import Guard
from tickerd.dataflow.schedule import Steps, next_wait
from tickerd.plugin import Batch, Clock, Position, Reject, Rejected, Retry, Sink
from tickerd.plugin.errors import may_pass


class BatchPolicy(Protocol):
    """How much is gathered before a sink is called; the ``batch`` option."""

    @property
    def max_ticks(self) -> int:
        """Ticks in one call, at most."""
        ...

    @property
    def max_wait(self) -> float:
        """Seconds to gather, at most."""
        ...


class RetryPolicy(Steps, Protocol):
    """How a batch that was not taken is offered again; the ``retry`` option."""

    @property
    def timeout(self) -> float | None:
        """Longest time for one attempt, in seconds."""
        ...

    @property
    def max_age(self) -> float | None:
        """Ticks older than this, in seconds, are not offered again."""
        ...


@dataclass
class Meter:
    """What a sink has done; read by status and metrics."""

    written: int = 0
    """Ticks and records taken."""
    batches: int = 0
    rejected: int = 0
    """Refused for good."""
    retries: int = 0
    given_up: int = 0
    """Not delivered when the schedule had ended; only of live delivery, otherwise they are refused."""
    waiting: int = 0
    """Messages in the outbox."""
    waiting_bytes: int = 0
    passed_by: int = 0
    """Messages that others did not wait for any more: so often the order was broken."""
    lost: int = 0
    """Still undelivered when the sink was stopped."""
    retrying: str | None = None
    """Why the batch in hand was not taken, while it is being offered again."""
    last_write_ns: int | None = None


class Feed(Protocol):
    """Where a sink's batches come from: a `Subscription`, or a `tickerd.dataflow.durable.DurableFeed`."""

    async def receive(self, max_ticks: int, max_wait: float) -> Batch:
        """The next batch; ``trio.EndOfChannel`` when it has ended and is drained."""
        ...

    def put_back(self, batch: Batch) -> None:
        """It was not taken; it comes first the next time."""
        ...

    def renew(self, batch: Batch, oldest_ns: int | None) -> Batch:
        """It was not taken and is offered again now: the same, or what has taken its place meanwhile.

        Ticks received before ``oldest_ns`` may be left out; what is left may be empty.
        """
        ...

    def discard(self, batch: Batch, reason: str) -> None:
        """A bug met it; offered again it would meet the bug again."""
        ...

    def forfeit(self, batch: Batch) -> int:
        """How many ticks and records are lost when the sink is stopped with this batch in hand."""
        ...


class Commit(Protocol):
    """How far a durable sink has got, made safe."""

    @property
    def due(self) -> float:
        """Seconds until what was written should be made safe; infinite when nothing is open."""
        ...

    def written(self, position: Position) -> None:
        """The sink has taken everything up to here."""
        ...

    async def now(self) -> None:
        """Make it safe."""
        ...


class NoCommit:
    """For live delivery: nothing is kept."""

    due = float("inf")

    def written(self, position: Position) -> None:
        """Nothing."""

    async def now(self) -> None:
        """Nothing."""
        await trio.lowlevel.checkpoint()


Answered = Callable[[Batch, Sequence[Reject]], Awaitable[None]]
"""Called with each batch that was taken, and what of it was refused for good."""

NOWHERE = Position(0, 0)


async def deliver(
    sink: Sink,
    feed: Feed,
    meter: Meter,
    *,
    commit: Commit,
    batch: BatchPolicy,
    retry: RetryPolicy,
    clock: Clock,
    retrying: Callable[[Retry, float], None],
    answered: Answered,
    guard: Guard | None = None,
    keeps: bool = True,
) -> None:
    """Feed the sink until its subscription has ended and is drained.

    Whatever ``write`` raises except `Retry` passes through. The batch in hand goes back into the subscription
    when the error may pass, is dropped with a gap record when it is a bug, which the same batch would meet
    again, and is counted as lost when the sink is stopped.

    Args:
        guard: holds attempts back; without one nothing does.
        keeps: what is given up at the end of the schedule is refused for good, and so may become dead letters;
            otherwise it is only counted.

    Raises:
        Rejected: the sink itself said so, or it has failed for so long that there is no hope.
    """
    guard = guard or Guard(None, clock.now_ns, lambda *_: None)
    offer = _Offer(sink, feed, meter, retry, guard, clock, keeps, retrying)
    while True:
        parcel = await _next(feed, batch, commit)
        if parcel is None:
            await commit.now()
            return
        try:
            rejects = await offer.make(parcel) if len(parcel) else ()
        except trio.Cancelled:
            meter.lost += feed.forfeit(offer.batch)
            raise
        except Exception as error:
            if may_pass(error) or isinstance(error, Rejected):
                feed.put_back(offer.batch)
            else:
                feed.discard(offer.batch, "sink_failed")
            raise
        parcel = offer.batch if len(parcel) else parcel
        if parcel.last > NOWHERE:
            commit.written(parcel.last)
        if offer.taken or not len(parcel):
            meter.batches += 1
            meter.written += len(parcel) - len(rejects)
            meter.last_write_ns = clock.now_ns()
        meter.rejected += len(rejects)
        await answered(parcel, rejects)


async def _next(feed: Feed, batch: BatchPolicy, commit: Commit) -> Batch | None:
    """The next batch, or None at the end; in the meantime what was written is committed when it is due."""
    while True:
        if commit.due <= 0:
            await commit.now()
        with trio.move_on_after(commit.due):
            try:
                return await feed.receive(batch.max_ticks, batch.max_wait)
            except trio.EndOfChannel:
                return None


@dataclass
class _Offer:
    """Offers one batch after the other to a sink, each until it is taken or given up."""

    sink: Sink
    feed: Feed
    meter: Meter
    policy: RetryPolicy
    guard: Guard
    clock: Clock
    keeps: bool
    retrying: Callable[[Retry, float], None]
    batch: Batch = field(default_factory=lambda: Batch(ticks=()))
    """The one in hand, as it was last brought up to date."""
    taken: bool = False

    async def make(self, batch: Batch) -> Sequence[Reject]:
        """What of it was refused for good."""
        self.batch, self.taken = batch, False
        failures = 0
        if self.policy.schedule:
            await trio.sleep(self.policy.schedule[0])
        while True:
            if await self.guard.admitted() != "at_once" or failures:
                self.batch = self.feed.renew(self.batch, self._oldest_ns())
            if not len(self.batch):
                self.guard.told_nothing()
                return ()
            failure = await self._attempt()
            if not isinstance(failure, Retry):
                self.meter.retrying = None
                self.taken = True
                return failure
            failures += 1
            wait = next_wait(self.policy, failures, failure.after, random.random)
            self.meter.retrying = failure.reason
            if wait is None:
                return self._given_up(failure)
            self.meter.retries += 1
            self.retrying(failure, wait)
            await trio.sleep(wait)

    async def _attempt(self) -> Sequence[Reject] | Retry:
        """One call of ``write``: what was refused, or why it was not taken."""
        failure = None
        try:
            with trio.move_on_after(self.policy.timeout or math.inf) as limit:
                rejects = await self.sink.write(self.batch)
        except Retry as error:
            failure = error
        except Rejected as error:
            self.guard.disabled(str(error))
            raise
        except BaseException:
            self.guard.told_nothing()
            raise
        if limit.cancelled_caught:
            failure = Retry(f"took longer than {self.policy.timeout:g} s")
        if failure is None:
            self.guard.succeeded()
            return rejects
        if self.guard.failed(failure.reason, failure.weight) == "disabled":
            raise Rejected(f"disabled: it has failed for days, at last with: {failure.reason}")
        return failure

    def _oldest_ns(self) -> int | None:
        age = self.policy.max_age
        return None if age is None else self.clock.now_ns() - round(age * 1e9)

    def _given_up(self, failure: Retry) -> Sequence[Reject]:
        if not self.keeps:
            self.meter.given_up += len(self.batch)
            return ()
        positions = [tick.position for tick in self.batch.ticks]
        positions += [Position(record.epoch, record.seq) for record in self.batch.records]
        return [Reject(position, failure.reason) for position in positions]
