"""Ticks are lazy, know where they stand, and keep little alive."""

from typing import Any

import msgspec

from tickerd.plugin import Batch, Position, Row, Tick
from tickerd.testing import sample_rows, stamped


def test_a_tick_knows_where_it_stands_without_decoding(table: Any, new_codec: Any, read: Any) -> None:
    codec = new_codec()
    tick = read(codec, epoch=4).ticks[1]
    assert (tick.position, tick.source, tick.connection, tick.ts_recv) == (Position(4, 11), "s", 7, 99)
    assert (tick.instrument_token, tick.instrument, tick.symbol) == (2, table[2], "NSE:TWO")
    assert codec.rows_made == 0


def test_a_tick_has_every_column_of_its_row(table: Any) -> None:
    for tick in stamped(Batch.of(sample_rows(), ts_recv=1), instruments=table).ticks:
        for name in Row.__struct_fields__:
            if name not in ("epoch", "seq"):
                assert getattr(tick, name) == getattr(tick.row, name), name
        assert tick.position == (tick.row.epoch, tick.row.seq)


def test_json_is_the_row_and_is_made_once(new_codec: Any, read: Any) -> None:
    codec = new_codec()
    tick = read(codec).ticks[0]
    assert tick.json is tick.json
    assert codec.rows_made == 1
    written = msgspec.json.decode(tick.json)
    assert list(written) == list(Row.__struct_fields__)
    assert (written["symbol"], written["last_price"], written["seq"]) == ("NSE:ONE", 0.25, 10)
    assert written["volume_traded"] is None
    assert b"\n" not in tick.json


def test_json_of_a_decoded_tick_does_not_decode_again(new_codec: Any, read: Any) -> None:
    codec = new_codec()
    tick = read(codec).ticks[0]
    assert tick.row.last_price == msgspec.json.decode(tick.json)["last_price"]
    assert codec.rows_made == 1


def test_a_bare_tick_equals_it_and_holds_nothing_cached(new_codec: Any, read: Any) -> None:
    codec = new_codec()
    tick = read(codec).ticks[0]
    bare = (tick.json, tick.bare())[1]
    assert bare.json == tick.json
    assert codec.rows_made == 2
    assert bare.fresh_row() == tick.row
    assert bare.row is not tick.row


def test_a_tick_keeps_little_alive(new_codec: Any, read: Any) -> None:
    tick = read(new_codec()).ticks[0]
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
