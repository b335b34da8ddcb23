"""The sparse index."""

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd.journal import index as module
from tickerd.journal.format import MAGIC, Extent, Kind, extent
from tickerd.journal.index import End, IndexBuilder, IndexWriter, Point, index_path, load, parse, save
from tickerd.journal.recovery import survey
from tickerd.journal.scan import Scanner
from tickerd.journal.segment import Encoder, Header
from tickerd.journal.segment_file import SegmentFile

HEADER = Header(7, 1, 0, "2026-11-23")


@pytest.fixture(autouse=True, scope="module")
def dense():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SPACING", 500)
        yield


def indexed(written):
    with SegmentFile(written.path) as file:
        return file.index()


@given(st.integers(0, 10**6), st.integers(1, 60))
def test_the_writer_and_a_scan_make_the_same_index(lab, seed, count):
    feed = lab.Feed(seed).some(count)
    feed.ticks()
    written = lab.write(lab.directory(), feed.batches)
    with SegmentFile(written.path) as file:
        assert index_path(written.path).read_bytes() == survey(file).entries
        index = file.index()
    newest = max(batch.origin.ts_recv for batch in feed.batches if batch.origin)
    assert index.end == End(len(written.data), feed.hub.position.seq, newest)


@given(st.integers(0, 10**6), st.integers(0, 400))
def test_a_place_to_begin_misses_nothing_and_is_near(lab, seed, seq):
    feed = lab.Feed(seed).some(40)
    feed.ticks()
    written = lab.write(lab.directory(), feed.batches)
    index = indexed(written)
    place = index.seek(seq)
    offsets = {start: part for start, _, part in written.records}
    before = [
        f for start, part in offsets.items() if place is not None and start < place.offset for f in part
    ]
    assert all(fact[0].seq < seq for fact in before)
    if place is not None:
        assert offsets[place.offset][0][0].seq == place.seq <= seq
        nearer = [s for s, part in offsets.items() if s >= place.offset + 1000 and part[-1][0].seq < seq]
        assert not nearer or max(nearer) - place.offset < 10_000
    for when in (lab.noon, lab.noon + seq * 10**8):
        place = index.seek_ns(when)
        before = [f for s, part in offsets.items() if place is not None and s < place.offset for f in part]
        assert all(fact[4] < when for fact in before if len(fact) > 2)


def test_every_record_that_names_something_is_known(lab):
    feed = lab.Feed(3).some(40)
    written = lab.write(lab.directory(), feed.batches)
    naming = [
        one.offset
        for one in Scanner(lambda size, offset: written.data[offset : offset + size], len(MAGIC)).records()
        if one.kind in (Kind.HEADER, Kind.NAMES, Kind.INSTRUMENTS)
    ]
    index = indexed(written)
    assert list(index.naming) == naming
    assert list(index.names_before(naming[3])) == naming[:3]


def whole(count=9):
    builder = IndexBuilder(HEADER)
    for n in range(count):
        kind, covers = (Kind.NAMES, None) if n % 3 == 0 else (Kind.TICKS, Extent(n + 1, 1, 100 + n))
        builder.add(kind, 18 + n * 600, covers)
    builder.end(18 + count * 600)
    return b"".join(builder.take()), 18 + count * 600


