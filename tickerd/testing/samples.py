"""Ticks and records to try a sink with: the ordinary ones, and those that surprise."""

from collections.abc import Iterator

from tickerd.plugin import (
    OHLC,
    AnyRecord,
    Batch,
    Depth,
    Endpoint,
    Gap,
    Instrument,
    InstrumentChange,
    Level,
    Market,
    Notice,
    Order,
    Report,
    Row,
    Status,
)
from tickerd.testing.fakes import stamped

INSTRUMENTS = (
    Instrument("fake", 1, "NSE", "INFY", name="INFOSYS", segment="NSE", instrument_type="EQ", tick_size=0.05),
    Instrument("fake", 2, "NSE", "NIFTY 50", segment="INDICES"),
    Instrument("fake", 3, "NFO", "NIFTY26JAN25000CE", expiry="2026-01-27", strike=25000.0, lot_size=75),
    Instrument("fake", 4, "BSE", "../M&M=,\"'"),
)
"""Symbols with spaces, and with characters that a path, a CSV or a shell treats in its own way."""

_NS = 1_767_584_700_000_000_000
"""2026-01-05 03:45 UTC, an opening bell."""


def sample_rows() -> list[Row]:
    """One row of each kind: full, index, last price only, negative price, and an unnamed token."""
    levels = tuple(Level(quantity=75 * n, price=1500.05 - n, orders=n) for n in range(5))
    return [
        Row(
            1,
            last_price=1500.05,
            last_traded_quantity=10,
            average_traded_price=1499.5,
            volume_traded=123_456,
            total_buy_quantity=1000,
            total_sell_quantity=0,
            ohlc=OHLC(1490.0, 1510.0, 1485.05, 1495.0),
            change=0.34,
            last_trade_time=_NS // 10**9,
            oi=0,
            oi_day_high=0,
            oi_day_low=0,
            exchange_timestamp=_NS // 10**9,
            depth=Depth(levels, levels),
        ),
        Row(2, mode="quote", tradable=False, last_price=25000.55, ohlc=OHLC(1.0, 2.0, 0.5, 1.5), change=-0.1),
        Row(3, mode="ltp", last_price=0.05),
        Row(4, mode="ltp", last_price=-37.63),
        Row(99, mode="ltp"),
    ]


def sample_records() -> list[AnyRecord]:
    """One control record of each kind."""
    return [
        Gap(reason="disconnected", since_ns=_NS, until_ns=_NS + 10**9, ts_recv=_NS),
        Gap(source="sink", reason="overflow", after=(1, 5), instruments=["NSE:INFY"], lost=3, ts_recv=_NS),
        Status(state="connected", connection=1, ts_recv=_NS),
        Market(exchange="NSE", event="open", ts_recv=_NS),
        Order(data={"order_id": "1", "status": "COMPLETE", "tag": None}, ts_recv=_NS),
        InstrumentChange(symbol="NSE:INFY", change="unknown", ts_recv=_NS),
        Notice(kind="message", data={"text": "\u20b9 \N{GRINNING FACE} \x00"}, ts_recv=_NS),
        Endpoint(source="sink.alerts", state="failing", detail="status 500", ts_recv=_NS),
        Report(id="1", kind="ping", data={"text": "x"}, ts_recv=_NS),
    ]


def sample_batches() -> Iterator[Batch]:
    """Batches as a sink may be handed them: ticks, records, both, and many reads merged into one."""
    table = {instrument.token: instrument for instrument in INSTRUMENTS}
    first = stamped(Batch.of(sample_rows(), connection=1, ts_recv=_NS), 1, instruments=table)
    records = stamped(Batch.control(*sample_records()), first.last.seq + 1)
    second = stamped(
        Batch.of(sample_rows(), connection=2, ts_recv=_NS + 1), records.last.seq + 1, instruments=table
    )
    yield first
    yield records
    yield Batch.merged([first, records, second])
