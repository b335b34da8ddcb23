"""Rows and control records as JSON lines and CSV: what goes out comes back."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd.plugin import (
    OHLC,
    AnyRecord,
    Depth,
    Gap,
    InstrumentChange,
    Level,
    Market,
    Notice,
    Order,
    Row,
    Status,
)
from tickerd.wire.rows import CSV_COLUMNS, CSV_HEADER, CsvParser, csv_lines, json_line, parse_json

whole = st.integers(min_value=-(2**63), max_value=2**63 - 1)
price = st.floats(allow_nan=False, allow_infinity=False)
text = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
levels = st.lists(st.builds(Level, whole, price, whole), max_size=5)


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


rows = st.builds(
    Row,
    instrument_token=st.integers(0, 2**32 - 1),
    symbol=optional(text),
    mode=st.sampled_from(["ltp", "quote", "full"]),
    tradable=st.booleans(),
    last_price=optional(price),
    last_traded_quantity=optional(whole),
    average_traded_price=optional(price),
    volume_traded=optional(whole),
    total_buy_quantity=optional(whole),
    total_sell_quantity=optional(whole),
    ohlc=optional(st.builds(OHLC, price, price, price, price)),
    change=optional(price),
    last_trade_time=optional(whole),
    oi=optional(whole),
    oi_day_high=optional(whole),
    oi_day_low=optional(whole),
    exchange_timestamp=optional(whole),
    depth=optional(st.builds(Depth, levels, levels).filter(lambda depth: depth.buy or depth.sell)),
    source=optional(text),
    connection=optional(whole),
    ts_recv=whole,
    epoch=st.integers(0, 2**32),
    seq=st.integers(0, 2**40),
    flags=st.lists(text, max_size=3),
)


def plain(value: object) -> Any:
    """Lists and tuples are the same thing in a file."""
    return msgspec.json.decode(msgspec.json.encode(value))


@given(rows)
def test_a_row_comes_back_from_a_json_line(row: Row) -> None:
    line = json_line(row)
    assert line.count(b"\n") == 1
    assert plain(parse_json(line)) == plain(row)
    assert isinstance(parse_json(line), Row)


@given(st.lists(rows, max_size=4))
def test_rows_come_back_from_csv(some: list[Row]) -> None:
    parser = CsvParser(CSV_HEADER)
    lines = csv_lines(some).split(b"\n")
    assert lines.pop() == b""
    assert plain([parser.parse(line) for line in lines]) == plain(some)


RECORDS: list[AnyRecord] = [
    Gap(reason="disconnected", since_ns=1, until_ns=2, after=(1, 9), instruments=["NSE:INFY"], ts_recv=5),
    Gap(reason="overflow", lost=3, source="archive"),
    Status(state="connected", connection=1, epoch=2, seq=3),
    Market(exchange="NSE", event="open"),
    Order(data={"order_id": "1", "price": 1.5, "tags": [None, True]}, reconciled=True),
    InstrumentChange(symbol="NSE:X", change="expired"),
    Notice(kind="message", data=["a\nb", 1]),
]


@pytest.mark.parametrize("record", RECORDS)
def test_a_control_record_comes_back_as_what_it_was(record: AnyRecord) -> None:
    line = json_line(record)
    assert line.startswith(b'{"record":')
    back = parse_json(line)
    assert type(back) is type(record)
    assert plain(back) == plain(record)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[1]",
        b"{}",
        b'{"instrument_token":"1"}',
        b'{"record":"nothing"}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_what_is_no_line_of_json_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError, match="not a row or a record"):
        parse_json(line)


def test_keys_of_a_later_version_are_ignored() -> None:
    assert parse_json(b'{"instrument_token":1,"new":{}}') == Row(1, flags=())


ROW = Row(
    408065, "NSE:INFY", last_price=1412.95, ohlc=OHLC(1.0, 2.0, 0.5, 1.5), ts_recv=7, epoch=1, seq=2,
    depth=Depth([Level(5, 1412.9, 2)], [Level(6, 1413.0, 3)]), flags=("snapshot", "duplicate"), source="kite",
)  # fmt: skip


def test_csv_is_what_the_documentation_says() -> None:
    assert CSV_HEADER.decode().rstrip("\n").split(",") == list(CSV_COLUMNS)
    cells = dict(zip(CSV_COLUMNS, csv_lines([ROW]).decode().rstrip("\n").split(","), strict=True))
    assert cells["bid0_price"] == "1412.9"
    assert cells["ask0_orders"] == "3"
    assert cells["bid1_price"] == ""
    assert cells["tradable"] == "1"
    assert cells["flags"] == "snapshot|duplicate"
    assert cells["oi"] == ""


def test_levels_beyond_the_fifth_have_no_column() -> None:
    many = [Level(n, 1.0, 1) for n in range(7)]
    back = CsvParser(CSV_HEADER).parse(csv_lines([Row(1, depth=Depth(many, []))]))
    assert back.depth is not None
    assert [level.quantity for level in back.depth.buy] == [0, 1, 2, 3, 4]


def test_columns_are_found_by_their_names() -> None:
    parser = CsvParser(b"\xef\xbb\xbfseq,extra,instrument_token,flags\r\n")
    assert parser.parse(b"5,whatever,42,\r\n") == Row(42, seq=5)
    assert parser.is_header(b"\xef\xbb\xbfseq,extra,instrument_token,flags")
    assert not parser.is_header(b"5,whatever,42,")


def test_a_header_without_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="instrument_token"):
        CsvParser(b"a,b\n")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"1,2",
        csv_lines([ROW]).replace(b"408065", b"x"),
        csv_lines([ROW]).replace(b",full,1,", b",full,maybe,"),
        csv_lines([ROW]).replace(b"1412.95", b"much"),
        csv_lines([ROW]).replace(b"NSE:INFY", b"\xff"),
        csv_lines([ROW]).replace(b"NSE:INFY", b'"NSE'),
        csv_lines([ROW])[:30],
    ],
)
def test_what_is_no_line_of_the_file_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each has its own text
        CsvParser(CSV_HEADER).parse(line)


def test_json_keeps_the_shortest_decimals() -> None:
    line = json_line(Row(1, last_price=83.2575))
    assert b'"last_price":83.2575,' in line
    assert json.loads(line)["last_price"] == 83.2575
