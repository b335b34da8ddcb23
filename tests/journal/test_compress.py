"""Compressing closed segments."""

import errno
from unittest.mock import ANY

import pytest

from tickerd.journal.blocks import pack_block, pack_table
from tickerd.journal.compress import compress, finish
from tickerd.journal.index import index_path
from tickerd.journal.segment_file import SegmentFile


@pytest.fixture
def segment(lab):
    feed = lab.Feed(2).some(50)
    feed.ticks()
    return lab.write(lab.directory(), feed.batches)


def names(path):
    return sorted(entry.name for entry in path.parent.iterdir())


def test_the_compressed_segment_takes_the_place_of_the_plain_one(segment, files):
    packed = compress(segment.path, files)
    assert names(packed) == [index_path(packed).name, packed.name]
    with SegmentFile(packed) as file:
        assert file.read_at(file.size, 0) == segment.data
        assert file.index().end.size == len(segment.data)
    steps = [call for call in files.calls if call[0] in {"sync", "rename", "sync_directory", "remove"}]
    assert steps[1:] == [
        ("sync", ""),
        ("rename", packed.name),
        ("sync_directory", ANY),
        ("remove", segment.path.name),
    ]


@pytest.mark.parametrize("call", ["open_read", "open_append", "writev", "pread", "sync", "rename"])
def test_when_the_disk_refuses_the_plain_one_stays(segment, files, call):
    files.fail(call, number=errno.ENOSPC)
    with pytest.raises(OSError, match="No space left"):
        compress(segment.path, files)
    assert names(segment.path) == [index_path(segment.path).name, segment.path.name]
    assert segment.path.read_bytes() == segment.data


def test_when_even_deleting_is_refused_the_half_one_waits_for_the_next_start(segment, files):
    files.fail("remove", "writev")
    with pytest.raises(OSError, match="Input/output"):
        compress(segment.path, files)
    assert segment.path.read_bytes() == segment.data


def test_it_stops_when_it_is_told(segment):
    assert compress(segment.path, stop=lambda: True) is None
    assert names(segment.path) == [index_path(segment.path).name, segment.path.name]


def test_of_two_forms_the_whole_compressed_one_stays(segment, files):
    packed = compress(segment.path, files)
    segment.path.write_bytes(segment.data)
    assert finish(segment.path, files)
    assert names(packed) == [index_path(packed).name, packed.name]


@pytest.mark.parametrize("half", [b"", b"junk", pack_block(b"less") + pack_table([(17, 4)])])
def test_of_two_forms_the_plain_one_stays_when_the_other_is_not_whole(segment, files, half):
    segment.path.with_name(segment.path.name + ".zst").write_bytes(half)
    assert not finish(segment.path, files)
    assert names(segment.path) == [index_path(segment.path).name, segment.path.name]
