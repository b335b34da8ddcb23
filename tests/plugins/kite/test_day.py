"""A trading day in virtual time, from one morning to the next.

The source runs as a unit of the daemon, with its hub, demand, calendar, watch over silence, health and metrics.
Sockets are channels, threads are inline, and REST is the real broker class over a client that answers at once.
"""

from bisect import bisect_left
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import pairwise
from math import ceil
from types import SimpleNamespace

import pytest
import trio
from structlog.testing import capture_logs

from tickerd.calendar import Calendar
from tickerd.config import SourceSettings, SubscribeEntry
from tickerd.control.metrics import exposition
from tickerd.daemon import pictures
from tickerd.daemon.silences import Silences
from tickerd.dataflow import wants
from tickerd.dataflow.hub import Hub
from tickerd.dataflow.market import announce
from tickerd.dataflow.subscription import Filter
from tickerd.instruments import InstrumentTable
from tickerd.observe.health import Thresholds, assess
from tickerd.observe.picture import Picture
from tickerd.plugin import SNAPSHOT, Clock, Gap, InstrumentChange, Listing, Market, Order, Status
from tickerd.plugin.selectors import Match
from tickerd.runtime.house import House
from tickerd.runtime.listeners import Listeners
from tickerd.runtime.supervisor import Supervisor
from tickerd.runtime.units import SourceUnit
from tickerd.state import StateDirectory
from tickerd_plugins.kite import KiteSource, broker, feed, instruments
from tickerd_plugins.kite.instruments import COPY
from tickerd_plugins.kite.rows import Header, pack

TODAY, TOMORROW = "2026-11-25", "2026-11-26"
ROOT = "https://api.kite.trade"
NSE, NFO, MCX = 1, 2, 7
COMMODITIES = 10
MOST_PRICES = 1000
"""Last prices in one call."""
EXPIRING, NEXT = 900_000 << 8 | NFO, 900_001 << 8 | NFO
"""Futures, of which the first expires today."""


def ist(text):
    return round(datetime.fromisoformat(f"{text}+05:30").timestamp()) * 10**9


class Listed:
    """What the broker lists, and what of it the file subscribes.

    Args:
        count: instruments that are carried.
    """

    def __init__(self, count):
        self.count = count
        self.shares = count - COMMODITIES - 1
        self.moved, self.renamed = self.shares, self.shares - 1
        """Shares that have another token, or another symbol, from today on."""

    def token(self, share, *, today=True):
        return (share + 500_000 * (today and share == self.moved)) << 8 | NSE

    def rows(self, day):
        """The list of yesterday, today (1), or tomorrow, when the token of what has expired is another's."""
        for n in range(1, self.shares + 1):
            symbol = "S-RENAMED" if day and n == self.renamed else f"S{n}"
            yield self.token(n, today=day > 0), "NSE", symbol, "", "NSE", "EQ", "", 0.0, 1, 0.05
        for n in range(1, COMMODITIES + 1):
            yield (800_000 + n) << 8 | MCX, "MCX", f"GOLD{n}", "GOLD", "MCX", "FUT", "2026-12-04", 0.0, 1, 1.0
        if day < 2:
            yield EXPIRING, "NFO", "NIFTY26NOVFUT", "NIFTY", "NFO-FUT", "FUT", TODAY, 0.0, 75, 0.05
        else:
            yield EXPIRING, "NSE", "NEWCOMER", "", "NSE", "EQ", "", 0.0, 1, 0.05
        yield NEXT, "NFO", "NIFTY26DECFUT", "NIFTY", "NFO-FUT", "FUT", "2026-12-29", 0.0, 75, 0.05

    def listing(self, day):
        return Listing.of_rows("kite", list(self.rows(day)))

    @property
    def subscribed(self):
        symbols = [f"NSE:S{n}" for n in range(1, self.shares + 1)]
        symbols += [f"MCX:GOLD{n}" for n in range(1, COMMODITIES + 1)]
        nearest = Match.model_validate(
            {"exchange": "NFO", "name": "NIFTY", "instrument_type": "FUT", "expiry": "nearest"}
        )
        return (
            SubscribeEntry(instruments=tuple(symbols), mode="ltp"),
            SubscribeEntry(match=nearest, mode="ltp"),
        )


