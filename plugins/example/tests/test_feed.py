"""The toy feed on memory streams."""

import trio
import trio.testing

from tickerd_example.feed import Feed
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
