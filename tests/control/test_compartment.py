"""The control API starts again by itself."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import trio

from tickerd.control.compartment import Compartment
from tickerd.control.reception import Reach
from tickerd.control.server import Door
from tickerd.plugin.auth import Listener


@pytest.fixture
async def compartment(open_api: Callable[..., AbstractAsyncContextManager[Any]]) -> Any:
    async with open_api() as api:
        reach = Reach(listeners=[Listener(address="127.0.0.1:0")])
        return Compartment(api.facade, api.access, reach, desk=api.desk, draw=lambda: 0.0)


async def test_it_serves_until_it_is_stopped(compartment: Compartment) -> None:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    async with listener, trio.open_nursery() as nursery:
        await nursery.start(compartment.run, [Door("127.0.0.1:0", listener)])
        async with await trio.open_tcp_stream(*listener.socket.getsockname()[:2]) as stream:
            await stream.send_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            with trio.fail_after(5):
                assert b"200" in b"".join([data async for data in stream])
        compartment.stop()
    assert compartment.restarts == 0


async def test_what_escapes_the_server_restarts_it(
    compartment: Compartment, break_server: Callable[[int], None]
) -> None:
    break_server(2)
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    async with listener, trio.open_nursery() as nursery:
        await nursery.start(compartment.run, [Door("127.0.0.1:0", listener)])
        assert compartment.restarts == 2
        compartment.stop()


async def test_one_that_was_stopped_before_it_ran_does_not_run(compartment: Compartment) -> None:
    compartment.stop()
    with trio.fail_after(5):
        await compartment.run([])


async def test_a_description_that_cannot_be_made_ends_nothing(
    open_api: Callable[..., AbstractAsyncContextManager[Any]],
    monkeypatch: pytest.MonkeyPatch,
    log_output: list[dict[str, Any]],
) -> None:
    def fail(_: Any) -> None:
        raise ValueError("no")

    monkeypatch.setattr("tickerd.control.openapi.describe", fail)
    async with open_api() as api:
        assert (await api.get("/openapi.json")).status == 500
        assert (await api.get("/livez")).status == 200
    assert "the API cannot describe itself" in [line["event"] for line in log_output]
