"""The source itself: what the host runs, and what it asks for a login."""

from collections.abc import Mapping, Sequence
from typing import ClassVar
from urllib.parse import urlsplit

import trio

from tickerd.plugin import LoggedIn, LoginRefused, Order, Rejected, Source, SourceContext
from tickerd_plugins.kite.broker import Broker
from tickerd_plugins.kite.connection import Dial
from tickerd_plugins.kite.feed import Feed
from tickerd_plugins.kite.login import login_url
from tickerd_plugins.kite.options import CAPACITY, CONNECTIONS, KiteOptions
from tickerd_plugins.kite.rows import NAMESPACE


class KiteSource(Source):
    """Ticks from Zerodha's Kite Connect. Implements `tickerd.plugin.login.Login` and `tickerd.plugin.Inbound`.

    Args:
        dial: opens the upstream sockets; by default the real thing.
    """

    Options: ClassVar[type[KiteOptions]] = KiteOptions
    namespace: ClassVar[str | None] = NAMESPACE
    replace: ClassVar = "after"
    capacity: ClassVar[int | None] = CAPACITY * CONNECTIONS

    def __init__(self, options: KiteOptions, dial: Dial | None = None) -> None:
        self._options = options
        self._dial = dial
        self._feed: Feed | None = None

    @classmethod
    def capacity_of(cls, options: KiteOptions) -> int | None:
        """See `tickerd.plugin.Source`."""
        return options.capacity

    async def run(
        self, ctx: SourceContext, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """See `tickerd.plugin.Source`. Connected or not, logged in or not, it has started."""
        feed = Feed(self._options, ctx, self._dial or _dialler(self._options), Broker(self._options))
        _warn_of_plaintext(self._options, ctx)
        task_status.started()
        self._feed = feed
        try:
            await feed.run()
        finally:
            self._feed = None

    # -- the login -----------------------------------------------------------------------------------------

    @property
    def expires(self) -> int | None:
        """See `tickerd.plugin.login.Login`."""
        return None if self._feed is None else self._feed.expires_ns

    def url(self, state: str) -> str:
        """See `tickerd.plugin.login.Login`."""
        return login_url(self._options, state)

    async def exchange(self, params: Mapping[str, str]) -> LoggedIn:
        """See `tickerd.plugin.login.Login`."""
        if self._feed is None:
            raise LoginRefused("the source is not running; look at its state, then log in again")
        return await self._feed.logins.exchange(params)

    # -- what the broker posts -----------------------------------------------------------------------------

    async def verify(self, body: bytes, headers: Mapping[str, str]) -> Sequence[Order]:
        """See `tickerd.plugin.Inbound`: the broker's postbacks of orders."""
        if self._feed is None or self._feed.postback is None:
            raise Rejected("postbacks need the source to run, with an api_secret")
        feed = self._feed
        orders = await self._feed.postback.verify(body, headers)
        for order in orders:
            feed.orders.saw(order.data)
        return orders

    # -- the instruments -----------------------------------------------------------------------------------

    def refresh_instruments(self) -> None:
        """See `tickerd.plugin.refreshing.Refreshing`."""
        if self._feed is not None:
            self._feed.refresh_instruments()


def _dialler(options: KiteOptions) -> Dial:
    from tickerd_plugins.kite.dial import Dialler  # noqa: PLC0415 - TLS and WebSocket libraries, only when run

    return Dialler(options)


def _warn_of_plaintext(options: KiteOptions, ctx: SourceContext) -> None:
    """Without TLS the access token is readable on the way; right on loopback only."""
    for name, url in (("ws_url", options.ws_url), ("rest_url", options.rest_url)):
        parts = urlsplit(url)
        if parts.scheme in ("ws", "http") and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
            ctx.log.warning("the access token travels unencrypted", option=name, host=parts.hostname)
