"""Rows: the same values as everywhere else, in the protocol's order of columns."""

import json

import msgspec
import pytest

from tickerd.plugin import Batch, Row, Tick
from tickerd.testing import sample_batches, stamped
from tickerd.wire.arrays import COLUMNS as ALL
from tickerd.wire.arrays import of_row
from tickerd.wire.kite import KITE, frame
from tickerd.wire.kite.layout import FULL_PACKET, INDEX_FULL_PACKET, LTP_PACKET, QUOTE_PACKET
from tickerd_plugins.websocket.rows import COLUMNS, WIDTH, cut, flat, json_pieces, msgpack_pieces, reads

PACKETS = [
    FULL_PACKET.pack(408065, 157370, *range(1, 45)),
    LTP_PACKET.pack(408065, 157371),
    QUOTE_PACKET.pack(408065, 157372, *range(9)),
    INDEX_FULL_PACKET.pack(256265, 1, 2, 3, 4, 5, 6, 1_700_000_000),
    FULL_PACKET.pack(408065, 157373, *range(1, 45)),
]


def kite_batch() -> Batch:
    return stamped(Batch.read(KITE, frame.join(PACKETS), connection=3, ts_recv=77), 5)


def expected(tick: Tick) -> list[object]:
    known = dict(zip(ALL["full"], of_row(tick.row), strict=False))
    return [known.get(name) for name in COLUMNS[tick.row.mode]]  # type: ignore[index]


def as_lists(value: object) -> object:
    return json.loads(msgspec.json.encode(value))


@pytest.mark.parametrize("whole", [True, False])
def test_every_column_has_the_value_of_the_tick(whole: bool) -> None:
    for made in (kite_batch(), *(stamped(one) for one in sample_batches() if one.origin)):
        batch = made if whole else Batch(ticks=list(made.ticks), last=made.last)
        found = [row for read in reads(batch) for row in flat(read.run(range(len(read.tokens))))]
        assert as_lists(found) == as_lists([expected(tick) for tick in batch.ticks])


def test_a_part_of_a_read_can_be_taken() -> None:
    (read,) = reads(kite_batch())
    assert flat(read.run([1, 3])) == [flat(read.run(range(5)))[place] for place in (1, 3)]
    assert [row[1] for row in flat(read.run(range(5)))] == [5, 6, 7, 8, 9]


def test_the_columns_of_a_lower_mode_are_the_first_of_a_higher_one() -> None:
    assert COLUMNS["full"][: WIDTH["quote"]] == COLUMNS["quote"]
    assert COLUMNS["quote"][: WIDTH["ltp"]] == COLUMNS["ltp"]
    (read,) = reads(kite_batch())
    assert [len(row) for row in cut(flat(read.run(range(5))), "quote")] == [16, 6, 16, 16, 16]
    assert {len(row) for row in cut(flat(read.run(range(5))), "ltp")} == {6}


def test_pieces_are_the_rows_in_either_encoding() -> None:
    (read,) = reads(kite_batch())
    rows = flat(read.run(range(5)))
    assert [json.loads(b"[" + piece + b"]") for piece in json_pieces(rows)] == as_lists(rows)
    assert [as_lists(msgspec.msgpack.decode(piece)) for piece in msgpack_pieces(rows)] == as_lists(rows)
    assert json_pieces([]) == msgpack_pieces([]) == []


def test_flags_and_odd_numbers_do_not_move_where_rows_are_taken_apart() -> None:
    odd = [
        Row(1, flags=("duplicate", "suspicious"), last_price=float("nan")),
        Row(2**32 - 1, volume_traded=2**63),
    ]
    (read,) = reads(stamped(Batch.of(odd)))
    pieces = json_pieces(flat(read.run([0, 1])))
    assert [json.loads(b"[" + piece + b"]")[0] for piece in pieces] == [1, 2**32 - 1]
