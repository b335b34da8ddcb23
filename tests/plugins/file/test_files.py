"""The files of a sink: all of a batch or nothing, rotation, few open at a time."""

import errno
import gzip
import random
from pathlib import Path
from typing import Any

import pytest

from tickerd.wire.compression import Compression, zstd
from tickerd_plugins.file.files import Files, Kind
from tickerd_plugins.file.template import parse

SUFFIX: dict[Compression, str] = {"none": "", "gzip": ".gz", "zstd": ".zst"}


def kind(compression: Compression = "none", header: bytes = b"") -> Kind:
    return Kind(parse("{date}/{symbol}.jsonl", SUFFIX[compression]), compression, header, header or b'{"')


def files(disk: Any, root: Path, *, rotate: int | None = None, sync: bool = False, limit: int = 4) -> Files:
    return Files(disk, str(root), rotate_size=rotate, sync=sync, limit=limit)


def line(n: int) -> bytes:
    return b'{"n":%d}\n' % n


def fill(store: Files, k: Kind) -> None:
    for n in range(200):
        store.append(k, f"d/{n % 6}", line(n))


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def text(data: bytes, compression: Compression) -> bytes:
    if compression == "none" or not data:
        return data
    return gzip.decompress(data) if compression == "gzip" else zstd.decompress(data)


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
@pytest.mark.parametrize("room", [0, 1, 3, 20, 60, 100, 140])
def test_a_batch_that_does_not_fit_leaves_no_trace(
    disk: Any, tmp_path: Path, compression: Compression, room: int
) -> None:
    store, k = files(disk, tmp_path, limit=2), kind(compression)
    for n in range(3):
        store.append(k, f"d/{n}", line(n))
    store.commit()
    before = content(tmp_path)
    disk.room = room
    with pytest.raises(OSError, match="no space"):
        fill(store, k)
    disk.room = None
    store.undo()
    after = content(tmp_path)
    assert {name: data for name, data in after.items() if data} == before
    for n in range(6):
        store.append(k, f"d/{n}", line(n))
    store.commit()
    store.close()
    for n in range(6):
        expected = line(n) * 2 if n < 3 else line(n)
        assert text(content(tmp_path)[f"d/{n}.jsonl{SUFFIX[compression]}"], compression) == expected
    assert store.events["torn_ends_repaired"] == 0


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
@pytest.mark.parametrize("seed", range(5))
def test_whatever_fails_every_batch_is_there_once_or_not_at_all(
    disk: Any, tmp_path: Path, compression: Compression, seed: int
) -> None:
    rng = random.Random(seed)
    store, k = files(disk, tmp_path, limit=2), kind(compression)
    expected: dict[str, bytes] = {}
    for n in range(60):
        names = [f"d/{rng.randrange(4)}" for _ in range(3)]
        broken = rng.choice([None, None, "room", "write", "truncate", "open"])
        disk.failing = {}
        disk.room = rng.randrange(100) if broken in {"room", "truncate"} else None
        if broken in {"write", "truncate", "open"}:
            disk.failing = {broken: errno.EIO}
        try:
            for name in names:
                store.append(k, name, line(n))
            store.commit()
        except OSError:
            store.undo()
        else:
            for name in names:
                expected[name] = expected.get(name, b"") + line(n)
    disk.failing, disk.room = {}, None
    for n in range(4):  # what could not be set back is set back before the next use
        store.append(k, f"d/{n}", line(99))
        expected[f"d/{n}"] = expected.get(f"d/{n}", b"") + line(99)
    store.commit()
    store.close()
    found = {name: text(data, compression) for name, data in content(tmp_path).items()}
    assert found == {f"{name}.jsonl{SUFFIX[compression]}": data for name, data in expected.items()}


def test_few_files_are_open_at_a_time_and_none_is_examined_twice(disk: Any, tmp_path: Path) -> None:
    store, k = files(disk, tmp_path, limit=3), kind("zstd")
    for _ in range(3):
        for n in range(10):
            store.append(k, f"d/{n}", line(n))
            assert len(store.open_paths) <= 3
        store.commit()
    store.close()
    found = {name: text(data, "zstd") for name, data in content(tmp_path).items()}
    assert found == {f"d/{n}.jsonl.zst": line(n) * 3 for n in range(10)}
    assert not store.open_paths


def test_files_are_rotated_by_size_and_go_on_with_the_last(disk: Any, tmp_path: Path) -> None:
    for _ in range(2):
        store = files(disk, tmp_path, rotate=30)
        for n in range(10):
            store.append(kind(), "d/x", line(n))
            store.commit()
        store.close()
    found = content(tmp_path)
    assert sorted(found, key=lambda name: (len(name), name)) == [
        "d/x.jsonl",
        *(f"d/x.{n}.jsonl" for n in range(1, 5)),
    ]
    order = [found["d/x.jsonl"], *(found[f"d/x.{n}.jsonl"] for n in range(1, 5))]
    assert b"".join(order) == b"".join(map(line, range(10))) * 2
    assert [len(data) for data in order] == [32, 32, 32, 32, 32]