class Broker:
    """The other side: logins, REST calls, sockets, and what it thinks of how often it is asked.

    Args:
        clock: the daemon's; the broker's own shows `behind_s` less.
    """

    def __init__(self, clock, fakes):
        self._clock, self._fakes = clock, fakes
        self.logins = iter(("FIRST", "SECOND"))
        self.alive = ""
        self.behind_s = 0
        self.tokens = {}
        """Of the symbols that it lists today."""
        self.book = []
        self.calls = []
        self.dials = []
        self.open = []
        self.most_open = 0
        self.refusing = 0
        self.muted = set()

    # -- REST: what stands in for the class KiteConnect ----------------------------------------------------

    def __call__(self, api_key, access_token=None, **_):
        return Client(self, access_token)

    def answer(self, kind, hooks):
        self.calls.append((trio.current_time(), kind))
        now = datetime.fromtimestamp(self._clock.now_ns() / 1e9 - self.behind_s, UTC)
        head = SimpleNamespace(status_code=200, headers={"date": format_datetime(now, usegmt=True)})
        for hook in hooks:
            hook(head)

    def when(self, kind):
        return [at for at, what in self.calls if what == kind]

    # -- the WebSocket -------------------------------------------------------------------------------------

    @asynccontextmanager
    async def dial(self, token):
        self.dials.append((trio.current_time(), token))
        await trio.lowlevel.checkpoint()
        if self.refusing:
            self.refusing -= 1
            raise self._fakes.Outage("unreachable", "cannot reach it")
        if token != self.alive:
            raise self._fakes.Outage("auth", "HTTP 403")
        socket = self._fakes.Socket()
        self.open.append(socket)
        self.most_open = max(self.most_open, len(self.open))
        try:
            yield socket
        finally:
            self.open.remove(socket)

    async def heartbeats(self):
        """Rarer than the real ones, like the limits of the source, so that a day has fewer of them."""
        while True:
            await trio.sleep(240)
            for socket in set(self.open) - self.muted:
                socket.say(self._fakes.HEARTBEAT)

    async def ticks(self, seconds, segments=(NSE, NFO, MCX), without=()):
        """Everything subscribed in these segments ticks once a second."""
        for second in range(seconds):
            for socket in self.open:
                tokens = [t for t in socket.subscribed if t & 255 in segments and t not in without]
                if tokens:
                    socket.say(self._fakes.ltp(*tokens, price=100 + second))
            await trio.sleep(1)

    def hang_up(self):
        for socket in list(self.open):
            socket.end("closed", "the broker has closed it")


class Client:
    """As much of ``KiteConnect`` as the source calls."""

    def __init__(self, broker, token):
        self._broker, self._token = broker, token
        self.reqsession = self
        self.hooks = {"response": []}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def _asked(self, kind):
        self._broker.answer(kind, self.hooks["response"])

    def generate_session(self, request_token, api_secret):
        self._asked("login")
        self._broker.alive = next(self._broker.logins)
        return {"access_token": self._broker.alive, "user_id": "AB1234"}

    def orders(self):
        self._asked("orders")
        return self._broker.book

    def ltp(self, *symbols):
        self._asked("quote")
        assert len(symbols) <= MOST_PRICES
        known = self._broker.tokens
        return {s: {"instrument_token": known[s], "last_price": 7.5} for s in symbols if s in known}


