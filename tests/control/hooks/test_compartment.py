"""The hooks listener starts again by itself, and ends when it is told to."""

from collections.abc import Callable

import pytest
import trio

from tickerd.control.hooks import Doorway, HooksCompartment, HooksReach
from tickerd.control.server import Door


@pytest.fixture
def compartment() -> HooksCompartment:
    doorway = Doorway(login=lambda _: None, inbound=lambda _: None, publish=lambda *_: None)
    return HooksCompartment(doorway, HooksReach(listening=["127.0.0.1:0"]), draw=lambda: 0.0)


async def test_what_escapes_the_server_restarts_it(
    compartment: HooksCompartment, break_server: Callable[[int], None]
) -> None:
    break_server(2)
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    async with listener, trio.open_nursery() as nursery:
        await nursery.start(compartment.run, [Door("127.0.0.1:0", listener)])
        assert compartment.restarts == 2
        async with await trio.open_tcp_stream(*listener.socket.getsockname()[:2]) as stream:
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            with trio.fail_after(5):
                assert b" 404 " in b"".join([bytes(data) async for data in stream])
        compartment.stop()
    assert compartment.figures.answers["refused"] == 1
    assert compartment.server_figures.accepted["127.0.0.1:0"] == 1


async def test_one_that_was_stopped_before_it_ran_does_not_run(compartment: HooksCompartment) -> None:
    compartment.stop()
    with trio.fail_after(5):
        await compartment.run([])
