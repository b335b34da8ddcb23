"""Batches: read, merged, cut and measured."""

from typing import Any

import msgspec
import pytest

from tickerd.plugin import DUPLICATE, SNAPSHOT, Batch, Gap, Position, Split, Status
from tickerd.testing import stamped


def test_a_read_is_split_once_and_decoded_when_somebody_asks(new_codec: Any, read: Any) -> None:
    codec = new_codec()
    batch = read(codec)
    assert len(batch) == 3
    first, second, third = batch.ticks
    assert (codec.splits, codec.rows_made) == (1, 0)
    assert first.last_price == 0.25
    assert first.row is first.row
    assert (codec.splits, codec.rows_made) == (1, 1)
    assert batch.ticks[1] is second
    assert third.symbol is None


@pytest.mark.parametrize("bulk", [False, True])
def test_rows_and_lines_of_a_batch_are_those_of_its_ticks(bulk: bool, new_codec: Any, read: Any) -> None:
    batch, again = read(new_codec(bulk=bulk)), read(new_codec(bulk=bulk))
    batch.marks = again.marks = {1: DUPLICATE}
    wanted = [tick.fresh_row() for tick in again.ticks]
    assert batch.rows() == wanted
    assert wanted[1].flags == ("duplicate",)
    lines = b"".join(msgspec.json.encode(row) + b"\n" for row in wanted)
    assert batch.lines() == lines
    assert batch.ticks[0].json + b"\n" == lines.splitlines(keepends=True)[0]
    assert batch.lines() == lines


@pytest.mark.parametrize("bulk", [False, True])
def test_rows_of_merged_reads_keep_order_and_positions(
    bulk: bool, table: Any, new_codec: Any, read: Any
) -> None:
    codec = new_codec(bulk=bulk)
    first = read(codec, b"\x01\x02")
    second = stamped(Batch.read(codec, b"\x02", connection=8, ts_recv=100), 12, source="t", instruments=table)
    merged = Batch.merged([first, second])
    assert [(row.seq, row.connection, row.source) for row in merged.rows()] == [
        (10, 7, "s"),
        (11, 7, "s"),
        (12, 8, "t"),
    ]
    assert merged.lines() == b"".join(tick.json + b"\n" for tick in merged.ticks)


def test_one_batch_merged_is_itself_and_several_keep_everything(new_codec: Any, read: Any) -> None:
    one, records = read(new_codec()), stamped(Batch.control(Gap(reason="x")), 13)
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


def test_a_part_of_a_batch_is_what_somebody_wants(new_codec: Any, read: Any) -> None:
    batch = Batch.merged([read(new_codec()), stamped(Batch.control(Gap(reason="x"), Gap(reason="y")), 13)])
    part = batch.only({2})
    assert part is not None
    assert ([tick.symbol for tick in part.ticks], len(part.records)) == (["NSE:TWO"], 2)
    part = batch.only((), lambda record: record.reason == "y")
    assert part is not None
    assert ([*part.ticks], [r.reason for r in part.records], part.last) == ([], ["y"], batch.last)
    assert batch.only({99}, lambda record: False) is None


def test_a_bare_batch_is_the_same_without_what_was_cached(new_codec: Any, read: Any) -> None:
    codec = new_codec()
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


def test_its_size_is_estimated_on_the_safe_side(new_codec: Any, read: Any) -> None:
    batch = read(new_codec(), bytes(range(1, 200)))
    assert batch.nbytes >= 199 + 256
    part = batch.only(set(range(100)))
    assert part is not None
    assert part.nbytes >= 99 * 120
    assert Batch.control(Gap(reason="x")).nbytes >= 512
