"""One open file: grows, goes back, and notices what others did to it."""

import gzip
from pathlib import Path

import pytest

from tickerd.wire.compression import Compression, zstd
from tickerd_plugins.file.disk import Disk
from tickerd_plugins.file.encoding import encoder
from tickerd_plugins.file.output import Output


def opened(root: Path, kind: Compression, header: bytes = b"") -> Output:
    disk = Disk()
    return Output(disk, disk.open(str(root), "f"), encoder(kind), header)


def text(root: Path, kind: Compression) -> bytes:
    data = (root / "f").read_bytes()
    if kind == "none" or not data:
        return data
    return gzip.decompress(data) if kind == "gzip" else zstd.decompress(data)


@pytest.mark.parametrize("kind", ["none", "gzip", "zstd"])
def test_a_file_goes_back_to_the_byte(tmp_path: Path, kind: Compression) -> None:
    out = opened(tmp_path, kind, b"head\n")
    empty = out.mark()
    grown = out.append(b"one\n") + out.append(b"two\n")
    assert grown == out.size == (tmp_path / "f").stat().st_size
    before, mark = (tmp_path / "f").read_bytes(), out.mark()
    out.append(b"three\n" * 1000)
    out.restore(mark.cut)
    assert (tmp_path / "f").read_bytes() == before
    assert mark.size == len(before)
    out.append(b"four\n")
    assert text(tmp_path, kind) == b"head\none\ntwo\nfour\n"
    out.restore(empty.cut)
    assert out.size == 0
    out.append(b"five\n")
    assert text(tmp_path, kind) == b"head\nfive\n"
    out.close()


@pytest.mark.parametrize("kind", ["none", "gzip", "zstd"])
def test_a_file_goes_on_where_it_was_left(tmp_path: Path, kind: Compression) -> None:
    for line in (b"one\n", b"two\n"):
        out = opened(tmp_path, kind, b"head\n")
        out.append(line)
        out.sync()
        out.close()
    assert text(tmp_path, kind) == b"head\none\ntwo\n"


def test_it_knows_its_file(tmp_path: Path) -> None:
    disk = Disk()
    out = opened(tmp_path, "none")
    out.append(b"one\n")
    assert out.is_at(disk.look(str(tmp_path), "f"))
    (tmp_path / "f").write_bytes(b"")
    assert not out.is_at(disk.look(str(tmp_path), "f"))
    (tmp_path / "f").unlink()
    assert not out.is_at(disk.look(str(tmp_path), "f"))
    out.close()
