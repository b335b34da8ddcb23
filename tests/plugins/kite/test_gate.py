"""The gate that all connections of a login dial through."""

import pytest
import trio

from tickerd_plugins.kite.gate import Gate
from tickerd_plugins.kite.outage import REFUSED_WAIT, Outage


@pytest.fixture
def clock(autojump_clock):
    return autojump_clock


async def refused(gate, token="T"):
    await gate.enter(token)
    return await gate.failed(token, Outage("auth", "no"))


async def test_one_dials_at_a_time(clock):
    gate, inside = Gate(), []

    async def dial(number):
        await gate.enter("T")
        inside.append(number)
        await trio.sleep(1)
        assert inside == [number]
        inside.clear()
        gate.leave("T")

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(dial, number)


async def test_after_a_refusal_nobody_dials_for_a_minute(clock):
    gate = Gate()
    await refused(gate)
    await trio.sleep(20)
    with pytest.raises(Outage) as caught:
        await gate.enter("T")
    assert (caught.value.reason, caught.value.detail) == ("auth", "no")
    assert caught.value.wait(0.1) == pytest.approx(REFUSED_WAIT - 20)
    await trio.sleep(40)
    await gate.enter("T")
    gate.leave("T")


async def test_another_token_may_be_tried_at_once(clock):
    gate = Gate()
    await refused(gate)
    await gate.enter("other")
    gate.leave("other")


async def test_a_refusal_is_explained_once_and_everybody_hears_the_better_words(clock):
    asked = []

    async def explain(outage, token):
        asked.append(token)
        await trio.sleep(1)
        return Outage("auth", "log in again")

    gate = Gate(explain)
    assert (await refused(gate)).detail == "log in again"
    with pytest.raises(Outage, match="log in again"):
        await gate.enter("T")
    assert asked == ["T"]


async def test_other_failures_let_the_next_one_try(clock):
    gate = Gate()
    await gate.enter("T")
    await gate.failed("T", Outage("dns", "no"))
    await gate.enter("T")
    gate.leave("T")


async def test_who_waits_is_told_when_the_token_is_taken_after_all(clock):
    gate, taken, woken = Gate(), [], trio.Event()
    gate = Gate(accepted=taken.append)
    await refused(gate)

    async def wait():
        await gate.reopened()
        woken.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.sleep(REFUSED_WAIT)
        await gate.enter("T")
        gate.leave("T")
        await woken.wait()
    assert taken == ["T"]


async def test_one_that_was_stopped_holds_nobody_up(clock):
    gate = Gate()
    with trio.move_on_after(1):
        await gate.enter("T")
        try:
            await trio.sleep_forever()
        finally:
            gate.abandon()
    with trio.fail_after(1):
        await gate.enter("T")
    gate.leave("T")
    gate.leave("T")  # who is not in changes nothing
    gate.abandon()
    assert (await gate.failed("T", Outage("auth", "late"))).detail == "late"
    await gate.enter("T")
    gate.leave("T")
