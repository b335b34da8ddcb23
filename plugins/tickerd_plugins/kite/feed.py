"""One run of the source: spreads what is wanted over connections, follows the login, and reports how it stands."""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import trio

from tickerd.plugin import Batch, Mode, Notice, Order, Retry, SourceContext, Status
from tickerd_plugins.kite import expiry
from tickerd_plugins.kite.broker import Broker, Refused
from tickerd_plugins.kite.clocks import Clocks
from tickerd_plugins.kite.connection import Connection, Dial, Named
from tickerd_plugins.kite.credentials import Credentials
from tickerd_plugins.kite.diagnosis import Diagnosis
from tickerd_plugins.kite.echoes import Echoes
from tickerd_plugins.kite.fill import Fill
from tickerd_plugins.kite.gate import Gate
from tickerd_plugins.kite.instruments import Registry
from tickerd_plugins.kite.login import Logins
from tickerd_plugins.kite.options import KiteOptions
from tickerd_plugins.kite.orders import OrderBook
from tickerd_plugins.kite.outage import State
from tickerd_plugins.kite.postback import Postback
from tickerd_plugins.kite.subscriptions import Tokens, assign, by_token

T = TypeVar("T")

REPORT_EVERY = 1.0
RENEW_WITHIN = 1.0
"""Seconds that a connection has for coming up with a new token before the next one is made anew as well."""
_LISTED = 10
_WORST_FIRST: tuple[State, ...] = (
    "auth_required", "rate_limited", "reconnecting", "stale", "connecting", "connected", "idle",
)  # fmt: skip


