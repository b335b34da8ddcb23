"""The watch over silent instruments: what it takes from sources, hub and calendar, and what it tells."""

from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from tickerd.calendar import Calendar
from tickerd.daemon.silences import Silences, fed_since, trading_at
from tickerd.dataflow.hub import Hub
from tickerd.instruments import InstrumentTable
from tickerd.plugin import Batch, Clock, Instrument
from tickerd.wire.kite import KITE, frame
from tickerd.wire.kite.layout import LTP_PACKET

NAMES = {1: "INFY", 2: "TCS"}


def ist(text: str) -> int:
    return round(datetime.fromisoformat(f"{text}+05:30").timestamp()) * 10**9


class Unit:
    """A source, as far as the watch looks at it."""

    name = "source.kite"

    def __init__(self, *instruments: Instrument) -> None:
        self.settings = SimpleNamespace(name="kite")
        self.state = "running"
        self.report = SimpleNamespace(state="connected", facts={})
        self.demand = SimpleNamespace(wanted=lambda: dict.fromkeys(instruments, "ltp"))


class Morning:
    """Monday morning at ten; the test says which tokens tick each second."""

    def __init__(self) -> None:
        self.hub = Hub(1)
        self.clock = Clock(ist("2026-11-23 10:00"))
        namespace = InstrumentTable().namespace("kite")
        namespace.load([Instrument("kite", token, "NSE", name) for token, name in NAMES.items()])
        self.namespace = namespace
        self.unit = Unit(*namespace.by_token.values())
        self.units: list[Any] = [self.unit]
        calendar = Calendar.load()
        self.silences = Silences(lambda: self.units, self.hub, lambda: calendar, self.clock)

    async def ticks(self, seconds: int, *tokens: int) -> None:
        for _ in range(seconds):
            raw = frame.join([LTP_PACKET.pack(token, 100) for token in tokens])
            batch = Batch.read(KITE, raw, connection=0, ts_recv=self.clock.now_ns())
            self.hub.publish(batch, "kite", self.namespace)
            await trio.sleep(1)


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    """No threads take part."""
    return trio.testing.MockClock(autojump_threshold=0)


@pytest.fixture
async def morning(nursery: trio.Nursery) -> Morning:
    made = Morning()
    nursery.start_soon(made.silences.run)
    return made


async def test_a_muted_symbol_is_told_once_within_30_s_and_once_when_it_ticks_again(
    autojump_clock: trio.testing.MockClock, morning: Morning
) -> None:
    with capture_logs() as logs:
        await morning.ticks(60, 1, 2)
        assert morning.silences.of("kite") == ()
        await morning.ticks(30, 2)
        (found,) = morning.silences.of("kite")
        assert (found.instrument, found.limit_s, found.market) == ("NSE:INFY", 24, "open")
        await morning.ticks(100, 2)
        await morning.ticks(10, 1, 2)
    assert morning.silences.of("kite") == ()
    begun, ended = logs
    assert (begun["event"], begun["log_level"]) == ("instruments do not tick", "warning")
    assert (begun["unit"], begun["count"], begun["instruments"]) == ("source.kite", 1, ["NSE:INFY"])
    assert (ended["event"], ended["instruments"]) == ("instruments tick again", ["NSE:INFY"])


async def test_one_that_never_ticked_is_told_more_quietly(
    autojump_clock: trio.testing.MockClock, morning: Morning
) -> None:
    with capture_logs() as logs:
        await morning.ticks(300, 2)
    (line,) = logs
    assert (line["log_level"], line["limit_s"], line["instruments"]) == ("info", 290, ["NSE:INFY"])


async def test_a_source_that_is_down_is_not_looked_at(
    autojump_clock: trio.testing.MockClock, morning: Morning
) -> None:
    await morning.ticks(60, 1, 2)
    await morning.ticks(40, 2)
    assert len(morning.silences.of("kite")) == 1
    morning.unit.state = "waiting"
    await trio.sleep(6)
    assert morning.silences.of("kite") == ()


@pytest.mark.parametrize(
    ("exchange", "at", "since"),
    [
        ("NSE", "2026-11-23 09:14", None),
        ("NSE", "2026-11-23 09:15", "2026-11-23 09:15"),
        ("NSE", "2026-11-23 15:20", None),  # the closing auction
        ("NFO", "2026-11-23 15:20", "2026-11-23 09:15"),
        ("MCX", "2026-11-23 22:00", "2026-11-23 09:00"),
        ("NSE", "2026-11-22 11:00", None),
        ("NOWHERE", "2026-11-23 11:00", None),
    ],
)
def test_an_exchange_trades_from_its_opening_to_its_auction_or_close(
    exchange: str, at: str, since: str | None
) -> None:
    assert trading_at(Calendar.load(), ist(at))(exchange) == (None if since is None else ist(since))


@pytest.mark.parametrize(
    ("state", "facts", "number", "since"),
    [
        ("", {}, None, 0),
        ("connected", {}, 3, 0),
        ("reconnecting", {}, None, None),
        ("auth_required", {"by_connection": [(0, "connected", 7)]}, 0, 7),
        ("reconnecting", {"by_connection": [(0, "connected", 7), (1, "reconnecting", 9)]}, 0, 7),
        ("reconnecting", {"by_connection": [(0, "connected", 7), (1, "reconnecting", 9)]}, 1, None),
        ("reconnecting", {"by_connection": [(0, "connected", 7), (1, "reconnecting", 9)]}, None, None),
        ("connected", {"by_connection": [(0, "connected", 7), (1, "connected", 9), (2, "idle", 0)]}, None, 9),
        ("connected", {"by_connection": [(0, "connected", 7)], "surplus": 2}, None, None),
        ("connected", {"by_connection": [(0, "connected", 7)], "surplus": 2}, 0, 7),
        ("connected", {"by_connection": [(0, "connected", 7)]}, 2, None),
    ],
)
def test_what_a_source_says_of_its_connections_is_believed(
    state: str, facts: dict[str, Any], number: int | None, since: int | None
) -> None:
    names = ("connection", "state", "since_ns")
    if "by_connection" in facts:
        facts = facts | {
            "by_connection": [dict(zip(names, one, strict=True)) for one in facts["by_connection"]]
        }
    unit: Any = Unit()
    unit.report = SimpleNamespace(state=state, facts=facts)
    assert fed_since(unit, number) == since
