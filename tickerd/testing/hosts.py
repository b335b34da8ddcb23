"""Runs one unit as the supervisor does: with its deadlines, and with a context that closes behind it."""

import math
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import trio

from tickerd.plugin import ServingSink, Sink, Source
from tickerd.testing.fakes import FakeContext

START_DEADLINE_S = 10.0
"""A unit has to call ``started()``, or to have entered its context manager, by then."""
STOP_DEADLINE_S = 5.0
"""A unit that was cancelled has to have ended by then."""

AnySink = TypeVar("AnySink", bound=Sink)


@asynccontextmanager
async def running(unit: Source | ServingSink, ctx: Any) -> AsyncIterator[None]:
    """Run a source or a serving sink for the length of the block, then cancel it.

    What the unit raises comes out of the block, in an ``ExceptionGroup`` as nurseries make them.

    Raises:
        AssertionError: it was not started in time, or did not stop in time.
    """
    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()
        stopped = trio.Event()
        try:
            with trio.fail_after(START_DEADLINE_S):
                await nursery.start(_host, unit, ctx, scope, stopped)
        except trio.TooSlowError:
            raise AssertionError(
                f"{type(unit).__name__}.run did not call task_status.started() within {START_DEADLINE_S:g} s"
            ) from None
        try:
            yield
        finally:
            await _stop(type(unit).__name__, scope, stopped)  # noqa: ASYNC102 - it shields itself, with a limit
            ctx.close()


@asynccontextmanager
async def writing(sink: AnySink, ctx: FakeContext) -> AsyncIterator[AnySink]:
    """Open a pushing sink for the length of the block, then close it.

    Raises:
        AssertionError: it did not open or close in time.
    """
    name = type(sink).__name__
    late = f"{name}.__aenter__ did not return within {START_DEADLINE_S:g} s"
    try:
        # one scope round everything: what the sink opens, such as a nursery, must be able to outlive its deadline
        with trio.CancelScope(deadline=trio.current_time() + START_DEADLINE_S) as limit:
            opened = await sink.__aenter__()
            limit.deadline = math.inf
            try:
                yield opened
            finally:
                limit.shield = True
                limit.deadline = trio.current_time() + STOP_DEADLINE_S
                late = f"{name}.__aexit__ did not return within {STOP_DEADLINE_S:g} s"
                await sink.__aexit__(*sys.exc_info())  # noqa: ASYNC102 - shielded, with a limit
        if limit.cancelled_caught:
            raise AssertionError(late)
    finally:
        ctx.close()


async def _host(  # noqa: ASYNC114, ASYNC128 - the unit calls `started`
    unit: Source | ServingSink,
    ctx: Any,
    scope: trio.CancelScope,
    stopped: trio.Event,
    *,
    task_status: trio.TaskStatus[None],
) -> None:
    try:
        with scope:
            await partial(unit.run, ctx)(task_status=task_status)
    finally:
        stopped.set()


async def _stop(name: str, scope: trio.CancelScope, stopped: trio.Event) -> None:
    """Cancel and wait. A unit that never ends cannot be ended from here, so it is named while it hangs."""
    scope.cancel()
    with trio.move_on_after(STOP_DEADLINE_S, shield=True):
        await stopped.wait()
        return
    late = f"{name}.run runs {STOP_DEADLINE_S:g} s after it was cancelled; does it swallow Cancelled?"
    sys.stderr.write(f"{late}\n")
    raise AssertionError(late)
