"""The tap on a TCP stream."""

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tickerd_plugins.simulator.tap import Tap

Pair = tuple[Tap, trio.SocketStream]


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """A tapped stream and its peer, over real TCP: a reset exists nowhere else."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        peer = await trio.open_tcp_stream(*listener.socket.getsockname())
        tap = Tap(await listener.accept())
    yield tap, peer
    await trio.aclose_forcefully(tap)
    await trio.aclose_forcefully(peer)


async def receive_exactly(stream: trio.abc.ReceiveStream, count: int) -> bytes:
    data = b""
    with trio.fail_after(5):
        while len(data) < count:
            data += await stream.receive_some()
    return data


async def test_it_passes_everything_through(pair: Pair) -> None:
    tap, peer = pair
    await tap.wait_send_all_might_not_block()
    await tap.send_all(b"hello")
    assert await receive_exactly(peer, 5) == b"hello"
    await peer.send_all(b"there")
    assert await receive_exactly(tap, 5) == b"there"
    await tap.send_eof()
    assert await peer.receive_some() == b""


async def test_a_reset_ends_both_sides(pair: Pair) -> None:
    tap, peer = pair
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await tap.receive_some()

        await wait_all_tasks_blocked()
        tap.reset()
    with pytest.raises(trio.BrokenResourceError):
        await peer.receive_some()
    tap.reset()


async def test_a_parked_stream_neither_reads_nor_writes_until_it_is_released(pair: Pair) -> None:
    tap, peer = pair
    received: list[bytes] = []
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _() -> None:
            received.append(bytes(await tap.receive_some()))

        await wait_all_tasks_blocked()
        tap.park()
        tap.park()
        assert tap.parked
        nursery.start_soon(tap.send_all, b"late")
        await peer.send_all(b"unseen")
        with trio.move_on_after(0.05) as nothing_came:
            await peer.receive_some()
        assert nothing_came.cancelled_caught
        assert received == []
        tap.release()
    assert received == [b"unseen"]
    assert await receive_exactly(peer, 4) == b"late"


async def test_a_slow_stream_sends_at_its_rate(pair: Pair, autojump_clock: trio.testing.MockClock) -> None:
    tap, peer = pair
    tap.limit(100)
    start = trio.current_time()
    await tap.send_all(bytes(300))
    assert trio.current_time() - start == pytest.approx(3, abs=0.1)
    assert len(await receive_exactly(peer, 300)) == 300


async def test_a_slow_stream_can_send_less_than_a_byte_a_second(
    pair: Pair, autojump_clock: trio.testing.MockClock
) -> None:
    tap, _ = pair
    tap.limit(0.5)
    start = trio.current_time()
    await tap.send_all(b"abc")
    assert trio.current_time() - start == pytest.approx(6)


async def test_lifting_the_limit_sends_the_rest_at_once(pair: Pair) -> None:
    tap, peer = pair
    tap.limit(0.001)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tap.send_all, b"abcdef")
        assert await receive_exactly(peer, 1) == b"a"
        tap.limit(None)
        assert await receive_exactly(peer, 5) == b"bcdef"


async def test_a_stream_can_be_parked_while_it_sends_slowly(pair: Pair) -> None:
    tap, peer = pair
    tap.limit(1000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tap.send_all, bytes(100))
        await receive_exactly(peer, 1)
        tap.park()
        with trio.move_on_after(0.2):
            while True:
                await peer.receive_some()
        tap.release()
        await receive_exactly(peer, 1)