class Feed:
    """Made for each run of the source."""

    def __init__(self, options: KiteOptions, ctx: SourceContext, dial: Dial, broker: Broker) -> None:
        self._ctx = ctx
        self._options = options
        self._credentials = Credentials(options, ctx.hide, ctx.clock.now_ns, ctx.name)
        self._diagnosis = Diagnosis(broker, self._credentials, ctx)
        gate = Gate(self._diagnosis.explain, self._credentials.accept)
        self._clocks = Clocks(ctx)
        broker.on_date = self._clocks.said
        self._loader = Registry(options, ctx, self._credentials, self.report, broker, self._clocks)
        self.orders = OrderBook(ctx, self._order_book)
        self._echoes = Echoes()
        self._stage: expiry.Stage = "unknown"
        self._surplus: list[int] = []
        self._broker = broker
        self.logins = Logins(options, ctx, self._credentials, broker)
        self.postback = None
        if options.api_secret is not None:
            self.postback = Postback(options.api_secret.get_secret_value(), self._order_states, ctx.clock)
        fill = Fill(ctx, self._quotes) if options.fill_quotes else None
        self._connections = [
            Connection(
                number,
                options=options,
                ctx=ctx,
                dial=dial,
                credentials=self._credentials,
                changed=self.report,
                gate=gate,
                name=self._named,
                take=self._take,
                opened=self.orders.reconnected,
                fill=None if fill is None else fill.run,
            )
            for number in range(options.connections)
        ]

    @property
    def expires_ns(self) -> int | None:
        """When the login in force ends."""
        token = self._credentials.latest
        return None if token is None else token.expires_ns

    def refresh_instruments(self) -> None:
        """Download the dump again."""
        self._loader.refresh()

    async def run(self) -> None:
        """Run until cancelled."""
        await self.logins.load()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow)
            nursery.start_soon(self._loader.run)
            nursery.start_soon(self._report_often)
            nursery.start_soon(self._renew)
            nursery.start_soon(self.orders.run)
            for connection in self._connections:
                nursery.start_soon(connection.run)

    # -- what is wanted ------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Hand each change of what is wanted to the connections."""
        async for _ in self._ctx.demand.changes():
            self._spread(by_token(self._ctx.demand.wanted()))

    def _spread(self, wanted: Tokens) -> None:
        held = [connection.wanted for connection in self._connections]
        shards, surplus = assign(wanted, held, self._options.per_connection)
        for connection, shard in zip(self._connections, shards, strict=True):
            connection.want(shard)
        fresh = set(surplus).difference(self._surplus)
        if fresh:
            self._ctx.count("over_capacity", len(fresh))
            self._ctx.log.error(
                "more instruments wanted than this source can carry",
                wanted=len(wanted), capacity=self._options.capacity, left_out=len(surplus),
                instruments=self._symbols(sorted(fresh)[:_LISTED]),
            )  # fmt: skip
        self._surplus = list(surplus)
        self.report()

    def _take(self, batch: Batch) -> None:
        """Publish what a connection read, unless another one has brought the same message."""
        for record in batch.records:
            if isinstance(record, Order) or (isinstance(record, Notice) and record.kind != "error"):
                message = repr(record.data)
                if self._echoes.is_echo(message, record.connection or 0, trio.current_time()):
                    self._ctx.count("echoes")
                    return
            if isinstance(record, Order):
                self.orders.saw(record.data)
        self._ctx.publish(batch)

    def _named(self, tokens: Collection[int]) -> Named:
        """Instruments of one connection, as a gap names them."""
        carriers = [connection for connection in self._connections if connection.wanted]
        if len(carriers) <= 1:
            return "all"
        return self._symbols(sorted(tokens))

    def _symbols(self, tokens: Iterable[int]) -> list[str]:
        table = self._ctx.instruments
        return [
            str(token) if (known := table.get(token)) is None or not known.exchange else known.symbol
            for token in tokens
        ]

    # -- the login -----------------------------------------------------------------------------------------

    async def _renew(self) -> None:
        """Have the connections that are up go over to another access token, one after the other."""
        token = await self._credentials.changed(None)
        while True:
            token = await self._credentials.changed(token)
            if not any(connection.up for connection in self._connections):
                continue  # they wait for it themselves
            if await self._diagnosis.is_usable(token):
                for connection in self._connections:
                    with trio.move_on_after(RENEW_WITHIN):
                        await connection.renew(token)

    def _follow_login(self) -> None:
        """Tell once when the login is about to end, and once when it has ended."""
        now_ns = self._ctx.clock.now_ns()
        stage = expiry.stage(self.expires_ns, now_ns, self._options.login_warning)
        if stage == self._stage:
            return
        before, self._stage = self._stage, stage
        if stage == "expiring":
            assert self.expires_ns is not None
            text = f"the login ends at {expiry.in_india(self.expires_ns)}; then {self._credentials.next_step}"
            self._tell("login_expiring", text)
        elif stage == "expired" and before in ("good", "expiring"):
            self._tell("auth_required", self._ended())
        self._ctx.count(f"login_{stage}")

    def _tell(self, state: Any, detail: str) -> None:
        self._ctx.log.warning("the login is ending" if state == "login_expiring" else "the login has ended")
        now_ns = self._ctx.clock.now_ns()
        self._ctx.publish(Batch.control(Status(state=state, detail=detail, ts_recv=now_ns)))

    def _ended(self) -> str:
        assert self.expires_ns is not None
        when = expiry.in_india(self.expires_ns)
        return f"the login has ended at {when}: {self._credentials.next_step}"

    async def _order_states(self, order_id: str) -> Sequence[Mapping[str, Any]]:
        """See `postback.ReadOrder`."""
        return await self._asked(lambda token: self._broker.order_states(order_id, token))

    async def _order_book(self) -> Sequence[Mapping[str, Any]]:
        """See `orders.ReadBook`."""
        return await self._asked(self._broker.orders)

    async def _quotes(self, symbols: Sequence[str], mode: Mode) -> Mapping[str, Any]:
        """See `fill.ReadQuotes`."""
        return await self._asked(lambda token: self._broker.quotes(symbols, mode, token))

    async def _asked(self, ask: Callable[[str], Awaitable[T]]) -> T:
        """What the broker answers to who is logged in; raises `Retry`."""
        token = await self._credentials.access_token()
        if token is None:
            raise Retry("nobody has logged in")
        try:
            return await ask(token)
        except Refused as error:
            raise Retry(str(error)) from None

    # -- the report ----------------------------------------------------------------------------------------

    async def _report_often(self) -> None:
        """Keep the facts fresh, such as when the last frame came."""
        while True:
            self._follow_login()
            self.report()
            await trio.sleep(REPORT_EVERY)

    def report(self) -> None:
        """Say how the source stands: the state of its worst connection, and the facts."""
        state, details = self._worst()
        if self._stage == "expired" and state != "auth_required":
            state, details = "auth_required", [self._ended(), *details]
        details += [self._loader.problem, self._diagnosis.problem, self._too_many()]
        connections = self._connections
        unconfirmed = [token for connection in connections for token in connection.unconfirmed]
        without = [token for c in connections if c.state != "connected" for token in c.wanted]
        self._ctx.report(
            state,
            "; ".join(filter(None, details)),
            connections=sum(connection.up for connection in connections),
            subscribed=sum(connection.subscribed for connection in connections),
            wanted=sum(len(connection.wanted) for connection in connections),
            capacity=self._options.capacity,
            surplus=len(self._surplus),
            surplus_instruments=self._symbols(self._surplus[:_LISTED]),
            without_feed=len(without),
            without_feed_instruments=self._symbols(without[:_LISTED]),
            unconfirmed=len(unconfirmed),
            unconfirmed_tokens=unconfirmed[:_LISTED],
            last_frame_ns=max((c.last_frame_ns or 0 for c in connections), default=0) or None,
            reconnects=dict(sum((connection.reconnects for connection in connections), Counter())),
            instruments=self._loader.rows,
            instruments_fetched_ns=self._loader.fetched_ns or None,
            dump_loaded_ns=self._loader.fetched_ns or None,
            dump_problem=self._loader.problem,
            clock_ahead_s=self._clocks.ahead_s,
            rest_sent_from=self._broker.sent_from,
            by_connection=[_facts(connection) for connection in connections],
            **self._login_facts(),
        )

    def _worst(self) -> tuple[State, list[str]]:
        """The state of the worst connection, and what is wrong with each that is in it."""
        used = [connection for connection in self._connections if connection.is_needed]
        worst = min((connection.state for connection in used), key=_WORST_FIRST.index)
        there = [connection for connection in used if connection.state == worst]
        texts = dict.fromkeys(connection.detail for connection in there)
        if worst == "connected" or len(there) == len(used):
            return worst, list(texts) if len(texts) == 1 else [_on(c) for c in there if c.detail]
        left = sum(len(connection.wanted) for connection in there)
        share = f"{left} of {sum(len(c.wanted) for c in used)} instruments are without a feed"
        return worst, [*map(_on, there), share]

    def _too_many(self) -> str:
        if not self._surplus:
            return ""
        options = self._options
        share = f"{options.per_connection} on each of {options.connections} connections"
        return (
            f"{len(self._surplus)} instruments are beyond the limit of {options.capacity} ({share}) and left out, "
            f"such as {self._symbols(self._surplus[:1])[0]}: list fewer, or add a source with another api_key"
        )

    def _login_facts(self) -> Mapping[str, Any]:
        token = self._credentials.latest
        if token is None:
            return {"login": None}
        now_ns, ends = self._ctx.clock.now_ns(), token.expires_ns
        return {
            "login": {"from": token.origin, "user": token.user_id or None, "since_ns": token.since_ns},
            "login_expires_ns": ends,
            "login_expires_in_s": None if ends is None else max(0.0, round((ends - now_ns) / 1e9)),
        }


def _on(connection: Connection) -> str:
    return f"connection {connection.number}: {connection.detail}"


def _facts(connection: Connection) -> Mapping[str, Any]:
    return {
        "connection": connection.number,
        "state": connection.state,
        "detail": connection.detail,
        "since_ns": connection.since_ns,
        "wanted": len(connection.wanted),
        "subscribed": connection.subscribed,
        "unconfirmed": len(connection.unconfirmed),
        "last_frame_ns": connection.last_frame_ns,
        "reconnects": dict(connection.reconnects),
    }
