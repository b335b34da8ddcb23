"""Setting files back to where they were at a commit."""

import errno
from pathlib import Path
from typing import Any

import pytest

from tickerd_plugins.file.disk import Disk
from tickerd_plugins.file.ledger import ABSENT, End, Place
from tickerd_plugins.file.repair import Cut
from tickerd_plugins.file.restore import Restored, set_back


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "d").mkdir()
    return tmp_path


def put(root: Path, text: bytes, name: str = "d/x") -> tuple[Place, int]:
    """A file, and its inode."""
    path = root / name
    path.write_bytes(text)
    return Place(str(root), name), path.stat().st_ino


def test_a_file_is_cut_where_it_ended(disk: Any, root: Path) -> None:
    place, inode = put(root, b"one\ntwo\n")
    done = set_back(disk, {place: [End(inode, Cut(4))]})
    assert (root / "d/x").read_bytes() == b"one\n"
    assert (done.files, done.size, done.known[place].size) == (1, 4, 4)
    assert disk.calls[-1] == "sync"
    assert set_back(disk, {place: [End(inode, Cut(4))]}).files == 0


def test_a_frame_that_went_on_is_closed_again(disk: Any, root: Path) -> None:
    place, inode = put(root, b"frame...more")
    end = [End(inode, Cut(5, b"END"))]
    done = set_back(disk, {place: end})
    assert (root / "d/x").read_bytes() == b"frameEND"
    assert (done.files, done.size) == (1, 4)
    put(root, b"frame.ND")  # of the same length, and still it was written over
    assert set_back(disk, {place: end}).files == 1
    assert (root / "d/x").read_bytes() == b"frameEND"
    disk.calls.clear()
    done = set_back(disk, {place: end})
    assert done.files == 0
    assert place in done.known
    assert not {"write", "truncate", "sync"} & set(disk.calls)


def test_a_file_that_was_not_there_is_removed(disk: Any, root: Path) -> None:
    place, _ = put(root, b"new\n", "d/e")
    empty, other = put(root, b"new\n", "x")
    done = set_back(disk, {place: [ABSENT], empty: [End(other, Cut(0))]})
    assert not (root / "d").exists()
    assert not (root / "x").exists()
    assert (done.files, done.size, done.gone) == (2, 8, {place, empty})
    assert set_back(disk, {place: [ABSENT]}) == Restored()


def test_an_untouched_file_is_not_even_opened(disk: Any, root: Path) -> None:
    place, inode = put(root, b"one\n")
    done = set_back(disk, {place: [End(inode, Cut(4))]})
    assert list(done.known) == [place]
    assert disk.calls == []


def test_a_file_that_lacks_something_is_told_and_left(disk: Any, root: Path) -> None:
    place, inode = put(root, b"one\n")
    other, second = put(root, b"one\n", "y")
    done = set_back(disk, {place: [End(inode, Cut(9))], other: [End(second, Cut(2, b"12345"))]})
    assert (done.short, done.missing, done.first_short) == (2, 8, "d/x")
    assert done.gone == {place, other}
    assert (root / "d/x").read_bytes() == (root / "y").read_bytes() == b"one\n"


def test_a_file_of_somebody_else_is_left_alone(disk: Any, root: Path) -> None:
    place, inode = put(root, b"mine now")
    vanished = Place(str(root), "d/y")
    done = set_back(disk, {place: [End(inode + 1, Cut(2))], vanished: [End(5, Cut(2))]})
    assert (root / "d/x").read_bytes() == b"mine now"
    assert (done.replaced, done.gone, done.files) == (2, {place, vanished}, 0)


def test_a_directory_in_the_way_stays(root: Path) -> None:
    place = Place(str(root), "d")
    done = set_back(Disk(), {place: [ABSENT]})
    assert (root / "d").is_dir()
    assert done.gone == {place}


def test_a_disk_that_refuses_is_tried_again_later(disk: Any, root: Path) -> None:
    place, inode = put(root, b"one\ntwo\n")
    disk.failing = {"truncate": errno.EIO}
    with pytest.raises(OSError, match="rror"):
        set_back(disk, {place: [End(inode, Cut(4))]})
    disk.failing = {}
    assert set_back(disk, {place: [End(inode, Cut(4))]}).files == 1
