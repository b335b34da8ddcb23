"""The toy feed itself, and the command that serves it: prices that walk at random."""

import random
from itertools import count

import click
import trio

from tickerd_example.protocol import Item, Listing, Price, Reader, Want, host_and_port, line

EXCHANGE = "TOY"
SYMBOLS = ("ACME", "GLOBEX", "INITECH", "UMBRELLA")


class Feed:
    """A market of four instruments.

    Args:
        every: seconds between two rounds of prices.
        seed: of the walk, so that a run can be repeated.
    """

    def __init__(self, *, every: float = 0.1, seed: int = 1) -> None:
        self._every = every
        self._chance = random.Random(seed)
        self._listing = Listing(EXCHANGE, [Item(token, symbol) for token, symbol in enumerate(SYMBOLS, 1)])

    async def client(self, stream: trio.abc.Stream) -> None:
        """Serve one client until it leaves; a client that breaks off is no error of ours."""
        wanted: set[int] = set()
        try:
            async with stream, trio.open_nursery() as nursery:
                await stream.send_all(line(self._listing))
                nursery.start_soon(self._push, stream, wanted)
                await _listen(stream, wanted)
                nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async def _push(self, stream: trio.abc.Stream, wanted: set[int]) -> None:
        prices = {item.token: 100.0 for item in self._listing.items}
        for volume in count(1):
            await trio.sleep(self._every)
            for token in sorted(wanted & prices.keys()):
                prices[token] = max(0.05, round(prices[token] + self._chance.uniform(-1, 1), 2))
                await stream.send_all(line(Price(token, prices[token], volume)))


async def _listen(stream: trio.abc.Stream, wanted: set[int]) -> None:
    reader = Reader()
    while data := await stream.receive_some(65_536):
        for message in reader.feed(data):
            if isinstance(message, Want):
                wanted.clear()
                wanted.update(message.tokens)


@click.command()
@click.option("--listen", default="127.0.0.1:7900", show_default=True, help="Address to serve on.")
@click.option("--every", default=0.1, show_default=True, help="Seconds between two rounds of prices.")
def example_feed(listen: str, every: float) -> None:
    """Serve a toy feed that the source `example` can follow, until Ctrl-C."""
    try:
        trio.run(_serve, Feed(every=every), *host_and_port(listen))
    except KeyboardInterrupt:
        click.echo("stopped")


async def _serve(feed: Feed, host: str, port: int) -> None:
    listeners = await trio.open_tcp_listeners(port, host=host)
    where = ", ".join(f"{host}:{listener.socket.getsockname()[1]}" for listener in listeners)
    click.echo(f"serving {', '.join(f'{EXCHANGE}:{symbol}' for symbol in SYMBOLS)} on {where}")
    await trio.serve_listeners(feed.client, listeners)
