"""The calls to the operating system, against a real disk."""

import os

import pytest

from tickerd.journal import files as module
from tickerd.journal.files import Files, Found, reading


@pytest.fixture
def disk():
    return Files()


def test_what_is_written_is_read_back(disk, tmp_path):
    path = tmp_path / "a" / "b" / "file"
    disk.make_directory(path.parent)
    disk.make_directory(path.parent)
    file = disk.open_append(path)
    assert disk.writev(file, [b"one", b"", b"two"]) == 6
    assert disk.writev(file, []) == 0
    disk.sync(file)
    assert disk.size(file) == 6
    disk.truncate(file, 4)
    assert disk.writev(file, [b"!"]) == 1  # goes to the end, wherever that is now
    disk.close(file)
    disk.sync_directory(path.parent)
    with reading(disk, path) as file:
        assert disk.pread(file, 100, 1) == b"net!"
        assert disk.pread(file, 2, 1) == b"ne"
        assert disk.pread(file, 5, 50) == b""
    disk.cut(path, 2)
    assert path.read_bytes() == b"on"


def test_more_buffers_than_the_system_takes_at_once_are_written(disk, tmp_path):
    file = disk.open_append(tmp_path / "x")
    assert disk.writev(file, [b"%d," % n for n in range(3000)]) == 13_890
    disk.close(file)
    assert (tmp_path / "x").read_bytes() == b"".join(b"%d," % n for n in range(3000))


def test_what_the_system_writes_or_reads_in_part_is_done_to_the_end(disk, tmp_path, monkeypatch):
    writev, write, pread = os.writev, os.write, os.pread
    monkeypatch.setattr(module.os, "writev", lambda file, buffers: writev(file, [b"".join(buffers)[:5]]))
    monkeypatch.setattr(module.os, "write", lambda file, data: write(file, data[:3]))
    monkeypatch.setattr(module.os, "pread", lambda file, size, offset: pread(file, min(size, 4), offset))
    file = disk.open_append(tmp_path / "x")
    assert disk.writev(file, [b"abc", b"defghijk", b"lm"]) == 13
    disk.close(file)
    with reading(disk, tmp_path / "x") as file:
        assert disk.pread(file, 13, 0) == b"abcdefghijklm"
        assert disk.pread(file, 50, 1) == b"bcdefghijklm"


def test_only_regular_files_are_listed_and_opened(disk, tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    assert disk.list(tmp_path) == [Found("file", 5)]
    for name in ("folder", "link", "pipe"):
        with pytest.raises(OSError, match=r"regular file|symbolic links"):
            disk.open_read(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        disk.list(tmp_path / "nothing")


def test_names_are_changed_and_removed(disk, tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    disk.rename(tmp_path / "a", tmp_path / "b")
    assert disk.list(tmp_path) == [Found("b", 1)]
    disk.remove(tmp_path / "b")
    disk.remove(tmp_path / "b")
    assert disk.list(tmp_path) == []


def test_a_disk_has_room(disk, tmp_path):
    room = disk.room(tmp_path)
    assert 0 < room.free <= room.total
