"""A trading day in virtual time: the source with its hub, its demand and the calendar, from login to login."""

from datetime import datetime
from types import SimpleNamespace

import pytest
import trio
from structlog.testing import capture_logs

from tickerd.calendar import Calendar
from tickerd.daemon.silences import Silences
from tickerd.dataflow.hub import Hub
from tickerd.dataflow.market import announce
from tickerd.dataflow.wants import Wants
from tickerd.instruments import InstrumentTable
from tickerd.plugin import Clock, InstrumentChange, Listing, Market, Order, Status
from tickerd.testing import FakeContext
from tickerd_plugins.kite import feed, instruments
from tickerd_plugins.kite.broker import Exchanged
from tickerd_plugins.kite.instruments import COPY
from tickerd_plugins.kite.rows import Header, pack

DAY = "2026-11-25"
SHARD = 50
COUNT = 3 * SHARD
ROOT = "https://api.kite.trade"


def ist(text):
    return round(datetime.fromisoformat(f"{text}+05:30").timestamp()) * 10**9


def rows(moved):
    """The list of instruments; the last symbol has another token on the day."""
    tokens = [*range(1, COUNT), COUNT + 1000 if moved else COUNT]
    return [(t, "NSE", f"S{n}", "", "NSE", "EQ", "", 0.0, 1, 0.05) for n, t in enumerate(tokens, 1)]


class Broker:
    """Gives a token for each login, knows the order book, and counts."""

    def __init__(self):
        self.tokens = iter(("FIRST", "SECOND"))
        self.book = []
        self.asked = []

    async def exchange(self, request_token, api_secret):
        await trio.lowlevel.checkpoint()
        return Exchanged(next(self.tokens), "AB1234")

    async def orders(self, access_token):
        await trio.lowlevel.checkpoint()
        self.asked.append(access_token)
        return self.book

    async def turn(self, kind="other"):
        await trio.lowlevel.checkpoint()


class Context(FakeContext):
    """Publishes into a hub of its own, as the daemon does."""

    def __init__(self, state_dir):
        super().__init__(state_dir, "kite", Clock(ist(f"{DAY} 07:55")))
        self.hub = Hub(1)
        table = InstrumentTable()
        self.instruments = table.namespace("kite")
        self.changes = []
        wants = Wants(table, None, self.changes.extend, self.hub.forget_renamed)
        self.demand = wants.join("kite", self.instruments)

    def publish(self, batch):
        self.published.append(batch)
        self.hub.publish(batch, "kite", self.instruments)

    async def until_time(self, text):
        """Sleep until that time in India."""
        await trio.sleep((ist(text) - self.clock.now_ns()) / 1e9)

    @property
    def unit(self):
        """The source, as the watch over silent instruments sees it."""
        state, _, facts = self.reports[-1]
        report = SimpleNamespace(state=state, facts=facts)
        settings = SimpleNamespace(name="kite")
        return SimpleNamespace(
            name="source.kite", settings=settings, state="running", report=report, demand=self.demand
        )


@pytest.fixture
async def ctx(tmp_path):
    tmp_path.joinpath(COPY).write_bytes(
        Listing.of_rows("kite", rows(moved=False)).pack({"root": ROOT, "fetched_ns": ist("2026-11-24 08:05")})
    )
    return Context(tmp_path)


@pytest.fixture
def downloads(monkeypatch):
    """When the dump was downloaded."""
    times = []

    async def download(*_):
        await trio.lowlevel.checkpoint()
        times.append(trio.current_time())
        header = Header(changed=1, compared=COUNT) if len(times) == 1 else Header()
        return pack(header, rows(moved=True), {"root": ROOT, "fetched_ns": ist(f"{DAY} 08:05")})

    monkeypatch.setattr(instruments, "download", download)
    monkeypatch.setattr(feed, "REPORT_EVERY", 10.0)
    return times


