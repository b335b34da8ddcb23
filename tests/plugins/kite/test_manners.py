"""Never more REST calls than the broker allows, and none while it says to wait."""

import pytest
import trio

from tickerd_plugins.kite.manners import LIMITS, UNSAID_S, Manners, TooMany, retry_after, shared


async def calls(manners, kind, seconds, within_s=1e9):
    """When calls were made by four that ask without a pause."""
    made = []

    async def ask():
        while True:
            await manners.turn(kind, within_s)
            made.append(trio.current_time())

    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(ask)
    return made


@pytest.mark.parametrize("kind", list(LIMITS))
async def test_no_window_holds_more_than_its_limit_and_all_of_it_is_used(autojump_clock, kind):
    made = await calls(Manners(), kind, 130)
    for limit in LIMITS[kind]:
        most = max(sum(at <= other < at + limit.seconds - 1e-9 for other in made) for at in made)
        assert most <= limit.calls
        if limit.seconds <= 60:
            assert most == limit.calls


async def test_the_limit_of_the_day_ends_the_day(autojump_clock):
    manners = Manners()
    now = trio.current_time()
    window = manners._windows["orders"]
    for number in range(5000):
        window.made(now + number)
    await trio.sleep(5000)
    with pytest.raises(TooMany, match="next call in 81400 s") as caught:
        await manners.turn("orders", 10)
    assert caught.value.wait_s == pytest.approx(81_400)


async def test_a_class_does_not_wait_for_another(autojump_clock):
    manners = Manners()
    await manners.turn("quote", 0)
    begun = trio.current_time()
    await manners.turn("other", 0)
    await manners.turn("historical", 0)
    assert trio.current_time() == begun
    await manners.turn("quote", 2)
    assert trio.current_time() == begun + 1


@pytest.mark.parametrize(("said", "wait"), [(30.0, 30), (None, UNSAID_S), (1e9, 300), (-5.0, 0)])
async def test_after_a_429_nobody_asks_before_the_time(autojump_clock, said, wait):
    manners = Manners()
    begun = trio.current_time()
    manners.hold("other", said)
    await manners.turn("other", 1e9)
    assert trio.current_time() - begun == pytest.approx(wait)


async def test_a_shorter_hold_does_not_end_a_longer_one(autojump_clock):
    manners = Manners()
    manners.hold("other", 30)
    manners.hold("other", 1)
    with pytest.raises(TooMany):
        await manners.turn("other", 10)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("", None),
        (None, None),
        ("-1", None),
        ("x", None),
        ("9" * 40, None),
        ("٣", None),
    ],
)
def test_a_retry_after_in_seconds_is_understood(text, seconds):
    assert retry_after(text) == seconds


async def test_all_who_ask_with_one_key_share_one_queue(autojump_clock):
    assert shared("A") is shared("A")
    assert shared("A") is not shared("B")
    await shared("A").turn("quote", 0)
    with pytest.raises(TooMany):
        await shared("A").turn("quote", 0)
    await shared("B").turn("quote", 0)


def test_no_queue_outlives_its_event_loop():
    async def ask():
        await shared("A").turn("quote", 0)

    for _ in range(2):
        trio.run(ask)
