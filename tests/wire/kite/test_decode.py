"""Packets to values, compared with the official client's parser and with the integers on the wire."""

import os
import struct
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tickerd.plugin import OHLC, SUSPICIOUS, Batch, Depth, Instrument, Level, Origin, Row, Run, Stamp
from tickerd.wire.kite import KITE, divisor
from tickerd.wire.kite.decode import fields, official, row, rows
from tickerd.wire.kite.layout import (
    FULL_PACKET,
    INDEX_FULL_PACKET,
    INDEX_QUOTE_PACKET,
    LTP_PACKET,
    QUOTE_PACKET,
)

Parse = Callable[[bytes], list[dict[str, Any]]]
Framed = Callable[..., bytes]

SEGMENTS = {
    1: 100,
    2: 100,
    3: 10_000_000,
    4: 100,
    5: 100,
    6: 10_000,
    7: 100,
    8: 100,
    9: 100,
    12: 10_000,
    200: 100,
}
UNSIGNED = st.integers(0, 2**32 - 1)
POSITIVE = st.integers(0, 2**31 - 1)
SIGNED = st.integers(-(2**31), 2**31 - 1)
SHORT = st.integers(0, 2**16 - 1)
TOKEN = st.builds(
    lambda high, segment: high << 8 | segment, st.integers(0, 2**24 - 1), st.sampled_from([*SEGMENTS])
)
STAMP = Stamp("NSE:INFY", "kite", 2, 1_790_000_000_123_456_789, 3, 41, 0)


def packets_with(
    price: st.SearchStrategy[int], token: st.SearchStrategy[int] = TOKEN
) -> st.SearchStrategy[bytes]:
    """Any packet of any length; each price is drawn from ``price``."""
    level = st.tuples(UNSIGNED, price, SHORT)
    quote = (token, price, UNSIGNED, price, UNSIGNED, UNSIGNED, UNSIGNED, price, price, price, price)
    index = (token, price, price, price, price, price, SIGNED)

    def full(head: tuple[int, ...], times: tuple[int, ...], levels: list[tuple[int, ...]]) -> bytes:
        return FULL_PACKET.pack(*head, *times, *(value for one in levels for value in one))

    return st.one_of(
        st.builds(LTP_PACKET.pack, token, price),
        st.builds(INDEX_QUOTE_PACKET.pack, *index),
        st.builds(INDEX_FULL_PACKET.pack, *index, UNSIGNED),
        st.builds(QUOTE_PACKET.pack, *quote),
        st.builds(
            full,
            st.tuples(*quote),
            st.tuples(*[UNSIGNED] * 5),
            st.lists(level, min_size=10, max_size=10),
        ),
    )


def wire_prices(packet: bytes) -> dict[str, int]:
    """Where each price stands in a row, with its integer, read from the bytes by hand."""

    def at(offset: int) -> int:
        return int.from_bytes(packet[offset : offset + 4], signed=True)

    places = {"last_price": 4}
    if len(packet) in (28, 32):
        places |= {"ohlc.high": 8, "ohlc.low": 12, "ohlc.open": 16, "ohlc.close": 20}
    if len(packet) >= 44:
        places |= {
            "average_traded_price": 12,
            "ohlc.open": 28,
            "ohlc.high": 32,
            "ohlc.low": 36,
            "ohlc.close": 40,
        }
    if len(packet) == 184:
        for n in range(10):
            places[f"depth.{'buy' if n < 5 else 'sell'}.{n % 5}.price"] = 64 + 12 * n + 4
    return {name: at(offset) for name, offset in places.items()}


def dig(value: Any, path: str) -> Any:
    for part in path.split("."):
        value = value[int(part) if part.isdigit() else part]
    return value