class Day:
    """What the owner sees: states, records, health and metrics."""

    def __init__(self, house, unit, silences, calendar):
        self.house, self.unit, self.silences, self.calendar = house, unit, silences, calendar
        self.records = []
        self.filled = []

    async def until(self, moment):
        """Sleep until that time in India."""
        await trio.sleep((ist(moment) - self.house.clock.now_ns()) / 1e9)

    async def follow(self):
        """Note every record, and the ticks that are marked as snapshots."""
        _, subscription = self.house.hub.subscribe("test", "drop_newest", 2**28, Filter())
        while True:
            batch = await subscription.receive()
            self.records += batch.records
            self.filled += [t.symbol for t in batch.ticks if t.marks & SNAPSHOT]

    def told(self, kind):
        return [record for record in self.records if isinstance(record, kind)]

    def statuses(self):
        return [(status.state, status.connection) for status in self.told(Status)]

    @property
    def state(self):
        return self.unit.report.state

    @property
    def facts(self):
        return self.unit.report.facts

    @property
    def picture(self):
        now_ns = self.house.clock.now_ns()
        silent = self.silences.of("kite")
        return Picture(
            version="test", epoch=1, now_ns=now_ns, uptime_s=1.0, ready=True,
            sources=(pictures.source(self.unit, self.house.hub, self.calendar, now_ns, silent),),
            registry=(pictures.registry(self.unit.namespace, self.facts),),
        )  # fmt: skip

    @property
    def health(self):
        """Whether it is ready, and everything that is wrong."""
        found = assess(self.picture, Thresholds())
        return found.ready, {(reason.component, reason.problem) for reason in found.reasons}

    def metric(self, name):
        """A figure as Prometheus would read it."""
        picture = self.picture
        text = exposition(picture, assess(picture, Thresholds()), ())[0].decode()
        (line,) = [line for line in text.splitlines() if line.startswith(f"tickerd_{name} ")]
        return float(line.rpartition(" ")[2])


@pytest.fixture
async def start(inline_threads, autojump_clock, tmp_path, fakes, options, monkeypatch, nursery):
    """Starts the daemon's parts at 07:55, carrying so many instruments on so large connections."""
    with StateDirectory(tmp_path / "state") as state:

        async def begin(count, per_connection):
            clock = Clock(ist(f"{TODAY} 07:55"))
            listed, calendar, other = Listed(count), Calendar.load(), Broker(clock, fakes)
            downloads = []

            async def download(*_):
                await trio.lowlevel.checkpoint()
                downloads.append(clock.now_ns())
                day = len(downloads)
                other.tokens = {f"{row[1]}:{row[2]}": row[0] for row in listed.rows(day)}
                header = Header(compared=count, lost=1, added=1, changed=1, host_ahead_s=0.0)
                return pack(header, listed.listing(day), {"root": ROOT, "fetched_ns": clock.now_ns()})

            class Source(KiteSource):
                def __init__(self, options):
                    super().__init__(options, other.dial)

            monkeypatch.setattr(instruments, "download", download)
            monkeypatch.setattr(broker, "official", lambda: other)
            monkeypatch.setattr(feed, "REPORT_EVERY", 60.0)
            monkeypatch.setattr(wants, "LOOK_EVERY_S", 60.0)
            monkeypatch.setattr(clock, "skew_s", lambda: 0.0)
            yesterday = listed.listing(0).pack({"root": ROOT, "fetched_ns": ist("2026-11-24 08:05")})
            state.unit("source", "kite").joinpath(COPY).write_bytes(yesterday)

            house = House(Hub(1), InstrumentTable(), clock, state, Listeners(), None)
            chosen = options(
                access_token=None, api_secret="SECRET", per_connection=per_connection, fill_quotes=True,
                instruments_at="08:05", stale_after="10 min", reconnect_after="20 min",
            )  # fmt: skip
            settings = SourceSettings(
                name="kite", use="kite", type=Source, options=chosen, subscribe=listed.subscribed
            )
            unit = SourceUnit(settings, house, lambda _: None)
            silences = Silences(lambda: [unit], house.hub, lambda: calendar, clock)
            day = Day(house, unit, silences, calendar)
            nursery.start_soon(day.follow)
            nursery.start_soon(house.wants.run)
            nursery.start_soon(
                announce,
                calendar,
                clock,
                lambda batch: house.hub.publish(batch, ""),
                lambda: {"NSE", "NFO", "MCX"},
            )
            nursery.start_soon(other.heartbeats)
            supervisor = Supervisor(nursery, nursery, clock, start_deadline=10, stop_deadline=5)
            await supervisor.start([unit])
            return day, other, listed, downloads

        yield begin


