"""One segment on the disk, in either form."""

import pytest

from tickerd.journal.compress import compress
from tickerd.journal.segment_file import SegmentFile


@pytest.fixture
def segment(lab):
    feed = lab.Feed(2).some(20)
    feed.ticks()
    return lab.write(lab.directory(), feed.batches)


def test_a_deleted_file_stays_readable_while_it_is_open(segment):
    with SegmentFile(segment.path) as file:
        compress(segment.path)
        assert not segment.path.exists()
        assert file.read_at(10**6, 0) == segment.data
        assert file.read_at(5, 7) == segment.data[7:12]


def test_a_compressed_segment_without_its_table_is_read_all_the_same(segment):
    packed = compress(segment.path)
    packed.write_bytes(packed.read_bytes()[:-1])
    with SegmentFile(packed) as file:
        assert file.read_at(file.size, 0) == segment.data


def test_the_name_stands_in_for_the_header(segment):
    with SegmentFile(segment.path) as file:
        assert (file.header.epoch, file.header.seq, file.header.day) == (7, 1, "2026-11-23")
        assert file.start() == 18


def test_nothing_stays_open_when_the_table_cannot_be_read(segment, files):
    packed = compress(segment.path)
    files.fail("pread")
    with pytest.raises(OSError, match="Input/output"):
        SegmentFile(packed, files)
    assert [call for call, _ in files.calls] == ["open_read", "pread", "close"]


def test_what_is_no_file_is_refused(segment):
    path = segment.path
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError, match="not a regular file"):
        SegmentFile(path)


def test_a_link_is_not_followed(segment):
    path = segment.path.rename(segment.path.with_name("elsewhere"))
    segment.path.symlink_to(path)
    with pytest.raises(OSError, match="symbolic links"):
        SegmentFile(segment.path)