def as_official(row: Row) -> dict[str, Any]:
    """A row as the official dict would be: the same numbers under the same names."""
    names = set(row.__struct_fields__) - {
        "symbol",
        "source",
        "connection",
        "ts_recv",
        "epoch",
        "seq",
        "flags",
    }
    out = {
        name: value for name, value in msgspec.to_builtins(row).items() if name in names and value is not None
    }
    if "depth" in out:
        out["depth"] = {side: [dict(level) for level in out["depth"][side]] for side in ("buy", "sell")}
    for name in ("last_trade_time", "exchange_timestamp"):
        if name in out:
            out[name] = datetime.fromtimestamp(out[name], UTC)
    return out


# -- where the official parser is right ----------------------------------------------------------------------


@given(st.lists(packets_with(POSITIVE), max_size=5))
def test_official_gives_what_the_official_parser_gives(
    framed: Framed, parse_officially: Parse, packets: list[bytes]
) -> None:
    assert [official(packet) for packet in packets] == parse_officially(framed(*packets))


@given(packets_with(POSITIVE))
def test_official_lists_the_keys_of_a_tick_in_the_official_order(
    framed: Framed, parse_officially: Parse, packet: bytes
) -> None:
    (theirs,) = parse_officially(framed(packet))
    ours = official(packet)
    assert list(ours) == list(theirs)
    assert list(ours.get("ohlc", ())) == list(theirs.get("ohlc", ()))


@given(packets_with(POSITIVE))
def test_a_row_has_the_official_numbers_under_the_official_names(
    framed: Framed, parse_officially: Parse, packet: bytes
) -> None:
    (theirs,) = parse_officially(framed(packet))
    ours = as_official(row(packet, STAMP))
    for name in ("last_trade_time", "exchange_timestamp"):
        if name in theirs:
            naive = theirs.pop(name)
            when = ours.pop(name, datetime.fromtimestamp(0, UTC))
            assert naive.timestamp() == when.timestamp() or naive == when.astimezone().replace(tzinfo=None)
    close = dig(theirs, "ohlc.close") if "ohlc" in theirs else 0
    change = theirs.pop("change", None)
    assert ours.pop("change", None) == (pytest.approx(change, rel=1e-9, abs=1e-6) if close else None)
    assert ours == theirs


# -- where it is wrong ---------------------------------------------------------------------------------------


@given(packets_with(SIGNED))
def test_prices_are_signed_where_the_official_parser_reads_them_unsigned(
    framed: Framed, parse_officially: Parse, packet: bytes
) -> None:
    (theirs,), ours = parse_officially(framed(packet)), official(packet)
    scale = divisor(int.from_bytes(packet[:4]))
    for path, wire in wire_prices(packet).items():
        assert dig(ours, path) == wire / scale
        assert dig(theirs, path) == wire % 2**32 / scale
        assert dig(msgspec.to_builtins(row(packet, STAMP)), path) == wire / scale


def test_the_bits_of_a_negative_commodity_price_are_minus_37_63() -> None:
    packet = struct.pack(">II", 60_000 << 8 | 7, 0xFFFF_F14D)
    assert row(packet, STAMP).last_price == official(packet)["last_price"] == -37.63
    assert orjson.loads(msgspec.json.encode(row(packet, STAMP)))["last_price"] == -37.63


def test_a_timestamp_of_zero_is_unknown_in_a_row(infy_full: bytes) -> None:
    values = list(FULL_PACKET.unpack(infy_full))
    values[11] = values[15] = 0
    packet = FULL_PACKET.pack(*values)
    assert row(packet, STAMP).last_trade_time is None
    assert row(packet, STAMP).exchange_timestamp is None
    assert official(packet)["exchange_timestamp"] == datetime.fromtimestamp(0)  # noqa: DTZ006
    index = INDEX_FULL_PACKET.pack(256_265, 1, 1, 1, 1, 1, 0, 0)
    assert row(index, STAMP).exchange_timestamp is None


