"""Feeding a pushing sink from its subscription: batches, retries with back-off, and what was refused."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import trio

from tickerd.dataflow.subscription import Subscription
from tickerd.plugin import Batch, Clock, Reject, Retry, Sink
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


Refused = Callable[[Sequence[Reject]], None]


async def deliver(
    sink: Sink,
    subscription: Subscription,
    meter: Meter,
    *,
    batch: BatchPolicy,
    retry: RetryPolicy,
    clock: Clock,
    retrying: Callable[[Retry, float], None],
    refused: Refused,
) -> None:
    """Feed the sink until its subscription has ended and is drained.

    Whatever ``write`` raises except `Retry` passes through. The batch in hand goes back into the subscription
    when the error may pass, is dropped with a gap record when it is a bug, which the same batch would meet
    again, and is counted as lost when the sink is stopped.
    """
    while True:
        try:
            parcel = await subscription.receive(batch.max_ticks, batch.max_wait)
        except trio.EndOfChannel:
            return
        try:
            rejects = await _write(sink, parcel, meter, retry, retrying)
        except trio.Cancelled:
            meter.lost += len(parcel) + subscription.queued_ticks
            raise
        except Exception as error:
            if may_pass(error):
                subscription.put_back(parcel)
            else:
                subscription.discard(parcel, "sink_failed")
            raise
        meter.batches += 1
        meter.written += len(parcel) - len(rejects)
        meter.last_write_ns = clock.now_ns()
        if rejects:
            meter.rejected += len(rejects)
            refused(rejects)


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