@pytest.mark.parametrize(
    ("count", "per_connection"), [(150, 50), pytest.param(9000, 3000, marks=pytest.mark.full)]
)
async def test_a_day(autojump_clock, start, count, per_connection):
    with capture_logs() as logs:
        day, other, listed, downloads = await start(count, per_connection)
        await morning(day, other, listed, downloads)
        await trading(day, other, listed, logs)
        await evening_and_night(day, other, listed, logs)
        await next_morning(day, other, listed, logs)
    assert_manners(other, per_connection)
    levels = {line["event"] for line in logs if line["log_level"] in ("error", "critical")}
    assert levels == set(), "nobody had to act but for what the states say"


async def morning(day, other, listed, downloads):
    # 07:55: up, and says what to do; nobody is asked for anything
    await trio.sleep(60)
    assert day.unit.state == "running"
    assert (day.state, day.unit.report.detail) == (
        "auth_required",
        "no access token: log in with: tickerd login kite",
    )
    assert day.picture.sources[0].unresolved == ()
    assert day.health == (False, {("source.kite", "auth_required")})
    assert day.metric('source_reported{source="kite",state="auth_required"}') == 1
    assert len(day.unit.demand.wanted()) == listed.count, "by the copy of yesterday"
    assert (downloads, other.calls, other.dials) == ([], [], [])

    # 08:05: the dump of the day, in which a symbol has moved to another token and one has another name
    await day.until(f"{TODAY} 08:07")
    assert len(downloads) == 1
    told = {(c.symbol, c.change) for c in day.told(InstrumentChange)}
    assert told == {
        ("*", "changed"),
        (f"NSE:S{listed.moved}", "changed"),
        (f"NSE:S{listed.renamed}", "unknown"),
    }
    assert ("source.kite", "unknown_instrument") in day.health[1]
    assert day.metric('instruments_unresolved{source="kite"}') == 1
    day.unit.demand.want("owner", {"NSE:S-RENAMED": "ltp"})
    assert len(day.unit.demand.wanted()) == listed.count

    # 08:50: somebody logs in
    await day.until(f"{TODAY} 08:50")
    assert (other.calls, other.dials) == ([], [])
    await day.unit.plugin.exchange({"request_token": "REQUEST"})
    await trio.sleep(5)
    assert [token for _, token in other.dials] == ["FIRST"] * 3
    carried = [token for socket in other.open for token in socket.subscribed]
    shares = [listed.token(n) for n in range(1, listed.shares + 1)]
    golds = [(800_000 + n) << 8 | MCX for n in range(1, COMMODITIES + 1)]
    assert sorted(carried) == sorted([*shares, *golds, EXPIRING])
    assert sorted(day.statuses()) == [(s, n) for s in ("auth_required", "connected") for n in range(3)]
    await trio.sleep(60)
    assert day.health == (True, {("source.kite", "unknown_instrument")}), (
        "before the opening nothing need tick"
    )
    assert day.metric("ready") == 1
    assert day.metric('source_connections{source="kite"}') == 3
    assert day.metric('source_login_expires_seconds{source="kite"}') == pytest.approx(
        21 * 3600 + 600, abs=120
    )
    assert day.metric('market_open{source="kite"}') == 0
    assert 1 <= len(other.when("orders")) <= 3