@pytest.mark.parametrize(
    "packet",
    [
        INDEX_QUOTE_PACKET.pack(256_265, 1234, 1, 1, 1, 0, -1234),
        INDEX_FULL_PACKET.pack(256_265, 1234, 1, 1, 1, 0, -1234, 5),
        QUOTE_PACKET.pack(408_065, 1234, *[1] * 8, 0),
        FULL_PACKET.pack(408_065, 1234, *[1] * 8, 0, *[1] * 35),
    ],
    ids=len,
)
def test_without_a_previous_close_the_change_is_unknown_in_a_row(packet: bytes) -> None:
    assert row(packet, STAMP).change is None
    assert row(packet, STAMP).ohlc is not None
    assert official(packet)["change"] == 0


def test_an_index_change_is_computed_and_not_taken_from_the_wire() -> None:
    packet = INDEX_QUOTE_PACKET.pack(260_105, 912_685, 1, 1, 1, 912_685, -36)
    assert row(packet, STAMP).change == 0.0
    assert INDEX_QUOTE_PACKET.unpack(packet)[6] == -36


def test_a_price_of_nco_is_divided_by_ten_thousand() -> None:
    assert row(LTP_PACKET.pack(1 << 8 | 12, 832_575), STAMP).last_price == 83.2575


def test_volumes_above_two_thousand_million_stay_positive(infy_full: bytes) -> None:
    values = list(FULL_PACKET.unpack(infy_full))
    values[4] = 3_000_000_000
    packet = FULL_PACKET.pack(*values)
    assert row(packet, STAMP).volume_traded == official(packet)["volume_traded"] == 3_000_000_000


def test_tokens_above_two_thousand_million_stay_positive() -> None:
    packet = LTP_PACKET.pack(0xFFFF_FF01, 1)
    assert row(packet, STAMP).instrument_token == official(packet)["instrument_token"] == 0xFFFF_FF01


# -- exactness -----------------------------------------------------------------------------------------------


@given(packets_with(SIGNED))
@example(LTP_PACKET.pack(1 << 8 | 3, 1))
@example(LTP_PACKET.pack(1 << 8 | 3, -1))
@example(LTP_PACKET.pack(1 << 8 | 3, 832_575_000))
def test_each_price_in_the_json_is_exactly_the_wire_integer_over_the_divisor(
    exact: Callable[[bytes], Any], packet: bytes
) -> None:
    text = exact(msgspec.json.encode(row(packet, STAMP)))
    scale = SEGMENTS[packet[3]]
    for path, wire in wire_prices(packet).items():
        assert Decimal(dig(text, path)) == Decimal(wire) / scale


@pytest.mark.parametrize(
    ("segment", "wire", "text"),
    [
        (1, 157_370, "1573.7"),
        (1, 157_300, "1573.0"),
        (1, 5, "0.05"),
        (7, -3763, "-37.63"),
        (3, 832_575_000, "83.2575"),
        (3, 25, "2.5e-6"),
        (3, 1, "1e-7"),
        (6, 832_575, "83.2575"),
        (12, 1, "0.0001"),
        (2, 2_147_483_646, "21474836.46"),
    ],
)
def test_prices_print_as_the_shortest_decimal(segment: int, wire: int, text: str) -> None:
    """Below 0.00001, a hundredth of the smallest currency tick, JSON's exponent is used: still exact."""
    printed = msgspec.json.encode(row(LTP_PACKET.pack(1 << 8 | segment, wire), STAMP))
    assert f'"last_price":{text},'.encode() in printed


@given(SIGNED, SIGNED.filter(bool))
def test_the_change_is_percent_of_the_previous_close_rounded_once(last: int, close: int) -> None:
    packet = QUOTE_PACKET.pack(408_065, last, *[1] * 8, close)
    assert row(packet, STAMP).change == float(Fraction((last - close) * 100, close))


# -- what a row holds ----------------------------------------------------------------------------------------


def test_the_public_mock_quote_packet(infy_quote: bytes) -> None:
    assert len(infy_quote) == 44
    assert row(infy_quote, STAMP) == Row(
        instrument_token=408_065,
        symbol="NSE:INFY",
        mode="quote",
        tradable=True,
        last_price=1573.15,
        last_traded_quantity=1,
        average_traded_price=1570.33,
        volume_traded=1_175_986,
        total_buy_quantity=256_511,
        total_sell_quantity=360_503,
        ohlc=OHLC(1569.15, 1575.0, 1561.05, 1567.8),
        change=pytest.approx(0.3412425054216186, rel=1e-12),  # type: ignore[arg-type]
        source="kite",
        connection=2,
        ts_recv=STAMP.ts_recv,
        epoch=3,
        seq=41,
    )
    assert official(infy_quote)["change"] == 0.3412425054216186


