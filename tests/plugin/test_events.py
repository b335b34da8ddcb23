"""Ticks, batches and the codec of plain rows."""

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd.plugin import (
    DUPLICATE,
    FLAG_NAMES,
    OUT_OF_ORDER,
    SNAPSHOT,
    SUSPICIOUS,
    Batch,
    Codec,
    Gap,
    Instrument,
    Position,
    Row,
    Run,
    Split,
    Stamp,
    Status,
    Tick,
    flag_names,
)
from tickerd.plugin.events import PLAIN
from tickerd.testing import sample_rows, stamped

TABLE = {1: Instrument("n", 1, "NSE", "ONE"), 2: Instrument("n", 2, "NSE", "TWO")}


class Counting:
    """A codec of one-byte packets, whose token is the byte; counts what it is asked."""

    id = "counting"

    def __init__(self) -> None:
        self.splits = self.rows_made = 0

    def split(self, raw: bytes) -> Split:
        self.splits += 1
        return Split(list(raw), [bytes([one]) for one in raw])

    def join(self, tokens: Any, packets: Any) -> bytes:
        return b"".join(packets)

    def row(self, packet: bytes, stamp: Stamp) -> Row:
        self.rows_made += 1
        symbol, source, connection, ts_recv, epoch, seq, flags = stamp
        row = Row(packet[0], symbol, "ltp", last_price=packet[0] / 4)
        row.source, row.connection, row.ts_recv, row.epoch, row.seq = source, connection, ts_recv, epoch, seq
        row.flags = flag_names(flags)
        return row

    def marks(self, packets: Any, previous: Any) -> dict[int, int]:
        return {}


class Bulk(Counting):
    """The same, with the fast path."""

    def __init__(self) -> None:
        super().__init__()
        self.bulks = 0

    def rows(self, run: Run) -> list[Row]:
        self.bulks += 1
        parts = zip(run.packets, run.symbols, run.seqs, run.flags, strict=True)
        return [
            self.row(packet, Stamp(symbol, *run.stamp, seq, flags)) for packet, symbol, seq, flags in parts
        ]


def read(codec: Codec, raw: bytes = b"\x01\x02\x03", **more: Any) -> Batch:
    return stamped(
        Batch.read(codec, raw, connection=7, ts_recv=99), 10, source="s", instruments=TABLE, **more
    )


def test_positions_compare_by_epoch_first() -> None:
    assert Position(1, 999) < Position(2, 1) < Position(2, 2)


@pytest.mark.parametrize("bits", range(32))
def test_flags_are_named_bit_by_bit(bits: int) -> None:
    known = {
        SNAPSHOT: "snapshot",
        DUPLICATE: "duplicate",
        OUT_OF_ORDER: "out_of_order",
        SUSPICIOUS: "suspicious",
    }
    assert flag_names(bits) == tuple(name for bit, name in known.items() if bits & bit)
    assert tuple(known.values()) == FLAG_NAMES


def test_a_read_is_split_once_and_decoded_when_somebody_asks() -> None:
    codec = Counting()
    batch = read(codec)
    assert len(batch) == 3
    first, second, third = batch.ticks
    assert (codec.splits, codec.rows_made) == (1, 0)
    assert first.last_price == 0.25
    assert first.row is first.row
    assert (codec.splits, codec.rows_made) == (1, 1)
    assert batch.ticks[1] is second
    assert third.symbol is None


def test_a_tick_knows_where_it_stands_without_decoding() -> None:
    codec = Counting()
    tick = read(codec, epoch=4).ticks[1]
    assert (tick.position, tick.source, tick.connection, tick.ts_recv) == (Position(4, 11), "s", 7, 99)
    assert (tick.instrument_token, tick.instrument, tick.symbol) == (2, TABLE[2], "NSE:TWO")
    assert codec.rows_made == 0


def test_a_tick_has_every_column_of_its_row() -> None:
    for tick in stamped(Batch.of(sample_rows(), ts_recv=1), instruments=TABLE).ticks:
        for name in Row.__struct_fields__:
            if name not in ("epoch", "seq"):
                assert getattr(tick, name) == getattr(tick.row, name), name
        assert tick.position == (tick.row.epoch, tick.row.seq)


def test_json_is_the_row_and_is_made_once() -> None:
    codec = Counting()
    tick = read(codec).ticks[0]
    assert tick.json is tick.json
    assert codec.rows_made == 1
    written = msgspec.json.decode(tick.json)
    assert list(written) == list(Row.__struct_fields__)
    assert (written["symbol"], written["last_price"], written["seq"]) == ("NSE:ONE", 0.25, 10)
    assert written["volume_traded"] is None
    assert b"\n" not in tick.json


