"""Feeding a pushing sink from its subscription: batches, retries with back-off, and what was refused."""

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import trio

from tickerd.plugin import Batch, Clock, Position, Reject, Retry, Sink
from tickerd.plugin.backoff import backoff
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


class RetryPolicy(Protocol):
    """How a batch that was not taken is offered again; the ``retry`` option."""

    @property
    def initial(self) -> float:
        """Longest first wait, in seconds."""
        ...

    @property
    def cap(self) -> float:
        """Longest wait, in seconds."""
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
) -> None:
    """Feed the sink until its subscription has ended and is drained.

    Whatever ``write`` raises except `Retry` passes through. The batch in hand goes back into the subscription
    when the error may pass, is dropped with a gap record when it is a bug, which the same batch would meet
    again, and is counted as lost when the sink is stopped.
    """
    while True:
        parcel = await _next(feed, batch, commit)
        if parcel is None:
            await commit.now()
            return
        try:
            rejects = await _write(sink, parcel, meter, retry, retrying) if len(parcel) else ()
        except trio.Cancelled:
            meter.lost += feed.forfeit(parcel)
            raise
        except Exception as error:
            if may_pass(error):
                feed.put_back(parcel)
            else:
                feed.discard(parcel, "sink_failed")
            raise
        if parcel.last > NOWHERE:
            commit.written(parcel.last)
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


async def _write(
    sink: Sink, batch: Batch, meter: Meter, policy: RetryPolicy, retrying: Callable[[Retry, float], None]
) -> Sequence[Reject]:
    attempt = 0
    while True:
        try:
            rejects = await sink.write(batch)
        except Retry as error:
            attempt += 1
            wait = max(
                error.after or 0.0,
                backoff(attempt, initial=policy.initial, cap=policy.cap, random=random.random),
            )
            meter.retries += 1
            meter.retrying = error.reason
            retrying(error, wait)
            await trio.sleep(wait)
        else:
            meter.retrying = None
            return rejects
