"""Making the directory good at start."""

import errno
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd.journal.compress import compress
from tickerd.journal.files import Files
from tickerd.journal.index import index_path
from tickerd.journal.reader import read_journal
from tickerd.journal.recovery import Recovered, recover
from tickerd.journal.segment_file import SegmentFile
from tickerd.plugin import Position


@pytest.fixture
def written(lab):
    feed = lab.Feed()
    for _ in range(4):
        feed.ticks(2)
    segment = lab.write(lab.directory(), feed.batches)
    index_path(segment.path).unlink()
    return segment


def names(path):
    return sorted(entry.name for entry in path.iterdir())


def test_an_empty_directory_is_made(tmp_path):
    done = recover(tmp_path / "a" / "journal")
    assert done == Recovered()
    assert done.last == Position(0, 0)
    assert (tmp_path / "a" / "journal").is_dir()


def test_a_directory_that_cannot_be_made_is_the_callers(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"Not a directory|File exists"):
        recover(tmp_path / "file")


class Hasty(Files):
    """A disk that is never waited for."""

    def sync(self, file):
        pass

    def cut(self, path, size):
        os.truncate(path, size)


def test_every_truncation_is_recovered_from(lab):
    feed = lab.Feed(4).some(3)
    feed.ticks(2)
    feed.both()
    directory = lab.directory()
    segment = lab.write(directory, feed.batches)
    edges = {place + n for start, end, _ in segment.records for place in (start, end) for n in range(-3, 20)}
    sizes = {*range(1, 60), *range(60, len(segment.data), 11), *edges}
    for size in sorted(size for size in sizes if size < len(segment.data)):
        segment.path.write_bytes(segment.data[:size])
        index_path(segment.path).unlink(missing_ok=True)
        done = recover(directory, Hasty())
        whole = [fact for _, end, part in segment.records if end <= size for fact in part]
        assert done.last == (whole[-1][0] if whole else Position(0, 0))
        kept = [end for _, end, _ in segment.records if end <= size]
        if done.segments:
            with SegmentFile(segment.path) as file:
                cut = done.total("torn")[1]
                assert file.size + cut == size
                assert file.size >= max(kept, default=0)
                assert file.index().end.size == file.size
            assert lab.all_facts(read_journal(directory, lab.codecs)) == whole
            assert recover(directory).problems == ()
        else:
            assert [problem.what for problem in done.problems] == ["quarantined"]
            for bad in directory.glob("*.bad"):
                bad.unlink()


