"""The calls to the operating system: nothing outside the root, whatever lies below it."""

import errno
import os
from pathlib import Path

import pytest

from tickerd_plugins.file.disk import Disk, reason_of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def put(disk: Disk, root: Path, path: str, data: bytes = b"x") -> None:
    fd = disk.open(str(root), path)
    disk.write(fd, data, 0)
    disk.close(fd)


def test_directories_are_made_on_the_way(root: Path) -> None:
    put(Disk(), root, "a/b/c.jsonl", b"hello")
    assert (root / "a/b/c.jsonl").read_bytes() == b"hello"
    assert (root / "a/b/c.jsonl").stat().st_mode & 0o007 == 0


@pytest.mark.parametrize("planted", ["a", "a/b", "a/b/c.jsonl"])
def test_a_symbolic_link_below_the_root_is_not_followed(root: Path, tmp_path: Path, planted: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    target = outside / "file" if planted.endswith(".jsonl") else outside
    (root / planted).parent.mkdir(parents=True, exist_ok=True)
    (root / planted).symlink_to(target)
    with pytest.raises(OSError, match=r"Not a directory|symbolic") as caught:
        put(Disk(), root, "a/b/c.jsonl")
    assert reason_of(caught.value).startswith("a symbolic link")
    assert not list(outside.iterdir())


def test_the_root_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    root.symlink_to(tmp_path / "real")
    put(Disk(), root, "a.jsonl")
    assert (tmp_path / "real/a.jsonl").exists()


def test_what_is_no_regular_file_is_refused(root: Path) -> None:
    root.mkdir()
    os.mkfifo(root / "pipe")
    with pytest.raises(OSError, match="regular") as caught:
        Disk().open(str(root), "pipe")
    assert reason_of(caught.value) == "not a regular file"
    (root / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        Disk().open(str(root), "folder")


def test_one_file_has_one_writer(root: Path) -> None:
    disk = Disk()
    fd = disk.open(str(root), "a")
    with pytest.raises(OSError, match="another") as caught:
        disk.open(str(root), "a")
    assert reason_of(caught.value) == "in use by another writer"
    disk.close(fd)
    disk.close(disk.open(str(root), "a"))


@pytest.mark.parametrize(("error", "goes_on"), [(errno.ENOLCK, True), (errno.EIO, False)])
def test_a_file_system_without_locks_is_used_without(
    root: Path, monkeypatch: pytest.MonkeyPatch, error: int, goes_on: bool
) -> None:
    def flock(fd: int, operation: int) -> None:
        raise OSError(error, "no locks")

    monkeypatch.setattr("tickerd_plugins.file.disk.fcntl.flock", flock)
    if goes_on:
        put(Disk(), root, "a")
    else:
        with pytest.raises(OSError, match="no locks"):
            put(Disk(), root, "a")


def test_files_are_listed_and_links_are_not(root: Path, tmp_path: Path) -> None:
    disk = Disk()
    put(disk, root, "a/b.jsonl", b"123")
    put(disk, root, "c.jsonl")
    (root / "link").symlink_to(tmp_path)
    (root / "file-link").symlink_to(root / "c.jsonl")
    assert {(found.path, found.size) for found in disk.walk(str(root))} == {("a/b.jsonl", 3), ("c.jsonl", 1)}
    assert sorted(disk.names(str(root), "a")) == ["b.jsonl"]
    assert disk.names(str(root), "missing/x") == []
    assert disk.look(str(root), "a/missing") is None
    assert disk.look(str(root), "c.jsonl/x") is None


def test_removing_a_file_removes_the_directories_that_it_leaves_empty(root: Path) -> None:
    disk = Disk()
    put(disk, root, "a/b/c")
    put(disk, root, "a/d")
    disk.remove(str(root), "a/b/c")
    assert not (root / "a/b").exists()
    disk.remove(str(root), "a/d")
    assert root.exists()
    assert not list(root.iterdir())


def test_reasons_name_no_path() -> None:
    assert reason_of(OSError(errno.ENOSPC, "x", "/secret")) == "disk full"
    assert reason_of(OSError(12345, "x", "/secret")) == "file error"
    assert reason_of(OSError("odd")) == "file error"


def test_names_are_made_safe_too(root: Path) -> None:
    disk = Disk()
    put(disk, root, "a/b/c")
    disk.sync_folder(str(root), "a/b/c")
    with pytest.raises(FileNotFoundError):
        disk.sync_folder(str(root), "a/x/c")