def test_each_new_file_has_the_header(disk: Any, tmp_path: Path) -> None:
    store, k = files(disk, tmp_path, rotate=12), kind(header=b"a,b\n")
    for _ in range(3):
        store.append(k, "d/x", b"1,2\n3,4\n")
        store.commit()
    store.close()
    assert set(content(tmp_path).values()) == {b"a,b\n1,2\n3,4\n"}


def test_a_torn_end_is_cut_and_told(disk: Any, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/x.jsonl").write_bytes(line(1) + b'{"n":2')
    store = files(disk, tmp_path)
    store.append(kind(), "d/x", line(3))
    store.commit()
    store.close()
    assert content(tmp_path) == {"d/x.jsonl": line(1) + line(3)}
    assert store.events["torn_ends_repaired"] == 1
    assert store.notes == [("torn end of a file repaired", "d/x.jsonl", 6)]


def test_a_file_of_somebody_else_is_left_alone(disk: Any, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/x.jsonl").write_bytes(b"my diary")
    (tmp_path / "d/x.1.jsonl").write_bytes(b"volume two")
    store = files(disk, tmp_path)
    store.append(kind(), "d/x", line(3))
    store.close()
    assert content(tmp_path) == {
        "d/x.jsonl": b"my diary",
        "d/x.1.jsonl": b"volume two",
        "d/x.2.jsonl": line(3),
    }
    assert store.events["files_not_ours"] == 1


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
@pytest.mark.parametrize("deed", ["moved", "deleted", "emptied", "replaced", "directory deleted", "torn"])
def test_what_others_do_to_an_open_file_is_noticed(
    disk: Any, tmp_path: Path, compression: Compression, deed: str
) -> None:
    store, k = files(disk, tmp_path), kind(compression)
    store.append(k, "d/x", line(1))
    store.commit()
    path = tmp_path / f"d/x.jsonl{SUFFIX[compression]}"
    kept = path.read_bytes()
    if deed == "moved":
        path.rename(path.with_suffix(".old"))
    elif deed == "emptied":
        path.write_bytes(b"")
    elif deed == "torn":
        path.write_bytes(kept[:-3])
    else:
        path.unlink()
        if deed == "replaced":
            path.write_bytes(kept)
        elif deed == "directory deleted":
            path.parent.rmdir()
    store.append(k, "d/x", line(2))
    store.commit()
    store.close()
    assert store.events["files_changed_by_others"] == 1
    survives = deed == "replaced" or (deed == "torn" and compression != "none")
    assert text(path.read_bytes(), compression) == (line(1) if survives else b"") + line(2)


def test_a_batch_is_made_safe_when_asked_for(disk: Any, tmp_path: Path) -> None:
    store = files(disk, tmp_path, sync=True, limit=2)
    for n in range(3):
        store.append(kind(), f"d/{n}", line(n))
    assert disk.calls.count("sync") == 1  # the one that was closed for room
    store.commit()
    assert disk.calls.count("sync") == 3
    assert disk.calls.count("sync_folder") == 3
    store.append(kind(), "d/2", line(5))
    store.commit()
    assert disk.calls.count("sync") == 4
    assert disk.calls.count("sync_folder") == 3


def test_a_batch_that_can_not_be_made_safe_is_set_back(disk: Any, tmp_path: Path) -> None:
    store = files(disk, tmp_path, sync=True)
    disk.failing = {"sync": errno.EIO}
    store.append(kind(), "d/x", line(1))
    with pytest.raises(OSError, match="rror"):
        store.commit()
    store.undo()
    assert content(tmp_path) == {"d/x.jsonl": b""}


def test_a_file_that_went_away_owes_nothing(disk: Any, tmp_path: Path) -> None:
    store = files(disk, tmp_path)
    store.append(kind(), "d/x", line(1))
    store.commit()
    disk.failing = {"truncate": errno.EIO}
    store.append(kind(), "d/x", line(2))
    store.undo()
    (tmp_path / "d/x.jsonl").unlink()
    disk.failing = {}
    store.append(kind(), "d/x", line(3))
    store.commit()
    store.close()
    assert content(tmp_path) == {"d/x.jsonl": line(3)}


def test_many_directories_are_forgotten_again(disk: Any, tmp_path: Path) -> None:
    store = files(disk, tmp_path, rotate=1)
    for n in range(100):
        store.append(kind(), f"{n}/x", line(n))
        store.commit()
    assert len(store._numbers) <= 64
    store.close()