async def trading(day, other, listed, logs):
    # 09:00: commodities open; shares are in their pre-open, whose ticks count and whose silence does not
    await day.until(f"{TODAY} 09:00:01")
    assert [(m.exchange, m.event) for m in day.told(Market)] == [("MCX", "open")]
    assert day.calendar.state("NSE", day.house.clock.now_ns()).state == "pre_open"
    before = day.house.hub.totals.ticks
    await other.ticks(3)
    assert day.house.hub.totals.ticks == before + 3 * listed.count
    for _ in range(60):
        await other.ticks(1, [MCX])
        await trio.sleep(9)
        await day.silences.look()
    assert day.silences.of("kite") == ()

    # 09:15: everything ticks; then one share falls silent, and is told within half a minute
    await day.until(f"{TODAY} 09:15:01")
    assert {(m.exchange, m.event) for m in day.told(Market)} == {(e, "open") for e in ("MCX", "NSE", "NFO")}
    before = day.house.hub.totals.ticks
    for _ in range(8):
        await other.ticks(5)
        await day.silences.look()
    assert day.house.hub.totals.ticks == before + 40 * listed.count
    assert day.health == (True, {("source.kite", "unknown_instrument")})
    for _ in range(6):
        await other.ticks(5, without={listed.token(7)})
        await day.silences.look()
    silent = [line for line in logs if line["event"] == "instruments do not tick"]
    assert [line["instruments"] for line in silent] == [["NSE:S7"]]
    assert ("source.kite", "silent") in day.health[1]
    assert day.metric('instruments_silent{source="kite"}') == 1
    await other.ticks(1)
    await day.silences.look()
    assert day.silences.of("kite") == ()

    await an_outage(day, other, listed)
    await a_muted_connection(day, other)


async def an_outage(day, other, listed):
    """Of everything; an order is filled meanwhile, and two shares are quiet afterwards."""
    other.open[0].say('{"type":"order","data":{"order_id":"1","status":"OPEN","quantity":5}}')
    await trio.sleep(1)
    other.book = [{"order_id": "1", "status": "COMPLETE", "quantity": 5, "filled_quantity": 5}]
    tried, day.filled = len(other.dials), []
    other.refusing = 12
    other.hang_up()
    await trio.sleep(1)
    assert day.state == "reconnecting"
    assert ("source.kite", "reconnecting") in day.health[1]
    assert not day.health[0]
    while len(other.open) < 3:
        await trio.sleep(1)
        await day.silences.look()
        assert day.silences.of("kite") == (), "a dead connection is told as such"
    quiet = {listed.token(3), listed.token(5)}
    await other.ticks(30, without=quiet)
    gaps = day.told(Gap)
    assert sorted((gap.connection, gap.reason) for gap in gaps) == [(n, "closed") for n in range(3)]
    assert len({symbol for gap in gaps for symbol in gap.instruments}) == listed.count
    assert len(other.dials) == tried + 12 + 3
    assert [(o.data["status"], o.reconciled) for o in day.told(Order)] == [
        ("OPEN", False),
        ("COMPLETE", True),
    ]
    assert day.filled.count("NSE:S3") == day.filled.count("NSE:S5") == 1
    assert len(set(day.filled)) == listed.count, "a snapshot for every instrument"
    assert day.unit.counts["quotes_filled"] == 2
    assert day.metric('source_reconnects_total{reason="closed",source="kite"}') == 3
    assert day.state == "connected"


async def a_muted_connection(day, other):
    """It is told as stale, and made anew; the others run on."""
    before = len(day.statuses())
    other.muted.add(other.open[0])
    await trio.sleep(25 * 60)
    changes = day.statuses()[before:]
    assert [state for state, _ in changes] == ["stale", "reconnecting", "connected"]
    assert len({connection for _, connection in changes}) == 1
    await other.ticks(1)
    assert day.told(Gap)[-1].reason == "silent"
    assert len(day.told(Gap)) == 4