def test_json_of_a_decoded_tick_does_not_decode_again() -> None:
    codec = Counting()
    tick = read(codec).ticks[0]
    assert tick.row.last_price == msgspec.json.decode(tick.json)["last_price"]
    assert codec.rows_made == 1


def test_a_bare_tick_equals_it_and_holds_nothing_cached() -> None:
    codec = Counting()
    tick = read(codec).ticks[0]
    bare = (tick.json, tick.bare())[1]
    assert bare.json == tick.json
    assert codec.rows_made == 2
    assert bare.fresh_row() == tick.row
    assert bare.row is not tick.row


@pytest.mark.parametrize("make", [Counting, Bulk])
def test_rows_and_lines_of_a_batch_are_those_of_its_ticks(make: Any) -> None:
    batch, again = read(make()), read(make())
    batch.marks = again.marks = {1: DUPLICATE}
    wanted = [tick.fresh_row() for tick in again.ticks]
    assert batch.rows() == wanted
    assert wanted[1].flags == ("duplicate",)
    lines = b"".join(msgspec.json.encode(row) + b"\n" for row in wanted)
    assert batch.lines() == lines
    assert batch.ticks[0].json + b"\n" == lines.splitlines(keepends=True)[0]
    assert batch.lines() == lines


@pytest.mark.parametrize("make", [Counting, Bulk])
def test_rows_of_merged_reads_keep_order_and_positions(make: Any) -> None:
    codec = make()
    first = read(codec, b"\x01\x02")
    second = stamped(Batch.read(codec, b"\x02", connection=8, ts_recv=100), 12, source="t", instruments=TABLE)
    merged = Batch.merged([first, second])
    assert [(row.seq, row.connection, row.source) for row in merged.rows()] == [
        (10, 7, "s"),
        (11, 7, "s"),
        (12, 8, "t"),
    ]
    assert merged.lines() == b"".join(tick.json + b"\n" for tick in merged.ticks)


def test_runs_are_the_same_before_and_after_ticks_were_made() -> None:
    batch = read(Counting())
    batch.marks = {2: DUPLICATE}
    (before,) = batch.runs()
    assert len(batch.ticks) == 3
    (after,) = batch.runs()
    assert [list(part) for part in before[1:]] == [list(part) for part in after[1:]]
    assert list(after.flags) == [0, 0, DUPLICATE]


def test_a_bulk_codec_is_asked_once_for_a_whole_read() -> None:
    codec = Bulk()
    assert len(read(codec).rows()) == 3
    assert codec.bulks == 1


def test_one_batch_merged_is_itself_and_several_keep_everything() -> None:
    one, records = read(Counting()), stamped(Batch.control(Gap(reason="x")), 13)
    assert Batch.merged([one]) is one
    both = Batch.merged([one, records])
    assert (len(both.ticks), len(both.records), len(both)) == (3, 1, 4)
    assert both.last == Position(1, 13)
    assert both.ticks[0] is one.ticks[0]


def test_records_alone_are_a_batch_without_ticks() -> None:
    batch = Batch.control(Gap(reason="x"), Status(state="connected"))
    assert (list(batch.ticks), len(batch), batch.rows(), batch.lines()) == ([], 2, [], b"")
    assert batch.split == Split((), ())
    assert batch.last == Position(0, 0)


def test_an_empty_batch_is_empty() -> None:
    assert len(Batch()) == len(Batch().ticks) == 0


def test_a_part_of_a_batch_is_what_somebody_wants() -> None:
    batch = Batch.merged([read(Counting()), stamped(Batch.control(Gap(reason="x"), Gap(reason="y")), 13)])
    part = batch.only({2})
    assert part is not None
    assert ([tick.symbol for tick in part.ticks], len(part.records)) == (["NSE:TWO"], 2)
    part = batch.only((), lambda record: record.reason == "y")
    assert part is not None
    assert ([*part.ticks], [r.reason for r in part.records], part.last) == ([], ["y"], batch.last)
    assert batch.only({99}, lambda record: False) is None


def test_a_bare_batch_is_the_same_without_what_was_cached() -> None:
    codec = Counting()
    batch = read(codec)
    batch.marks = {0: SNAPSHOT}
    texts = [tick.json for tick in batch.ticks]
    bare = batch.bare()
    assert (bare.last, bare.raw, len(bare)) == (batch.last, batch.raw, 3)
    assert bare.ticks[0] is not batch.ticks[0]
    assert [tick.json for tick in bare.ticks] == texts
    merged = Batch.merged([batch, bare]).bare()
    assert [tick.json for tick in merged.ticks] == texts * 2
    assert merged.ticks[0] is not batch.ticks[0]


