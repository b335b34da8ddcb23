"""What codecs are handed and asked."""

from typing import Any

import pytest

from tickerd.plugin import DUPLICATE


def test_runs_are_the_same_before_and_after_ticks_were_made(new_codec: Any, read: Any) -> None:
    batch = read(new_codec())
    batch.marks = {2: DUPLICATE}
    (before,) = batch.runs()
    assert len(batch.ticks) == 3
    (after,) = batch.runs()
    assert [list(part) for part in before[1:]] == [list(part) for part in after[1:]]
    assert list(after.flags) == [0, 0, DUPLICATE]


def test_a_bulk_codec_is_asked_once_for_a_whole_read(new_codec: Any, read: Any) -> None:
    codec = new_codec(bulk=True)
    assert len(read(codec).rows()) == 3
    assert codec.bulks == 1


@pytest.mark.parametrize(("size", "lengths"), [(1, [1, 1, 1]), (2, [2, 1]), (3, [3]), (9, [3])])
def test_the_parts_of_a_run_are_the_run(size: int, lengths: list[int], new_codec: Any, read: Any) -> None:
    batch = read(new_codec())
    batch.marks = {2: DUPLICATE}
    (run,) = batch.runs()
    parts = list(run.parts(size))
    assert [len(part.packets) for part in parts] == lengths
    assert [row for part in parts for row in part.rows()] == run.rows()
    assert {part[:2] for part in parts} == {run[:2]}


def test_a_large_read_is_encoded_in_parts(new_codec: Any, read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tickerd.plugin.batch.AT_ONCE", 2)
    codec = new_codec(bulk=True)
    batch = read(codec)
    lines = batch.lines()
    assert codec.bulks == 2
    assert lines == b"".join(tick.json + b"\n" for tick in batch.ticks)