def test_the_public_mock_full_packet(infy_full: bytes) -> None:
    assert len(infy_full) == 184
    bids = (
        Level(5, 1573.4, 1),
        Level(140, 1573.0, 2),
        Level(2, 1572.95, 1),
        Level(219, 1572.9, 7),
        Level(50, 1572.85, 1),
    )
    offers = (
        Level(172, 1573.7, 3),
        Level(44, 1573.75, 3),
        Level(302, 1573.85, 3),
        Level(141, 1573.9, 2),
        Level(724, 1573.95, 5),
    )
    assert row(infy_full, STAMP) == Row(
        instrument_token=408_065,
        symbol="NSE:INFY",
        mode="full",
        tradable=True,
        last_price=1573.7,
        last_traded_quantity=7,
        average_traded_price=1570.37,
        volume_traded=1_192_471,
        total_buy_quantity=256_443,
        total_sell_quantity=363_009,
        ohlc=OHLC(1569.15, 1575.0, 1561.05, 1567.8),
        change=pytest.approx(0.3763235106518747, rel=1e-12),  # type: ignore[arg-type]
        last_trade_time=1_625_461_887,
        oi=0,
        oi_day_high=0,
        oi_day_low=0,
        exchange_timestamp=1_625_461_887,
        depth=Depth(bids, offers),
        source="kite",
        connection=2,
        ts_recv=STAMP.ts_recv,
        epoch=3,
        seq=41,
    )
    assert official(infy_full)["change"] == 0.3763235106518747


def test_the_fields_of_an_index_stand_in_their_own_order() -> None:
    packet = INDEX_FULL_PACKET.pack(256_265, 105, 110, 95, 100, 90, 7, 1_625_461_887)
    found = row(packet, STAMP)
    assert found.ohlc == OHLC(open=1.0, high=1.1, low=0.95, close=0.9)
    assert (found.tradable, found.mode, found.exchange_timestamp) == (False, "full", 1_625_461_887)
    assert (found.volume_traded, found.oi, found.depth, found.last_trade_time) == (None,) * 4
    assert row(packet[:28], STAMP).mode == "quote"


def test_fields_are_the_integers_of_the_wire(infy_full: bytes, infy_quote: bytes) -> None:
    assert fields(infy_full)[:11] == (
        408_065,
        157_370,
        7,
        157_037,
        1_192_471,
        256_443,
        363_009,
        156_915,
        157_500,
        156_105,
        156_780,
    )
    assert fields(infy_quote)[1] == 157_315
    assert fields(LTP_PACKET.pack(1, -1)) == (1, -1)


@pytest.mark.parametrize("length", [0, 1, 4, 7, 9, 27, 43, 45, 183, 185])
def test_no_packet_has_another_length(length: int) -> None:
    for decode in (fields, official, lambda packet: row(packet, STAMP)):
        with pytest.raises(ValueError, match=f"no packet has {length} bytes, only .*184"):
            decode(bytes(length))


@pytest.mark.parametrize("last", [0, -1, -(2**31), 2**31 - 1])
@pytest.mark.parametrize("length", [8, 28, 32, 44, 184])
def test_a_price_that_no_market_makes_is_suspicious(length: int, last: int) -> None:
    packet = struct.pack(">Ii", 408_065, last) + bytes([0, 0, 0, 1]) * 44
    assert row(packet[:length], STAMP).flags == ("suspicious",)


