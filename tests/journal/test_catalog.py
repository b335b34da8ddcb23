"""What a directory holds."""

from tickerd.journal.catalog import newest, quarantined, segments, starting
from tickerd.journal.files import Files
from tickerd.plugin import Position


def name(epoch, seq, day="2026-11-23", suffix=".tkj"):
    return f"{day}-{epoch:010}-{seq:020}{suffix}"


def test_segments_are_in_the_order_of_their_positions(tmp_path):
    # the clock was set back between the epochs
    for one in (name(2, 1, "2026-11-20"), name(1, 500), name(1, 1), name(1, 500, suffix=".idx"), "other.txt"):
        (tmp_path / one).write_bytes(b"12345")
    found = segments(tmp_path, Files())
    assert [segment.first for segment in found] == [Position(1, 1), Position(1, 500), Position(2, 1)]
    assert [segment.size for segment in found] == [5, 10, 5]


def test_of_two_forms_the_plain_one_counts(tmp_path):
    for suffix in (".tkj.zst", ".tkj"):
        (tmp_path / name(1, 1, suffix=suffix)).touch()
    (tmp_path / name(1, 2, suffix=".tkj.zst")).touch()
    plain, packed = segments(tmp_path, Files())
    assert (plain.compressed, packed.compressed) == (False, True)


def test_quarantined_files_are_no_segments(tmp_path):
    bad = tmp_path / name(1, 1, suffix=".tkj.bad")
    bad.touch()
    assert segments(tmp_path, Files()) == []
    assert quarantined(tmp_path, Files()) == [bad]


def test_reading_after_a_position_begins_with_the_segment_that_holds_the_next(tmp_path):
    for epoch, seq in ((1, 1), (1, 100), (3, 1)):
        (tmp_path / name(epoch, seq)).touch()
    found = segments(tmp_path, Files())
    for after, first in [
        ((0, 0), (1, 1)), ((1, 98), (1, 1)), ((1, 99), (1, 100)), ((1, 5000), (1, 100)), ((2, 7), (1, 100)),
        ((3, 0), (3, 1)), ((3, 7), (3, 1)), ((9, 9), (3, 1)),
    ]:  # fmt: skip
        assert starting(found, Position(*after))[0].first == first
    assert starting([], Position(1, 1)) == []


def test_the_newest_segment_of_a_run_is_told(tmp_path):
    for epoch, seq in ((1, 1), (2, 1), (2, 100)):
        (tmp_path / name(epoch, seq)).touch()
    found = segments(tmp_path, Files())
    assert [newest(found, epoch) for epoch in (1, 2, 3)] == [
        tmp_path / name(1, 1),
        tmp_path / name(2, 100),
        None,
    ]