def test_its_size_is_estimated_on_the_safe_side() -> None:
    batch = read(Counting(), bytes(range(1, 200)))
    assert batch.nbytes >= 199 + 256
    part = batch.only(set(range(100)))
    assert part is not None
    assert part.nbytes >= 99 * 120
    assert Batch.control(Gap(reason="x")).nbytes >= 512


# -- plain rows ------------------------------------------------------------------------------------------


def test_plain_rows_come_back_as_they_were() -> None:
    rows = sample_rows()
    batch = stamped(Batch.of(rows, connection=3, ts_recv=5), 20, epoch=2, source="s", instruments=TABLE)
    replaced = {"symbol", "source", "connection", "ts_recv", "epoch", "seq", "flags"}
    for n, (row, tick) in enumerate(zip(rows, batch.ticks, strict=True)):
        before, after = (msgspec.json.decode(msgspec.json.encode(one)) for one in (row, tick.row))
        assert {k for k in before if before[k] != after[k]} <= replaced
        assert (tick.row.epoch, tick.row.seq, tick.row.source, tick.row.connection) == (2, 20 + n, "s", 3)
        assert tick.row.ts_recv == 5
    assert [tick.symbol for tick in batch.ticks[:2]] == ["NSE:ONE", "NSE:TWO"]


def test_what_a_plain_row_says_itself_is_kept() -> None:
    row = Row(1, symbol="X:Y", source="own", connection=9, ts_recv=4, flags=("snapshot",), epoch=5, seq=6)
    batch = stamped(Batch.of([row], connection=3, ts_recv=5), 20, instruments=TABLE)
    batch.marks = {0: DUPLICATE | SNAPSHOT}
    got = batch.ticks[0].row
    assert (got.symbol, got.source, got.connection, got.ts_recv) == ("X:Y", "own", 9, 4)
    assert got.flags == ("snapshot", "duplicate")
    assert (got.epoch, got.seq) == (1, 20), "positions are the hub's to give"


def test_plain_reads_can_be_taken_apart_and_joined() -> None:
    batch = Batch.of(sample_rows())
    again = Batch.read(PLAIN, batch.raw or b"", connection=None, ts_recv=0)
    assert again.split == batch.split
    assert PLAIN.join(*batch.split[:2]) == batch.raw


def test_plain_packets_that_repeat_are_marked() -> None:
    packets = [PLAIN.packet(row) for row in (Row(1), Row(2), Row(3))]
    assert PLAIN.marks(packets, [packets[0], None, packets[0]]) == {0: DUPLICATE}


@given(st.binary(max_size=200))
def test_bytes_that_are_no_plain_read_are_counted_and_do_not_raise(raw: bytes) -> None:
    split = PLAIN.split(raw)
    assert split.tokens or split.faults or raw == b"\x90"
    with pytest.raises(ValueError, match=r"not a plain packet|codec can't decode"):
        PLAIN.row(b"\xc1" + raw, Stamp(None, None, None, 0, 0, 0, 0))


def test_a_damaged_plain_read_keeps_its_good_packets() -> None:
    good = Batch.of([Row(1), Row(2)]).split
    raw = PLAIN.join([1, 2, 3, 4], [*good.packets, b"rubbish", good.packets[0]])
    split = PLAIN.split(raw)
    assert (list(split.tokens), dict(split.faults)) == ([1, 2], {"undecodable": 2})


def test_a_tick_keeps_little_alive() -> None:
    tick = read(Counting()).ticks[0]
    assert isinstance(tick, Tick)
    assert set(Tick.__struct_fields__) == {
        "instrument_token",
        "packet",
        "index",
        "origin",
        "marks",
        "_row",
        "_json",
    }
    assert not hasattr(tick.origin, "raw")


def test_prices_print_as_the_shortest_decimal() -> None:
    chance = random.Random(1)
    for _ in range(1000):
        paise = chance.randrange(-(10**9), 10**9)
        text = msgspec.json.encode(Row(1, last_price=paise / 100)).split(b'"last_price":')[1].split(b",")[0]
        whole, _, rest = text.decode().partition(".")
        assert int(whole + rest.ljust(2, "0")[:2]) == paise
        assert len(rest) <= 2