async def test_a_day(inline_threads, autojump_clock, ctx, downloads, fakes, options, nursery):
    calendar, broker, dial = Calendar.load(), Broker(), fakes.Dial()
    chosen = options(
        access_token=None, api_secret="SECRET", per_connection=SHARD, instruments_at="08:05",
        stale_after="100 days", reconnect_after="100 days",
    )  # fmt: skip
    made = feed.Feed(chosen, ctx, dial, broker)
    silences = Silences(lambda: [ctx.unit], ctx.hub, lambda: calendar, ctx.clock)
    ctx.demand.want("yaml", {f"NSE:S{n}": "ltp" for n in range(1, COUNT + 1)})

    def state():
        return ctx.reports[-1][0]

    def told(kind):
        return [record for batch in ctx.published for record in batch.records if isinstance(record, kind)]

    async def ticks(seconds, *, without=()):
        """Each of the open sockets brings what it is subscribed to, once a second."""
        for second in range(seconds):
            for socket in dial.sockets[-3:]:
                tokens = [token for token in socket.subscribed if token not in without]
                socket.say(fakes.ltp(*tokens, price=100 + second))
            await trio.sleep(1)
            if second % 5 == 4:
                await silences.look()

    # 07:55: up without a login, and nobody is asked for anything
    nursery.start_soon(made.run)
    nursery.start_soon(
        announce, calendar, ctx.clock, lambda batch: ctx.hub.publish(batch, "c") or ctx.published.append(batch),
        lambda: {"NSE"},
    )  # fmt: skip
    await trio.sleep(60)
    assert ctx.reports[-1][:2] == ("auth_required", "no access token: log in with: tickerd login kite")
    assert len(ctx.demand.wanted()) == COUNT, "by the copy of yesterday"

    # 08:05: the dump of the day, in which a symbol has moved to another token
    await ctx.until_time(f"{DAY} 08:06")
    assert len(downloads) == 1
    assert {i.tradingsymbol: i.token for i in ctx.demand.wanted()}[f"S{COUNT}"] == COUNT + 1000
    assert [(c.symbol, c.detail) for c in told(InstrumentChange)] == [("*", f"1 changed, {COUNT} in all")]

    assert [(c.symbol, c.change) for c in ctx.changes if c.change == "changed"] == [
        (f"NSE:S{COUNT}", "changed")
    ]

    # 08:50: somebody logs in
    await ctx.until_time(f"{DAY} 08:50")
    assert dial.times == []
    await made.logins.exchange({"request_token": "REQUEST"})
    await trio.sleep(5)
    assert (state(), dial.tokens) == ("connected", ["FIRST"] * 3)
    carried = [token for socket in dial.sockets for token in socket.subscribed]
    assert sorted(carried) == [*range(1, COUNT), COUNT + 1000]
    assert broker.asked == ["FIRST"]

    # 09:15: it opens, everything ticks; one symbol falls silent
    await ctx.until_time(f"{DAY} 09:14:59")
    await silences.look()
    assert silences.of("kite") == (), "before the opening nothing need tick"
    assert told(Market) == []
    await trio.sleep(2)
    assert [(m.exchange, m.event) for m in told(Market)] == [("NSE", "open")]
    before = ctx.hub.totals.ticks
    await ticks(60)
    assert ctx.hub.totals.ticks == before + 60 * COUNT
    with capture_logs() as logs:
        await ticks(30, without={7})
    assert [line["instruments"] for line in logs if line["event"] == "instruments do not tick"] == [
        ["NSE:S7"]
    ]
    await ticks(5)
    assert silences.of("kite") == ()

    # an outage of everything, in which an order is filled
    dial.sockets[0].say('{"type":"order","data":{"order_id":"1","status":"OPEN","quantity":5}}')
    await trio.sleep(1)
    broker.book = [{"order_id": "1", "status": "COMPLETE", "quantity": 5, "filled_quantity": 5}]
    tried = len(dial.times)
    dial.script.extend([fakes.Outage("unreachable", "cannot reach it")] * 12)
    for socket in list(dial.sockets):
        socket.end()
    await trio.sleep(1)
    assert state() == "reconnecting"
    while ctx.reports[-1][2]["connections"] < 3:
        await trio.sleep(1)
        await silences.look()
        assert silences.of("kite") == (), "a dead connection is told as such"
    await trio.sleep(5)
    await ticks(5)
    assert sorted(gap.connection for gap in fakes.gaps(ctx)) == [0, 1, 2]
    assert len({symbol for gap in fakes.gaps(ctx) for symbol in gap.instruments}) == COUNT
    assert len(dial.times) == tried + 12 + 3
    assert [(o.data["status"], o.reconciled) for o in told(Order)] == [("OPEN", False), ("COMPLETE", True)]

    # the close: silence is healthy
    await ctx.until_time(f"{DAY} 23:00")
    await silences.look()
    assert silences.of("kite") == ()
    assert [m.event for m in told(Market)] == ["open", "close", "end_of_day"]
    assert state() == "connected"

    # 06:00: the login ends, and is told before and then; what ended is not tried
    attempts = len(dial.times)
    await ctx.until_time("2026-11-26 06:01")
    of_login = [(s.state, s.connection) for s in told(Status) if s.connection is None]
    assert of_login == [("login_expiring", None), ("auth_required", None)]
    assert state() == "auth_required"
    for socket in list(dial.sockets[-3:]):
        socket.end("closed", "the broker has closed it")
    await ctx.until_time("2026-11-26 08:50")
    assert len(dial.times) == attempts
    assert len(downloads) == 2

    # the next morning
    await made.logins.exchange({"request_token": "REQUEST"})
    await trio.sleep(15)
    assert state() == "connected"
    assert dial.tokens[attempts:] == ["SECOND"] * 3
    await ctx.until_time("2026-11-26 09:16")
    assert [m.event for m in told(Market)] == ["open", "close", "end_of_day", "open"]
    await ticks(5)
    assert len(fakes.gaps(ctx)) == 6
    # connections come up within a second of each other, or not: each reading has one reason at least
    assert list(dict.fromkeys(broker.asked)) == ["FIRST", "SECOND"]
    assert 3 <= len(broker.asked) <= 7
