"""The toy feed on memory streams, and its command."""

import pytest
import trio
import trio.testing
from click.testing import CliRunner

from tickerd_example import feed
from tickerd_example.feed import Feed, example_feed
from tickerd_example.protocol import Listing, Price, Reader, Want, line


async def test_it_sends_the_listing_and_then_only_what_is_wanted(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    reader, prices = Reader(), []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Feed().client, theirs)
        (listing,) = reader.feed(await ours.receive_some())
        assert isinstance(listing, Listing)
        await ours.send_all(line(Want([2, 99])))
        while len(prices) < 3:
            prices += reader.feed(await ours.receive_some())
        await ours.aclose()
    assert all(isinstance(price, Price) and price.token == 2 and price.price > 0 for price in prices)
    assert [price.volume for price in prices] == sorted(price.volume for price in prices)


def test_the_command_says_where_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    async def serve(handler: object, listeners: list[trio.SocketListener]) -> None:
        for listener in listeners:
            await listener.aclose()
        raise KeyboardInterrupt

    monkeypatch.setattr(feed.trio, "serve_listeners", serve)
    result = CliRunner().invoke(example_feed, ["--listen", "127.0.0.1:0"])
    assert result.exit_code == 0
    served, stopped = result.output.splitlines()
    assert served.startswith("serving TOY:ACME, TOY:GLOBEX, TOY:INITECH, TOY:UMBRELLA on 127.0.0.1:")
    assert stopped == "stopped"
