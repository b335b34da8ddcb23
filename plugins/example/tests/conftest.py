"""A feed on a free port of loopback."""

from collections.abc import AsyncIterator

import pytest
import trio

from tickerd_example.feed import Feed


@pytest.fixture
async def feed_address() -> AsyncIterator[str]:
    """Where the feed serves for the length of a test."""
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, Feed(every=0.01).client, [listener])
        yield f"127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()
