"""Core tasks that fail are begun anew and take nobody with them."""

import pytest
import trio

from tickerd.runtime.kept import kept


async def test_what_fails_is_begun_anew(autojump_clock):
    tries = []

    async def work():
        tries.append(trio.current_time())
        if len(tries) < 3:
            raise ZeroDivisionError

    await kept("x", work)
    assert len(tries) == 3
    assert tries[2] - tries[0] >= 2


async def test_it_can_be_cancelled_also_among_errors(autojump_clock):
    async def fails_when_cancelled():
        try:
            await trio.sleep_forever()
        finally:
            raise KeyError("late")

    with trio.move_on_after(5) as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(kept, "x", fails_when_cancelled)
    assert scope.cancelled_caught


async def test_exit_requests_are_not_swallowed():
    async def work():
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        await kept("x", work)
