"""Tests of the codec of plain rows."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd.plugin import DUPLICATE, SNAPSHOT, Batch, Row, Stamp
from tickerd.plugin.plain import PLAIN
from tickerd.testing import sample_rows, stamped


def test_plain_rows_come_back_as_they_were(table: Any) -> None:
    rows = sample_rows()
    batch = stamped(Batch.of(rows, connection=3, ts_recv=5), 20, epoch=2, source="s", instruments=table)
    replaced = {"symbol", "source", "connection", "ts_recv", "epoch", "seq", "flags"}
    for n, (row, tick) in enumerate(zip(rows, batch.ticks, strict=True)):
        before, after = (msgspec.json.decode(msgspec.json.encode(one)) for one in (row, tick.row))
        assert {k for k in before if before[k] != after[k]} <= replaced
        assert (tick.row.epoch, tick.row.seq, tick.row.source, tick.row.connection) == (2, 20 + n, "s", 3)
        assert tick.row.ts_recv == 5
    assert [tick.symbol for tick in batch.ticks[:2]] == ["NSE:ONE", "NSE:TWO"]


def test_what_a_plain_row_says_itself_is_kept(table: Any) -> None:
    row = Row(1, symbol="X:Y", source="own", connection=9, ts_recv=4, flags=("snapshot",), epoch=5, seq=6)
    batch = stamped(Batch.of([row], connection=3, ts_recv=5), 20, instruments=table)
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