@given(st.data())
def test_no_flipped_bit_is_believed(data):
    good, size = whole()
    bytes_ = bytearray(good)
    bit = data.draw(st.integers(0, len(bytes_) * 8 - 1))
    bytes_[bit // 8] ^= 1 << bit % 8
    truth = parse(good, 7, 1, size)
    assert truth is not None
    found = parse(bytes(bytes_), 7, 1, size)
    # three padding bytes of an entry are covered too; nothing is not
    assert found is None


def test_a_cut_index_is_one_that_goes_less_far():
    good, size = whole()
    for length in range(36, len(good)):
        found = parse(good[:length], 7, 1, size)
        assert found.end is None
        assert len(found.points) + len(found.naming) == (length - 36) // 32


def test_an_index_of_another_segment_is_not_believed():
    good, size = whole()
    assert parse(good, 8, 1, size) is None
    assert parse(good, 7, 2, size) is None
    assert parse(good, 7, 1, size - 1) is None  # the segment was cut
    assert parse(good, 7, 1, size + 1) is None  # something was written after its end
    assert parse(good[:-32], 7, 1, 700) is None  # points beyond the end
    assert parse(good + good[-32:], 7, 1, size) is None
    assert parse(good[36:], 7, 1, size) is None
    assert parse(b"", 7, 1, size) is None
    assert parse(b"tickerd index 2\n" + good[16:], 7, 1, size) is None


def test_nothing_is_before_the_first_point():
    found = parse(*whole()[:1], 7, 1, whole()[1])
    assert found.points[0] == Point(618, 2, 0)
    assert found.seek(1) is None
    assert found.seek(2).seq == 2
    assert found.seek_ns(0) is None
    assert found.seek_ns(1).seq == 2
    assert found.seek_ns(10**9) == found.points[-1]


def test_what_was_not_written_is_not_in_the_index(lab, files):
    feed, directory = lab.Feed(), lab.directory()
    encoder, path = Encoder(HEADER), directory / "2026-11-23-0000000007-00000000000000000001.tkj"
    writer = IndexWriter(path, HEADER, files)
    begin = encoder.begin()
    writer.add(0, begin)
    first = encoder.batch(feed.ticks())
    at = sum(map(len, begin))
    writer.add(at, first)
    writer.flush()
    size = at + sum(map(len, first))
    writer.add(size, encoder.batch(feed.ticks()))  # the disk refuses, and the segment is cut back
    writer.close(size)
    assert load(path, 7, 1, size, files).end == End(size, 3, feed.batches[0].origin.ts_recv)


@pytest.mark.parametrize("call", ["open_append", "writev", "close", "remove"])
def test_an_index_that_cannot_be_written_is_given_up(lab, files, call):
    feed, directory = lab.Feed(), lab.directory()
    encoder, path = Encoder(HEADER), directory / "2026-11-23-0000000007-00000000000000000001.tkj"
    files.fail(call, number=errno.ENOSPC)
    writer = IndexWriter(path, HEADER, files)
    writer.add(0, encoder.begin())
    writer.flush()
    writer.add(100, encoder.batch(feed.ticks()))
    writer.flush()
    writer.close(100)
    files.failing.clear()
    assert index_path(path).exists() == (call == "close")


def test_an_index_left_by_others_is_replaced(lab, files):
    path = lab.directory() / "2026-11-23-0000000007-00000000000000000001.tkj"
    index_path(path).write_bytes(b"old")
    writer = IndexWriter(path, HEADER, files)
    writer.add(0, Encoder(HEADER).begin())
    writer.flush()
    writer.flush()
    writer.close(100)
    assert index_path(path).read_bytes().startswith(b"tickerd index 1\n")


def test_an_index_is_saved_as_a_whole_or_not_at_all(lab, files):
    path = lab.directory() / "2026-11-23-0000000007-00000000000000000001.tkj"
    data, size = whole()
    save(path, data, files)
    files.fail("sync")
    with pytest.raises(OSError, match="Input/output"):
        save(path, b"half", files)
    files.failing.clear()
    assert load(path, 7, 1, size, files).end is not None
    for call in ("open_read", "pread"):
        files.fail(call)
        assert load(path, 7, 1, size, files) is None


def test_compressed_and_plain_segments_share_their_index(tmp_path):
    assert index_path(tmp_path / "a.tkj") == index_path(tmp_path / "a.tkj.zst") == tmp_path / "a.idx"


def test_an_extent_is_only_for_what_takes_positions():
    assert extent(Kind.HEADER, bytes(50)) is None
