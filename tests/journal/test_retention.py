"""Which segments go."""

import errno
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd.journal.catalog import Segment, segments
from tickerd.journal.compress import compress
from tickerd.journal.files import Files, Room
from tickerd.journal.index import index_path
from tickerd.journal.retention import Overtaken, Rules, Swept, decide, overtaken, sweep
from tickerd.journal.segment import Name
from tickerd.plugin import Position
from tickerd.wire.day import day_end

DAY = 86_400 * 10**9
ROOM = Room(1000, 500)


def segment(day, epoch=1, seq=1, size=100):
    name = Name(f"2026-11-{day:02}", epoch, seq)
    return Segment(Path(f"{name.day}-{epoch}-{seq}.tkj"), name, size)


WEEK = [segment(day, seq=day) for day in range(1, 8)]


def days(removals):
    return [int(removal.segment.name.day[-2:]) for removal in removals]


def test_without_rules_all_stays():
    assert decide(WEEK, Rules(), ROOM, 2**62, None) == []


def test_what_is_too_old_goes_when_its_day_has_been_over_for_so_long():
    over = day_end("2026-11-03")
    assert days(decide(WEEK, Rules(keep_ns=2 * DAY), ROOM, over + 2 * DAY - 1, None)) == [1, 2]
    gone = decide(WEEK, Rules(keep_ns=2 * DAY), ROOM, over + 2 * DAY, None)
    assert days(gone) == [1, 2, 3]
    assert {removal.why for removal in gone} == {"age"}


@pytest.mark.parametrize(
    "rules", [Rules(max_bytes=450), Rules(max_share=0.45), Rules(max_bytes=450, max_share=0.9)]
)
def test_what_is_too_much_goes_oldest_first(rules):
    gone = decide(WEEK, rules, ROOM, 0, None)
    assert days(gone) == [1, 2, 3]
    assert {removal.why for removal in gone} == {"size"}


def test_the_disk_is_kept_free_for_others():
    gone = decide(WEEK, Rules(min_free=750), ROOM, 0, None)
    assert days(gone) == [1, 2, 3]
    assert {removal.why for removal in gone} == {"free"}


def test_the_open_segment_never_goes_and_nothing_after_it():
    assert days(decide(WEEK, Rules(max_bytes=0), ROOM, 0, WEEK[2].path)) == [1, 2]


def test_a_day_that_is_no_date_is_never_old():
    assert decide([segment(31)], Rules(keep_ns=0), ROOM, 2**62, None) == []


LIMITS = (st.integers(0, 9 * DAY), st.integers(0, 900), st.floats(0, 1), st.integers(0, 1200))
rules = st.builds(Rules, *(st.none() | limit for limit in LIMITS))


@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(0, 300)), max_size=8),
    rules,
    st.integers(0, 40),
    st.data(),
)
def test_what_goes_is_a_beginning_and_no_more_than_needed(sizes, rules, now, data):
    found = [segment(day, seq=n + 1, size=size) for n, (day, size) in enumerate(sizes)]
    busy = data.draw(st.sampled_from([None, *(one.path for one in found)]))
    gone = decide(found, rules, ROOM, day_end("2026-11-01") + now * DAY, busy)
    assert [removal.segment for removal in gone] == found[: len(gone)]
    assert busy not in [removal.segment.path for removal in gone]
    for place, removal in enumerate(gone):  # without it, a rule would still have been broken
        left = sum(one.size for one in found[place:])
        if removal.why == "size":
            assert left > rules.most(ROOM)
        elif removal.why == "free":
            assert ROOM.free + sum(one.size for one in found[:place]) < rules.min_free
    if len(gone) == len(found):
        return
    left = sum(one.size for one in found[len(gone) :])
    if found[len(gone)].path != busy and rules.most(ROOM) is not None:
        assert left <= rules.most(ROOM)


def test_whoever_has_not_read_it_yet_is_overtaken():
    gone = [segment(1, seq=1), segment(2, seq=101), segment(3, epoch=2)]
    ends = {gone[0]: Position(1, 100), gone[1]: Position(1, 150), gone[2]: Position(2, 40)}
    cursors = {
        "new": Position(0, 0), "slow": Position(1, 120), "edge": Position(1, 150), "done": Position(2, 40),
        "ahead": Position(3, 1),
    }  # fmt: skip
    assert overtaken(gone, ends.get, cursors) == [
        Overtaken("edge", Position(1, 150), Position(2, 40), 40),
        Overtaken("new", Position(0, 0), Position(2, 40), 190),
        Overtaken("slow", Position(1, 120), Position(2, 40), 70),
    ]
    assert overtaken(gone, lambda one: None, cursors) == []


@pytest.fixture
def journal(lab):
    directory = lab.directory()
    feed = lab.Feed(epoch=7)
    for n in range(6):
        feed.ticks(3)
        if n % 2:
            lab.write(directory, feed.batches[-2:], day=f"2026-11-{n:02}", close=n != 5)
    return directory


def test_a_sweep_deletes_segments_with_their_indexes_and_says_what_was_lost(journal):
    first, second, newest = segments(journal, Files())
    compress(first.path)
    now = day_end("2026-11-03") + DAY
    done = sweep(journal, Rules(keep_ns=DAY), now, 7, {"file": Position(7, 8), "web": Position(7, 12)})
    assert days(done.removed) == [1, 3]
    assert done.overtaken == [Overtaken("file", Position(7, 8), Position(7, 12), 4)]
    assert sorted(journal.iterdir()) == [index_path(newest.path), newest.path]
    assert not second.path.exists()


def test_a_segment_without_an_index_ends_where_the_next_one_begins(journal):
    first, *_ = segments(journal, Files())
    index_path(first.path).unlink()
    done = sweep(journal, Rules(keep_ns=0), day_end("2026-11-01"), None, {"file": Position(7, 2)})
    assert done.overtaken == [Overtaken("file", Position(7, 2), Position(7, 6), 4)]


def test_what_cannot_be_deleted_is_told_and_nobody_is_overtaken_by_it(journal, files):
    files.fail("remove", number=errno.EROFS)
    done = sweep(journal, Rules(max_bytes=0), 0, None, {"file": Position(0, 0)}, files)
    assert [why for _, why in done.failed] == ["Read-only file system"] * 3
    assert (done.removed, done.overtaken) == ([], [])
    assert done.short == sum(path.stat().st_size for path in journal.iterdir())


def test_a_segment_that_cannot_be_opened_may_still_be_deleted(journal, files):
    files.fail("open_read")
    done = sweep(journal, Rules(max_bytes=0), 0, None, {"file": Position(0, 0)}, files)
    assert len(done.removed) == 3
    assert done.overtaken[0].until == Position(7, 12)  # the last one's end is not known to anybody


def test_limits_that_are_missed_are_told_with_how_much_is_missing(journal):
    *_, newest = segments(journal, Files())
    assert sweep(journal, Rules(max_bytes=newest.size - 7), 0, 7, {}).short == 7
    assert sweep(journal, Rules(max_bytes=newest.size), 0, 7, {}) == Swept([], [], [], 0)
    free = Files().room(journal).free
    assert sweep(journal, Rules(min_free=2 * free), 0, 7, {}).short > 0