async def evening_and_night(day, other, listed, logs):
    # the close: silence of shares is healthy
    await day.until(f"{TODAY} 18:00")
    closed = {m.exchange for m in day.told(Market) if m.event == "close"}
    assert closed == {"NSE", "NFO"}
    assert day.metric('market_open{source="kite"}') == 1
    for _ in range(16):
        await other.ticks(5, [MCX])
        await day.silences.look()
    assert day.silences.of("kite") == ()
    assert day.health == (True, {("source.kite", "unknown_instrument")})
    for _ in range(6):
        await other.ticks(5, [MCX], without={800_001 << 8 | MCX})
        await day.silences.look()
    assert [found.instrument for found in day.silences.of("kite")] == ["MCX:GOLD1"]
    await day.until(f"{TODAY} 23:56")
    await day.silences.look()
    assert day.silences.of("kite") == ()
    assert {m.exchange for m in day.told(Market) if m.event == "close"} == {"NSE", "NFO", "MCX"}
    assert day.metric('market_open{source="kite"}') == 0
    assert day.health == (True, {("source.kite", "unknown_instrument")})

    # 05:00 and 06:00: the login is about to end, and ends
    await day.until(f"{TOMORROW} 05:02")
    assert ("login_expiring", None) in day.statuses()
    assert day.state == "connected"
    before = len(day.told(InstrumentChange))
    await day.until(f"{TOMORROW} 06:02")
    assert day.statuses()[-1] == ("auth_required", None)
    assert day.metric('source_login_expires_seconds{source="kite"}') == 0

    # another day has begun: what expired is let go on the sockets that are open still, and the next one takes its place
    changes = [(c.symbol, c.change) for c in day.told(InstrumentChange)[before:]]
    assert sorted(changes) == [("NFO:NIFTY26DECFUT", "added"), ("NFO:NIFTY26NOVFUT", "expired")]
    carried = {token for socket in other.open for token in socket.subscribed}
    assert NEXT in carried
    assert EXPIRING not in carried
    assert len(carried) == listed.count

    # the broker hangs up; what has ended is not tried
    attempts, other.alive = len(other.dials), ""
    other.hang_up()
    await day.until(f"{TOMORROW} 08:50")
    assert day.state == "auth_required"
    assert day.unit.report.detail.startswith(
        f"the login has ended at {TOMORROW} 06:00 IST: log in again with:"
    )
    assert ("source.kite", "auth_required") in day.health[1]
    assert not day.health[0]
    assert len(other.dials) == attempts
    assert [line["event"] for line in logs].count("the login has ended") == 1


async def next_morning(day, other, listed, logs):
    # the token of what has expired names something else now, that nobody wants
    assert day.unit.namespace.get(EXPIRING).symbol == "NSE:NEWCOMER"
    attempts, gaps = len(other.dials), len(day.told(Gap))
    other.behind_s = 600
    await day.unit.plugin.exchange({"request_token": "REQUEST"})
    await trio.sleep(75)
    assert (day.state, [token for _, token in other.dials[attempts:]]) == ("connected", ["SECOND"] * 3)
    (line,) = [line for line in logs if line["event"] == "the clock is wrong, by the broker's"]
    assert line["ahead_s"] == 600
    assert ("clock", "wrong") in day.health[1]
    await day.until(f"{TOMORROW} 09:16")
    await other.ticks(5)
    assert len(day.told(Gap)) == gaps + 3
    assert day.unit.counts["quotes_filled"] == 2 + listed.count // 3 + listed.count, "whatever was quiet"
    assert [m.event for m in day.told(Market) if m.exchange == "NSE"] == [
        "open",
        "close",
        "end_of_day",
        "open",
    ]
    assert day.house.hub.heard(day.unit.namespace.get(NEXT)) is not None
    assert day.health[0]


def assert_manners(other, per_connection):
    """Never more calls, sockets or attempts than the broker allows."""
    assert other.most_open == 3
    quotes = other.when("quote")
    calls = ceil(per_connection / MOST_PRICES)
    assert len(quotes) == 1 + calls + 3 * calls, "after the outage, the muted connection, and the new login"
    assert all(after - before >= 1 - 1e-9 for before, after in pairwise(quotes))
    others = sorted(at for at, kind in other.calls if kind != "quote")
    assert all(bisect_left(others, at + 1 - 1e-9) - place <= 10 for place, at in enumerate(others))
    assert len(other.when("login")) == 2
    assert other.when("orders")
    assert len(other.dials) == 3 + 15 + 1 + 3
