"""The files of a sink: all of a batch or nothing, rotation, few open at a time."""

import errno
import gzip
import random
from pathlib import Path
from typing import Any

import pytest

from tickerd.wire.compression import Compression, zstd
from tickerd_plugins.file.files import Files, Kind
from tickerd_plugins.file.ledger import LOG, Ledger
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


class Durable:
    """Files with durable delivery, and what the host has stored of them."""

    def __init__(self, disk: Any, root: Path, **options: Any) -> None:
        self.disk, self.root, self.options = disk, root / "out", options
        self.state = root / "state"
        self.kept = b""

    def start(self) -> Files:
        self.files = files(self.disk, self.root, **self.options)
        self.restored = self.files.restore(Ledger(self.disk, str(self.state), str(self.root)), self.kept)
        return self.files

    def write(self, *names: str, n: int = 0, k: Kind | None = None) -> None:
        one = k or kind()
        self.files.announce((one, name) for name in names)
        for name in names:
            self.files.append(one, name, line(n))
        self.files.commit()

    def commit(self) -> None:
        self.kept = self.files.checkpoint()
        if self.files.stored():
            self.files.tidy()

    def content(self) -> dict[str, bytes]:
        return content(self.root)

    def logged(self) -> int:
        return (self.state / LOG).read_bytes().count(b"\n") if self.state.exists() else 0


def test_a_batch_of_new_files_waits_for_the_disk_once(disk: Any, tmp_path: Path) -> None:
    host = Durable(disk, tmp_path)
    host.start()
    disk.calls.clear()
    host.write(*(f"d/{n}" for n in range(10)))
    assert disk.calls.count("sync") == 1
    assert host.logged() == 10
    host.write(*(f"d/{n}" for n in range(10)))
    assert disk.calls.count("sync") == 1
    host.commit()
    assert disk.calls.count("sync") == 11
    assert host.logged() == 0
    host.write(*(f"d/{n}" for n in range(10)))
    assert disk.calls.count("sync") == 11


def test_a_commit_flushes_what_was_written_and_names_that_are_new(disk: Any, tmp_path: Path) -> None:
    host = Durable(disk, tmp_path, limit=2)
    host.start()
    host.write("d/1", "d/2", "d/3", "e/1")
    disk.calls.clear()
    host.commit()
    assert disk.calls.count("sync") == 4
    assert disk.calls.count("sync_folder") == 2
    host.write("d/2")
    disk.calls.clear()
    host.commit()
    assert (disk.calls.count("sync"), disk.calls.count("sync_folder")) == (1, 0)


def test_a_start_goes_back_to_the_last_commit(disk: Any, tmp_path: Path) -> None:
    host = Durable(disk, tmp_path, rotate=20)
    host.start()
    host.write("d/1", "d/2", n=1)
    host.commit()
    before = host.content()
    host.write("d/1", "d/3", n=2)
    host.write("d/1", "d/3", n=3)
    host.write("d/1", n=4)
    assert "d/1.1.jsonl" in host.content()
    host.files.close()
    for _ in range(2):
        host.start()
        assert host.content() == before
        host.files.close()
    host.write("d/1", n=2)
    assert host.content()["d/1.jsonl"] == line(1) + line(2)


def test_after_a_clean_stop_nothing_is_cut_or_examined(disk: Any, tmp_path: Path) -> None:
    host = Durable(disk, tmp_path)
    host.start()
    host.write("d/1", k=kind("zstd"))
    host.commit()
    host.files.close()
    disk.calls.clear()
    host.start()
    assert not {"write", "truncate", "sync"} & set(disk.calls)
    host.write("d/1", k=kind("zstd"))
    assert not host.files.events
    assert host.logged() == 0


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
@pytest.mark.parametrize("deed", ["moved", "appended", "deleted"])
def test_what_others_did_to_a_file_is_not_undone(
    disk: Any, tmp_path: Path, compression: Compression, deed: str
) -> None:
    host, k = Durable(disk, tmp_path, limit=1), kind(compression)
    host.start()
    host.write("d/1", n=1, k=k)
    host.commit()
    path = host.root / f"d/1.jsonl{SUFFIX[compression]}"
    host.write("d/2", n=1, k=k)  # closes it
    theirs = path.read_bytes()
    if deed == "appended":
        path.write_bytes(theirs * 2)
    else:
        path.rename(tmp_path / "old")
        if deed == "deleted":
            (tmp_path / "old").unlink()
    host.write("d/1", n=2, k=k)
    host.write("d/1", n=3, k=k)
    host.files.close()
    host.start()
    assert (path.read_bytes() if path.exists() else b"") == (theirs * 2 if deed == "appended" else b"")


