"""What codecs are handed and asked."""

from typing import Any

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
