"""One segment read back: equal to what was written, from any place on, whatever happened to its bytes."""

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickerd.journal import blocks, index
from tickerd.journal import compress as compress_module
from tickerd.journal.compress import compress
from tickerd.journal.format import MAGIC, Extent, Kind, record
from tickerd.journal.index import index_path
from tickerd.journal.segment_file import OtherVersion
from tickerd.journal.segment_reader import Damaged, SegmentReader, Span
from tickerd.plugin import Batch, Position, Status

SEEDS = st.integers(0, 2**32)


def read(path: Path, lab: Any, span: Span = Span(), *, final: bool = True) -> list[Any]:  # noqa: B008
    with SegmentReader(path, lab.codecs, span) as reader:
        return list(reader.items(final=final))


def replace(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    index_path(path).unlink(missing_ok=True)


# -- properties ----------------------------------------------------------------------------------------------


@given(seed=SEEDS, count=st.integers(1, 60))
def test_what_was_written_is_read_back(lab, seed, count):
    feed = lab.Feed(seed).some(count)
    feed.ticks()
    items = read(lab.write(lab.directory(), feed.batches).path, lab)
    assert lab.all_facts(items) == lab.all_facts(feed.batches)
    assert not [item for item in items if isinstance(item, Damaged)]
    assert items[-1].last == feed.hub.position


def undamaged(written: Any, hit: list[tuple[int, int]]) -> list[Any]:
    """Facts of the records that none of these (start, end) touched."""
    whole = [r for r in written.records if all(end <= r[0] or start >= r[1] for start, end in hit)]
    return [fact for _, _, part in whole for fact in part]


def stripped(found: list[Any]) -> list[Any]:
    """Without what an instrument record told: when that record is lost, its ticks are nameless."""
    return [fact[:6] + fact[7:9] if len(fact) > 2 else fact for fact in found]


def assert_subset(found: list[Any], all_of_them: list[Any]) -> None:
    """Each is one of them, exactly, except that an instrument may be missing; and they are in order."""
    by_position = {fact[0]: fact for fact in all_of_them}
    for fact in found:
        truth = by_position[fact[0]]
        if len(fact) > 2 and fact[9] is None and truth[9] is not None:
            truth = (*truth[:6], fact[6], *truth[7:9], None)
        assert fact == truth
    positions = [fact[0] for fact in found]
    assert positions == sorted(set(positions))


@given(seed=SEEDS, count=st.integers(1, 40), where=st.floats(0, 1), flips=st.integers(1, 6))
@settings(max_examples=150)
def test_flipped_bits_cost_the_records_they_hit_and_no_other(lab, seed, count, where, flips):
    feed = lab.Feed(seed).some(count)
    feed.ticks()
    written = lab.write(lab.directory(), feed.batches)
    data, rng = bytearray(written.data), random.Random(seed)
    hit = []
    for _ in range(flips):
        place = min(int(len(data) * where) + rng.randrange(len(data)), len(data) - 1) % len(data)
        data[place] ^= 1 << rng.randrange(8)
        hit.append((place, place + 1))
    replace(written.path, bytes(data))
    items = read(written.path, lab)
    found = lab.all_facts(items)
    assert_subset(found, lab.all_facts(feed.batches))
    missing = [f for f in stripped(undamaged(written, hit)) if f not in stripped(found)]
    names_lost = [i for i in items if isinstance(i, Damaged)]
    if missing:  # only when what named them was hit, which is told
        assert names_lost
        assert all(len(fact) > 2 for fact in missing)
    first = min(hit)[0]
    before = [fact for _, end, part in written.records if end <= first for fact in part]
    assert found[: len(before)] == before
    if len(found) < len(lab.all_facts(feed.batches)):
        assert names_lost


@given(seed=SEEDS, count=st.integers(1, 15), data=st.data())
def test_a_truncated_segment_gives_all_that_is_whole(lab, seed, count, data):
    feed = lab.Feed(seed).some(count)
    feed.ticks()
    written = lab.write(lab.directory(), feed.batches)
    size = data.draw(st.integers(0, len(written.data)))
    replace(written.path, written.data[:size])
    whole = [fact for _, end, part in written.records if end <= size for fact in part]
    items = read(written.path, lab)
    assert lab.all_facts(items) == whole
    assert all(item.reason == "torn" for item in items if isinstance(item, Damaged))
    assert (
        read(written.path, lab, final=False) == []
        or lab.all_facts(read(written.path, lab, final=False)) == whole
    )


@given(data=st.binary(max_size=2000))
def test_any_bytes_at_all_are_survived(lab, data):
    feed = lab.Feed(1)
    feed.ticks()
    written = lab.write(lab.directory(), feed.batches)
    for bytes_ in (data, written.data[:100] + data + written.data[100:], written.data + data):
        replace(written.path, bytes_)
        assert_subset(lab.all_facts(read(written.path, lab)), lab.all_facts(feed.batches))


@given(kind=st.integers(0, 255), payload=st.binary(max_size=100))
def test_an_intact_record_that_nobody_understands_is_told_and_skipped(lab, kind, payload):
    feed = lab.Feed(1)
    feed.ticks()
    written = lab.write(lab.directory(), feed.batches)
    replace(written.path, written.data + b"".join(record(kind, payload)))
    items = read(written.path, lab)
    assert lab.all_facts(items)[:3] == lab.all_facts(feed.batches)
    if kind > Kind.EVENTS or kind == 0:
        assert [item.reason for item in items[1:]] == [f"a record of unknown kind {kind}"]


@pytest.fixture(scope="module")
def long(lab):
    """A segment of many blocks and index entries: what it holds, plain, and compressed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "SPACING", 2**12)
        patch.setattr(blocks, "BLOCK", 2**14)
        patch.setattr(compress_module, "BLOCK", 2**14)
        feed = lab.Feed(5)
        for _ in range(60):
            feed.some(4)
            feed.ticks(20)
        plain, packed = (lab.write(lab.directory(), feed.batches).path for _ in range(2))
        return lab.all_facts(feed.batches), plain, compress(packed)


@given(after=st.integers(0, 5_000), form=st.sampled_from([1, 2]), indexed=st.booleans())
@settings(max_examples=60)
def test_reading_from_a_position_is_what_a_linear_scan_gives(lab, long, after, form, indexed):
    truth, path = long[0], long[form]
    hidden = index_path(path).with_suffix(".hidden")
    if not indexed:
        index_path(path).rename(hidden)
    try:
        items = read(path, lab, Span(after=Position(7, after)))
    finally:
        if not indexed:
            hidden.rename(index_path(path))
    assert lab.all_facts(items) == [fact for fact in truth if fact[0].seq > after]


@given(seconds=st.integers(-10, 150), form=st.sampled_from([1, 2]))
@settings(max_examples=30)
def test_reading_from_a_time_is_what_a_linear_scan_gives(lab, long, seconds, form):
    truth, path = long[0], long[form]
    when = lab.noon + seconds * 10**9
    found = read(path, lab, Span(from_ns=when))
    hidden = path.with_name("copy") / path.name
    hidden.parent.mkdir(exist_ok=True)
    hidden.write_bytes(path.read_bytes())  # without an index
    assert lab.all_facts(found) == lab.all_facts(read(hidden, lab, Span(from_ns=when)))
    assert [f for f in lab.all_facts(found) if len(f) > 2] == [
        f for f in truth if len(f) > 2 and f[4] >= when
    ]


@given(after=st.integers(0, 200), until=st.integers(0, 200))
def test_a_span_of_positions_is_cut_exactly(lab, long, after, until):
    truth, path, _ = long
    items = read(path, lab, Span(Position(7, after), Position(7, until)))
    assert lab.all_facts(items) == [f for f in truth if after < f[0].seq <= until]
    assert not items or items[-1].last <= Position(7, until)


# -- cases ---------------------------------------------------------------------------------------------------


def test_times_end_before_the_moment_that_is_not_wanted(lab):
    feed = lab.Feed()
    moments = [feed.ticks().origin.ts_recv for _ in range(5)]
    path = lab.write(lab.directory(), feed.batches).path
    found = read(path, lab, Span(from_ns=moments[1], until_ns=moments[3]))
    assert [batch.origin.ts_recv for batch in found] == moments[1:3]


def test_a_record_without_a_time_counts_for_the_time_around_it(lab):
    feed = lab.Feed()
    first = feed.ticks()
    feed.publish(Batch.control(Status(state="connected")))
    second = feed.ticks()
    path = lab.write(lab.directory(), feed.batches).path
    assert len(read(path, lab, Span(from_ns=first.origin.ts_recv + 1))) == 1
    assert len(read(path, lab, Span(until_ns=second.origin.ts_recv))) == 2


def test_other_epochs_are_read_whole_or_not_at_all(lab):
    feed = lab.Feed(epoch=7).some(10)
    path = lab.write(lab.directory(), feed.batches).path
    everything = lab.all_facts(feed.batches)
    assert lab.all_facts(read(path, lab, Span(after=Position(6, 9)))) == everything
    assert lab.all_facts(read(path, lab, Span(until=Position(8, 1)))) == everything
    assert read(path, lab, Span(after=Position(8, 0))) == []
    assert read(path, lab, Span(until=Position(6, 99))) == []


def test_damage_is_told_with_the_positions_around_it(lab):
    feed = lab.Feed()
    for _ in range(4):
        feed.ticks(2)
    written = lab.write(lab.directory(), feed.batches)
    data = bytearray(written.data)
    data[written.records[1][0] + 40] ^= 1
    replace(written.path, bytes(data))
    first, damaged, *_ = read(written.path, lab)
    start, end, _ = written.records[1]
    assert first.last == Position(7, 2)
    assert damaged == Damaged(written.path, start, end - start, "crc", Position(7, 2), Position(7, 5))
    assert damaged.lost == 2


def test_damage_before_what_is_wanted_is_nobodys_business(lab):
    feed = lab.Feed()
    for _ in range(4):
        feed.ticks(2)
    written = lab.write(lab.directory(), feed.batches)
    data = bytearray(written.data)
    data[written.records[0][0] + 40] ^= 1
    replace(written.path, bytes(data))
    assert [type(item) for item in read(written.path, lab, Span(Position(7, 6)))] == [Batch]


def test_a_lost_header_costs_nothing_because_the_name_says_the_same(lab):
    feed = lab.Feed().some(10)
    written = lab.write(lab.directory(), feed.batches)
    data = bytearray(written.data)
    data[30] ^= 1
    replace(written.path, bytes(data))
    assert lab.all_facts(read(written.path, lab)) == lab.all_facts(feed.batches)


def test_a_lost_name_makes_its_batches_unreadable_not_wrong(lab):
    feed = lab.Feed()
    feed.ticks()
    feed.ticks(namespace="other")
    written = lab.write(lab.directory(), feed.batches)
    data = bytearray(written.data)
    place = written.data.index(b"other-source")
    data[place] ^= 1
    replace(written.path, bytes(data))
    first, damaged = read(written.path, lab)
    assert lab.facts(first) == lab.facts(feed.batches[0])
    assert (damaged.after, damaged.before, damaged.lost) == (Position(7, 3), None, None)


def test_a_missing_codec_is_told(lab):
    feed = lab.Feed()
    feed.plain()
    feed.ticks()
    path = lab.write(lab.directory(), feed.batches).path
    with SegmentReader(path, {"kite": lab.codecs["kite"]}) as reader:
        damaged, batch = reader.items()
    assert (damaged.reason, damaged.before) == ("codec 'plain' is not installed", Position(7, 3))
    assert batch.last == feed.hub.position


def test_a_segment_of_another_version_is_refused(lab):
    feed = lab.Feed().some(3)
    feed.ticks()
    written = lab.write(lab.directory(), feed.batches)
    replace(written.path, b"tickerd journal 2\n" + b"unknown" * 100)
    with pytest.raises(OtherVersion, match="as 'tickerd journal 2'"):
        read(written.path, lab)


def test_one_flipped_bit_does_not_make_another_version(lab):
    feed = lab.Feed().some(10)
    written = lab.write(lab.directory(), feed.batches)
    replace(written.path, b"tickerd journal 3\n" + written.data[18:])
    assert lab.all_facts(read(written.path, lab)) == lab.all_facts(feed.batches)


def test_a_file_of_another_name_is_no_segment(lab, tmp_path):
    with pytest.raises(ValueError, match="is not a segment of the journal"):
        SegmentReader(tmp_path / "x.txt", lab.codecs)


def test_reading_goes_on_where_it_ended_and_never_beyond_the_limit(lab):
    feed = lab.Feed().some(20)
    written = lab.write(lab.directory(), feed.batches)
    replace(written.path, b"")
    with SegmentReader(written.path, lab.codecs) as reader:
        assert list(reader.items(final=False)) == []
        seen = []
        rng = random.Random(1)
        size = 0
        while size < len(written.data):
            size = min(size + rng.randrange(400), len(written.data))
            written.path.write_bytes(written.data)
            reader.limit = size
            seen += reader.items(final=False)
            whole = [fact for _, end, part in written.records if end <= size for fact in part]
            assert lab.all_facts(seen) == whole
    assert lab.all_facts(seen) == lab.all_facts(feed.batches)


def test_an_index_that_lies_is_not_believed(lab, long):
    truth, path, _ = long
    target = lab.directory() / path.name
    target.write_bytes(path.read_bytes())
    with SegmentReader(path, lab.codecs) as reader:
        real = reader.file.index()
    for moved in (1, -100):  # entries that fit the segment's size and name, but not its records
        builder = index.IndexBuilder(reader.file.header)
        for place in real.naming:
            builder.add(Kind.NAMES, place + moved % 2, None)
        for point in real.points:
            builder.add(Kind.TICKS, point.offset, Extent(max(point.seq + moved, 1), 1, 0))
        builder.end(real.end.size)
        index.save(target, b"".join(builder.take()), reader.file.files)
        found = read(target, lab, Span(after=Position(7, 2000)))
        assert lab.all_facts(found) == [fact for fact in truth if fact[0].seq > 2000]


def test_a_name_that_is_damaged_is_looked_for_from_the_beginning(lab, long):
    truth, path, _ = long
    target = lab.directory() / path.name
    with SegmentReader(path, lab.codecs) as reader:
        naming = reader.file.index().naming
    plain = path.read_bytes()
    misunderstood = b"".join(record(Kind.NAMES, b"\xc1" * (naming[2] - naming[1] - 16)))
    for place, data in ((naming[5] + 20, b"\0\0"), (naming[1], misunderstood)):
        target.write_bytes(plain[:place] + data + plain[place + len(data) :])
        index_path(target).write_bytes(index_path(path).read_bytes())
        with SegmentReader(target, lab.codecs, Span(after=Position(7, 2000))) as reader:
            assert reader.offset == len(MAGIC)
            assert_subset(lab.all_facts(reader.items()), [fact for fact in truth if fact[0].seq > 2000])
    with SegmentReader(path, lab.codecs, Span(after=Position(7, 2000))) as reader:
        assert reader.offset > len(MAGIC)


def test_an_unreadable_file_leaves_nothing_open(lab, files):
    feed = lab.Feed().some(3)
    feed.ticks()
    written = lab.write(lab.directory(), feed.batches)
    files.fail("pread")
    with pytest.raises(OSError, match="Input/output"):
        SegmentReader(written.path, lab.codecs, files=files)
    assert [name for name, _ in files.calls] == ["open_read", "pread", "close"]