def test_a_file_that_is_replaced_after_a_restore_is_noted_anew(disk: Any, tmp_path: Path) -> None:
    host = Durable(disk, tmp_path)
    host.start()
    host.write("d/1", n=1)
    host.commit()
    host.files.close()
    (host.root / "d/1.jsonl").unlink()
    host.start()
    assert host.restored.replaced == 1
    host.write("d/1", n=2)
    host.files.close()
    host.start()
    assert host.content() == {}


def test_a_commit_knows_what_could_not_be_set_back_yet(disk: Any, tmp_path: Path) -> None:
    host = Durable(disk, tmp_path)
    host.start()
    host.write("d/1", n=1)
    disk.failing = {"truncate": errno.EIO}
    host.files.append(kind(), "d/1", line(2))
    host.files.undo()
    disk.failing = {}
    assert host.content()["d/1.jsonl"] == line(1) + line(2)
    host.commit()
    host.start()
    assert host.content()["d/1.jsonl"] == line(1)


def test_a_commit_steps_over_what_others_deleted(disk: Any, tmp_path: Path) -> None:
    host = Durable(disk, tmp_path, limit=1)
    host.start()
    host.write("d/1", "d/2", "e/1", n=1)
    (host.root / "d/1.jsonl").unlink()
    (host.root / "d/2.jsonl").unlink()
    (host.root / "d").rmdir()
    host.commit()
    host.files.close()
    host.start()
    assert host.restored.replaced == 0
    assert host.content() == {"e/1.jsonl": line(1)}
    host.write("d/1", n=2)
    host.files.close()
    host.start()
    assert host.content() == {"e/1.jsonl": line(1)}


def test_a_commit_leaves_out_a_file_that_others_put_there(disk: Any, tmp_path: Path) -> None:
    host = Durable(disk, tmp_path, limit=1)
    host.start()
    host.write("d/1", "d/2", n=1)
    (host.root / "d/1.jsonl").rename(tmp_path / "old")
    (host.root / "d/1.jsonl").write_bytes(b"my diary")
    host.commit()
    host.files.close()
    host.start()
    host.write("d/1", n=2)
    assert host.content() == {"d/1.jsonl": b"my diary", "d/1.1.jsonl": line(2), "d/2.jsonl": line(1)}


def test_files_that_are_too_old_leave_the_commit(disk: Any, tmp_path: Path) -> None:
    host = Durable(disk, tmp_path, limit=1)
    host.start()
    host.write("d/1", "d/2", n=1)
    assert "d/1.jsonl" in host.files.busy_paths
    host.commit()
    assert "d/1.jsonl" not in host.files.busy_paths
    assert "d/2.jsonl" in host.files.busy_paths
    (host.root / "d/1.jsonl").unlink()
    host.files.deleted(["d/1.jsonl"])
    host.write("d/2", n=2)
    host.commit()
    host.files.close()
    host.start()
    assert host.restored.replaced == 0


def test_what_can_not_be_noted_is_not_changed(disk: Any, tmp_path: Path) -> None:
    host = Durable(disk, tmp_path)
    (tmp_path / "out/d").mkdir(parents=True)
    (tmp_path / "out/d/1.jsonl").write_bytes(line(1) + b'{"torn')
    host.start()
    disk.failing = {"sync": errno.EIO}
    for name in ("d/1", "d/2"):
        with pytest.raises(OSError, match="rror"):
            host.write(name, n=2)
        host.files.undo()
    assert host.content() == {"d/1.jsonl": line(1) + b'{"torn'}
    disk.failing = {}
    host.write("d/1", n=2)
    host.files.close()
    host.start()
    assert host.content() == {"d/1.jsonl": line(1)}


def test_a_file_that_leaves_the_commit_while_it_is_open_is_noted_from_memory(
    disk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tickerd_plugins.file.ledger.MOST", 1)
    host, k = Durable(disk, tmp_path), kind("zstd")
    host.start()
    host.write("d/1", "d/2", "d/3", n=1, k=k)
    host.commit()
    disk.calls.clear()
    host.write("d/1", "d/2", n=2, k=k)
    assert disk.calls.count("sync") == 1
    host.files.append(k, "d/4", line(2))  # nobody announced it
    host.files.close()
    host.start()
    found = {name: text(data, "zstd") for name, data in host.content().items()}
    assert found == {f"d/{n}.jsonl.zst": line(1) for n in (1, 2, 3)}


def test_live_delivery_pays_for_none_of_this(disk: Any, tmp_path: Path) -> None:
    store = files(disk, tmp_path)
    store.announce([(kind(), "d/1")])
    assert disk.calls == []
    store.append(kind(), "d/1", line(1))
    store.commit()
    store.deleted(["d/2"])
    assert disk.calls == ["folder", "open", "folder", "write"]
    assert not store._changed
    assert not store._made