@pytest.mark.parametrize("length", [8, 28, 32, 44, 184])
def test_an_ordinary_price_is_not_suspicious_and_flags_of_the_hub_are_kept(length: int) -> None:
    packet = (struct.pack(">Ii", 408_065, 5) + bytes([0, 0, 0, 1]) * 44)[:length]
    assert row(packet, STAMP).flags == ()
    assert row(packet, STAMP._replace(flags=3)).flags == ("snapshot", "duplicate")


def test_an_empty_book_is_suspicious_and_half_a_book_is_not(infy_full: bytes) -> None:
    empty = infy_full[:64] + bytes(120)
    assert row(empty, STAMP).flags == ("suspicious",)
    assert row(infy_full[:124] + bytes(60), STAMP).flags == ()
    assert row(infy_full[:64] + bytes(60) + infy_full[124:], STAMP).flags == ()
    assert row(empty, STAMP._replace(flags=SUSPICIOUS)).flags == ("suspicious",)


def test_the_flags_of_a_tick_do_not_reach_the_next_one(infy_full: bytes) -> None:
    run = Run(KITE, ("kite", 1, 5, 1), [infy_full[:64] + bytes(120), infy_full], ["A", "A"], [1, 2], [0, 0])
    assert [one.flags for one in rows(run)] == [("suspicious",), ()]


# -- many at once --------------------------------------------------------------------------------------------


@given(st.lists(packets_with(SIGNED), max_size=8), st.data())
def test_rows_are_the_row_of_each(packets: list[bytes], data: st.DataObject) -> None:
    many = len(packets)
    symbols = data.draw(st.lists(st.sampled_from(["NSE:A", None]), min_size=many, max_size=many))
    flags = data.draw(st.lists(st.integers(0, 15), min_size=many, max_size=many))
    run = Run(KITE, ("kite", 1, 99, 4), packets, symbols, range(7, 7 + many), flags)
    stamps = [
        Stamp(symbol, "kite", 1, 99, 4, 7 + i, bits)
        for i, (symbol, bits) in enumerate(zip(symbols, flags, strict=True))
    ]
    assert rows(run) == [row(packet, stamp) for packet, stamp in zip(packets, stamps, strict=True)]


@given(st.lists(packets_with(SIGNED), max_size=8))
def test_the_lines_of_a_batch_are_the_json_of_its_ticks(framed: Framed, packets: list[bytes]) -> None:
    fast = Batch.read(KITE, framed(*packets), connection=1, ts_recv=5)
    slow = Batch.read(KITE, framed(*packets), connection=1, ts_recv=5)
    for batch in (fast, slow):
        assert isinstance(batch.origin, Origin)
        batch.origin.instruments = {408_065: Instrument("kite", 408_065, "NSE", "INFY")}
    assert fast.lines() == b"".join(tick.json + b"\n" for tick in slow.ticks)


# -- times ---------------------------------------------------------------------------------------------------

_PRINTS = """
import sys
from tickerd.plugin import Stamp
from tickerd.wire.kite import official, row
import msgspec
packet = bytes.fromhex(sys.argv[1])
sys.stdout.write(msgspec.json.encode(row(packet, Stamp("NSE:INFY", "kite", 2, 5, 3, 41, 0))).decode() + "\\n")
sys.stdout.write(str(official(packet)["exchange_timestamp"]) + "\\n")
"""


@pytest.mark.parametrize(
    ("zone", "local"),
    [
        ("UTC", "2021-07-05 05:11:27"),
        ("Asia/Kolkata", "2021-07-05 10:41:27"),
        ("America/New_York", "2021-07-05 01:11:27"),
    ],
)
def test_a_row_says_the_same_whatever_the_zone_of_the_host(zone: str, local: str, infy_full: bytes) -> None:
    out = subprocess.run(
        [sys.executable, "-c", _PRINTS, infy_full.hex()],
        env={**os.environ, "TZ": zone},
        capture_output=True,
        check=True,
        text=True,
    ).stdout.splitlines()
    assert out[0].encode() == msgspec.json.encode(row(infy_full, Stamp("NSE:INFY", "kite", 2, 5, 3, 41, 0)))
    assert '"last_trade_time":1625461887,' in out[0]
    assert out[1] == local