@given(st.integers(0, 10**6), st.data())
def test_no_bytes_stop_the_start(lab, seed, data):
    feed = lab.Feed(seed).some(10)
    feed.ticks()
    directory = lab.directory()
    segment = lab.write(directory, feed.batches)
    for path in (segment.path, index_path(segment.path)):
        bytes_ = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(0, 4))):
            bytes_[data.draw(st.integers(0, len(bytes_) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(bytes_[: data.draw(st.integers(0, len(bytes_)))])
    done = recover(directory)
    found = lab.all_facts(read_journal(directory, lab.codecs))
    assert {fact[0] for fact in found} <= {fact[0] for fact in lab.all_facts(feed.batches)}
    assert done.last <= feed.hub.position
    again = recover(directory)
    assert again.problems == ()
    assert again.last == done.last


def test_a_closed_segment_is_taken_as_it_is(lab, files):
    feed = lab.Feed().some(30)
    feed.ticks()
    directory = lab.directory()
    lab.write(directory, feed.batches)
    done = recover(directory, files)
    assert (done.last, done.problems, done.rebuilt) == (feed.hub.position, (), 0)
    assert [call for call, _ in files.calls].count("pread") == 1  # its index


@pytest.mark.parametrize("index", ["missing", "open", "wrong"])
def test_any_other_is_read_and_gets_its_index(lab, index):
    feed, directory = lab.Feed().some(30), lab.directory()
    feed.ticks()
    segment = lab.write(directory, feed.batches, close=index != "open", index=index != "missing")
    if index == "wrong":
        index_path(segment.path).write_bytes(b"nonsense")
    done = recover(directory)
    assert (done.last, done.problems, done.rebuilt) == (feed.hub.position, (), 1)
    with SegmentFile(segment.path) as file:
        assert file.index().end.last_seq == feed.hub.position.seq
    assert recover(directory).rebuilt == 0


def test_the_last_position_of_each_epoch_is_known(lab):
    directory = lab.directory()
    for epoch in (3, 5):
        feed = lab.Feed(epoch, epoch)
        for _ in range(4):
            feed.ticks()
        lab.write(directory, feed.batches[:2])
        lab.write(directory, feed.batches[2:], close=epoch == 3)
    done = recover(directory)
    assert done.ends == {3: Position(3, 12), 5: Position(5, 12)}
    assert done.last == Position(5, 12)
    assert [segment.first for segment in done.segments] == [(3, 1), (3, 7), (5, 1), (5, 7)]


def test_damage_in_the_middle_is_told_with_the_positions_around_it(written):
    data = bytearray(written.data)
    data[written.records[1][0] + 40] ^= 1
    written.path.write_bytes(data)
    (problem,) = recover(written.path.parent).problems
    start, end, _ = written.records[1]
    assert (problem.what, problem.size) == ("damaged", end - start)
    assert (problem.damage.after, problem.damage.before, problem.damage.lost) == ((7, 2), (7, 5), 2)
    assert len(written.path.read_bytes()) == len(data)


def test_a_torn_tail_is_cut_and_counted(written):
    written.path.write_bytes(written.data + b"half a record")
    done = recover(written.path.parent)
    assert done.total("torn") == (1, 13)
    assert written.path.read_bytes() == written.data


def test_the_tail_of_a_compressed_segment_is_only_told(written):
    written.path.write_bytes(written.data + b"half a record")
    packed = compress(written.path)
    done = recover(packed.parent)
    assert done.total("torn") == (1, 13)
    assert done.rebuilt == 1
    assert done.last == Position(7, 8)


def test_what_holds_nothing_readable_is_set_aside(written):
    written.path.write_bytes(b"\0" * 1000)
    index_path(written.path).write_bytes(b"x")
    done = recover(written.path.parent)
    assert done.total("quarantined") == (1, 1001)
    assert done.segments == ()
    assert names(written.path.parent) == [written.path.name + ".bad"]


def test_an_empty_segment_is_deleted(written):
    written.path.write_bytes(b"")
    done = recover(written.path.parent)
    assert done.total("empty") == (1, 0)
    assert names(written.path.parent) == []


def test_another_versions_segment_is_left_alone(written):
    written.path.write_bytes(b"tickerd journal 2\n" + bytes(100))
    done = recover(written.path.parent)
    assert done.total("version") == (1, 118)
    assert (done.segments, names(written.path.parent)) == ((), [written.path.name])


def test_what_an_interrupted_compression_left_is_cleaned_up(lab, written):
    directory = written.path.parent
    (directory / (written.path.name + ".zst.tmp")).write_bytes(b"half")
    (directory / (written.path.stem + ".idx.tmp")).write_bytes(b"half")
    (directory / "notes.tmp").write_bytes(b"somebody's own")
    recover(directory)
    assert names(directory) == [written.path.stem + ".idx", written.path.name, "notes.tmp"]
    compress(written.path)
    written.path.write_bytes(written.data)
    assert len(recover(directory).segments) == 1
    assert names(directory) == [written.path.stem + ".idx", written.path.name + ".zst", "notes.tmp"]


def test_an_index_without_its_segment_is_deleted(lab, written):
    recover(written.path.parent)
    written.path.unlink()
    recover(written.path.parent)
    assert names(written.path.parent) == []


@pytest.mark.parametrize("call", ["open_read", "pread", "cut", "rename", "open_append", "remove"])
def test_a_disk_that_refuses_never_stops_the_start(lab, written, files, call):
    written.path.write_bytes(written.data + b"torn")
    (written.path.parent / (written.path.stem + ".idx.tmp")).write_bytes(b"half")
    bad = lab.Feed(1, 8)
    bad.ticks()
    lab.write(written.path.parent, bad.batches).path.write_bytes(b"unreadable")
    files.fail(call, number=errno.EROFS)
    done = recover(written.path.parent, files)
    failed = [problem for problem in done.problems if problem.what == "failed"]
    assert failed
    assert {problem.detail for problem in failed} == {"Read-only file system"}


def test_a_half_compressed_pair_that_cannot_be_read_is_told(lab, written, files):
    packed = written.path.with_name(written.path.name + ".zst")
    packed.write_bytes(b"half")
    files.fail("open_read")
    done = recover(written.path.parent, files)
    assert [problem.what for problem in done.problems] == ["failed", "failed"]
    assert packed.exists()
