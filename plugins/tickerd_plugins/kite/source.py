"""The source itself: follows what is wanted, spreads it over connections, and reports how it stands."""

from collections import Counter
from typing import ClassVar
from urllib.parse import urlsplit

import trio

from tickerd.plugin import Source, SourceContext
from tickerd_plugins.kite.connection import Connection, Dial
from tickerd_plugins.kite.credentials import Credentials
from tickerd_plugins.kite.instruments import InstrumentLoader
from tickerd_plugins.kite.options import CAPACITY, KiteOptions
from tickerd_plugins.kite.outage import State
from tickerd_plugins.kite.rows import NAMESPACE
from tickerd_plugins.kite.subscriptions import Tokens, assign, by_token

CONNECTIONS = 1
"""Upstream sockets of one login; the broker allows three."""
REPORT_EVERY = 1.0
_LISTED = 10
_WORST_FIRST: tuple[State, ...] = (
    "auth_required", "rate_limited", "reconnecting", "stale", "connecting", "connected",
)  # fmt: skip


class KiteSource(Source):
    """Ticks from Zerodha's Kite Connect.

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

    async def run(
        self, ctx: SourceContext, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """See `tickerd.plugin.Source`. Connected or not, logged in or not, it has started."""
        feed = Feed(self._options, ctx, self._dial or _dialler(self._options))
        _warn_of_plaintext(self._options, ctx)
        task_status.started()
        await feed.run()


class Feed:
    """One run of the source."""

    def __init__(self, options: KiteOptions, ctx: SourceContext, dial: Dial) -> None:
        self._ctx = ctx
        credentials = Credentials(options, ctx.hide)
        self._loader = InstrumentLoader(options, ctx, credentials, self.report)
        self._connections = [
            Connection(
                number, options=options, ctx=ctx, dial=dial, credentials=credentials, changed=self.report
            )
            for number in range(CONNECTIONS)
        ]
        self._surplus: list[int] = []

    async def run(self) -> None:
        """Run until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow)
            nursery.start_soon(self._loader.run)
            nursery.start_soon(self._report_often)
            for connection in self._connections:
                nursery.start_soon(connection.run)

    async def _follow(self) -> None:
        """Hand each change of what is wanted to the connections."""
        async for _ in self._ctx.demand.changes():
            self._spread(by_token(self._ctx.demand.wanted()))

    def _spread(self, wanted: Tokens) -> None:
        held = [connection.wanted for connection in self._connections]
        shards, surplus = assign(wanted, held, CAPACITY)
        for connection, shard in zip(self._connections, shards, strict=True):
            connection.want(shard)
        fresh = set(surplus).difference(self._surplus)
        if fresh:
            self._ctx.count("over_capacity", len(fresh))
            self._ctx.log.warning(
                "more instruments wanted than the broker allows",
                wanted=len(wanted), left_out=len(surplus), tokens=sorted(fresh)[:_LISTED],
            )  # fmt: skip
        self._surplus = list(surplus)
        self.report()

    async def _report_often(self) -> None:
        """Keep the facts fresh, such as when the last frame came."""
        while True:
            self.report()
            await trio.sleep(REPORT_EVERY)

    def report(self) -> None:
        """Say how the source stands: the state of its worst connection, and the facts."""
        worst = min(self._connections, key=lambda connection: _WORST_FIRST.index(connection.state))
        details = [worst.detail, self._loader.problem]
        if self._surplus:
            details.append(
                f"{len(self._surplus)} instruments are beyond the limit of {CAPACITY * CONNECTIONS}"
            )
        unconfirmed = [token for connection in self._connections for token in connection.unconfirmed]
        self._ctx.report(
            worst.state,
            "; ".join(filter(None, details)),
            connections=sum(connection.up for connection in self._connections),
            subscribed=sum(connection.subscribed for connection in self._connections),
            wanted=sum(len(connection.wanted) for connection in self._connections),
            surplus=len(self._surplus),
            unconfirmed=len(unconfirmed),
            unconfirmed_tokens=unconfirmed[:_LISTED],
            last_frame_ns=max((c.last_frame_ns or 0 for c in self._connections), default=0) or None,
            reconnects=dict(sum((connection.reconnects for connection in self._connections), Counter())),
            instruments=self._loader.rows,
            instruments_fetched_ns=self._loader.fetched_ns or None,
        )


def _dialler(options: KiteOptions) -> Dial:
    from tickerd_plugins.kite.dial import Dialler  # noqa: PLC0415 - TLS and WebSocket libraries, only when run

    return Dialler(options)


def _warn_of_plaintext(options: KiteOptions, ctx: SourceContext) -> None:
    """Without TLS the access token is readable on the way; right on loopback only."""
    for name, url in (("ws_url", options.ws_url), ("rest_url", options.rest_url)):
        parts = urlsplit(url)
        if parts.scheme in ("ws", "http") and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
            ctx.log.warning("the access token travels unencrypted", option=name, host=parts.hostname)
