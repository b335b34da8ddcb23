"""What a commit keeps, what the log adds to it, and what comes out of both after a crash."""

import errno
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tickerd.wire.compression import zstd
from tickerd_plugins.file import ledger as module
from tickerd_plugins.file.ledger import ABSENT, LOG, End, Ledger, Place, choose
from tickerd_plugins.file.repair import Cut

A, B = End(1, Cut(10)), End(2, Cut(20, b"\x01\x00\x00"))


@pytest.fixture
def make(disk: Any, tmp_path: Path) -> Any:
    """A new one, as after a start; and what it recalls."""

    def make(kept: bytes = b"", root: str = "/r") -> tuple[Ledger, dict[Place, list[End]]]:
        ledger = Ledger(disk, str(tmp_path), root)
        return ledger, {place: list(ends) for place, ends in ledger.recall(kept).items()}

    return make


def test_a_commit_is_what_comes_back(make: Any) -> None:
    ledger, nothing = make()
    assert nothing == {}
    kept = ledger.keep({"a": A, "b": B})
    after, ends = make(kept)
    assert ends == {Place("/r", "a"): [A], Place("/r", "b"): [B]}
    assert after.covers("a")
    assert not after.covers("c")


def test_what_was_changed_after_a_commit_is_in_the_log(make: Any) -> None:
    ledger, _ = make()
    kept = ledger.keep({"a": A})
    ledger.stored()
    ledger.note({"b": ABSENT, "c": B})
    ledger.note({"d": A})
    after, ends = make(kept)
    expected = {
        Place("/r", "a"): [A],
        Place("/r", "b"): [ABSENT],
        Place("/r", "c"): [B],
        Place("/r", "d"): [A],
    }
    assert ends == expected
    assert all(map(after.covers, "abcd"))
    after.note({"e": B})  # goes behind the others
    assert make(kept)[1] == {**expected, Place("/r", "e"): [B]}


def test_entries_count_until_a_later_commit_is_stored(make: Any, tmp_path: Path) -> None:
    ledger, _ = make()
    first = ledger.keep({})
    ledger.note({"b": ABSENT})
    second = ledger.keep({"b": B})
    ledger.note({"c": A})
    assert make(first)[1] == {Place("/r", "b"): [ABSENT], Place("/r", "c"): [A]}
    assert make(second)[1] == {Place("/r", "b"): [B], Place("/r", "c"): [A]}
    assert ledger.stored()
    ledger.tidy()
    assert (tmp_path / LOG).read_bytes() == b""
    assert not ledger.stored()


def test_a_log_that_could_not_be_cleared_counts_no_more(make: Any, disk: Any, tmp_path: Path) -> None:
    ledger, _ = make()
    ledger.note({"a": ABSENT})
    kept = ledger.keep({"a": A})
    assert ledger.stored()
    disk.failing = {"truncate": errno.EIO}
    ledger.tidy()
    with pytest.raises(OSError, match="rror"):
        ledger.note({"b": ABSENT})
    assert not ledger.covers("b")
    disk.failing = {}
    ledger.note({"b": ABSENT})
    assert make(kept)[1] == {Place("/r", "a"): [A], Place("/r", "b"): [ABSENT]}


def test_of_several_ends_the_first_of_that_file_counts() -> None:
    assert choose([A, B], 1) == A.cut
    assert choose([A, B], 2) == B.cut
    assert choose([ABSENT, B], 2) == Cut(0)
    assert choose([A, B], 3) is None


def test_an_end_in_the_stored_commit_comes_before_what_was_noted_later(make: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "MOST", 1)
    ledger, _ = make()
    kept = ledger.keep({"a": A})
    ledger.stored()
    ledger.keep({"b": B})  # never stored; "a" had to make room
    ledger.note({"a": End(1, Cut(15))})
    assert make(kept)[1] == {Place("/r", "a"): [A, End(1, Cut(15))]}


def test_what_is_known_of_a_file_does_not_count_for_another_of_that_name(make: Any) -> None:
    ledger, _ = make()
    kept = ledger.keep({"a": A})
    ledger.stored()
    ledger.forget("a")
    assert not ledger.covers("a")
    ledger.note({"a": ABSENT})
    ledger.note({"b": ABSENT})
    assert make(kept)[1] == {Place("/r", "a"): [ABSENT], Place("/r", "b"): [ABSENT]}
    ledger.forget("nobody")
    assert ledger._replaced == set()


def test_old_files_leave_the_commit(make: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "AGE", 2)
    ledger, _ = make()
    for n in range(3):
        kept = ledger.keep({"b": B} if n else {"a": A})
    assert {place.path for place in make(kept)[1]} == {"a", "b"}
    kept = ledger.keep({})
    assert {place.path for place in make(kept)[1]} == {"b"}
    assert not ledger.covers("a")


def test_ten_thousand_files_are_a_small_commit(make: Any) -> None:
    ledger, _ = make()
    names = [f"2025-01-02/NSE/SYMBOL{n}.jsonl.zst" for n in range(10_000)]
    kept = ledger.keep({name: End(n * 7, Cut(n * 1000, b"\x01\x00\x00")) for n, name in enumerate(names)})
    assert len(kept) < 2**18
    ledger.keep({f"{name}.1": A for name in names * 2})
    for n in range(3):
        kept = ledger.keep({f"{n}/{name}": A for name in names})
    assert len(make(kept)[1]) == module.MOST


@pytest.mark.parametrize("torn", [1, 20, 40])
def test_a_torn_entry_had_not_begun(make: Any, tmp_path: Path, torn: int) -> None:
    ledger, _ = make()
    kept = ledger.keep({})
    ledger.note({"a": A})
    ledger.note({"b": B})
    log = tmp_path / LOG
    log.write_bytes(log.read_bytes()[:-torn])
    after, ends = make(kept)
    assert ends == {Place("/r", "a"): [A]}
    after.note({"c": ABSENT})
    assert make(kept)[1] == {Place("/r", "a"): [A], Place("/r", "c"): [ABSENT]}


def test_an_entry_whose_end_is_of_another_one_does_not_count(make: Any, tmp_path: Path) -> None:
    ledger, _ = make()
    kept = ledger.keep({})
    ledger.note({"a": A})
    log = tmp_path / LOG
    log.write_bytes(log.read_bytes().replace(b"[10,", b"[99,"))
    assert make(kept)[1] == {}


def test_an_entry_of_another_version_does_not_count(make: Any, tmp_path: Path) -> None:
    text = b'{"what":"else"}'
    (tmp_path / LOG).write_bytes(module._crc(text) + text + b"\n")
    assert make()[1] == {}


def test_a_log_that_somebody_deleted_is_written_again(make: Any, tmp_path: Path) -> None:
    ledger, _ = make()
    kept = ledger.keep({})
    ledger.note({"a": A})
    (tmp_path / LOG).unlink()
    ledger.note({"b": B})
    assert make(kept)[1] == {Place("/r", "a"): [A], Place("/r", "b"): [B]}


def test_entries_are_on_the_disk_before_anything_else_happens(make: Any, disk: Any) -> None:
    ledger, _ = make()
    disk.calls.clear()
    ledger.note({})
    assert disk.calls == []
    ledger.note({"a": A, "b": B})
    assert disk.calls == ["open", "folder", "write", "sync", "sync_folder", "folder"]
    disk.failing = {"sync": errno.EIO}
    with pytest.raises(OSError, match="rror"):
        ledger.note({"c": A})
    assert not ledger.covers("c")


def test_the_path_may_have_changed_between_two_starts(make: Any) -> None:
    ledger, _ = make()
    kept = ledger.keep({"a": A})
    ledger.note({"b": ABSENT})
    elsewhere, ends = make(kept, "/s")
    assert ends == {Place("/r", "a"): [A], Place("/r", "b"): [ABSENT]}
    assert not elsewhere.covers("a")
    assert not elsewhere.covers("b")
    elsewhere.note({"a": B})
    assert make(kept, "/s")[1][Place("/s", "a")] == [B]


def test_without_any_commit_the_log_alone_counts(make: Any) -> None:
    ledger, _ = make()
    ledger.note({"a": ABSENT})
    ledger.keep({"a": A})  # could not be stored
    ledger.note({"b": B})
    assert make()[1] == {Place("/r", "a"): [ABSENT], Place("/r", "b"): [B]}


def test_when_the_host_has_lost_its_commits_nothing_is_set_back(make: Any, tmp_path: Path) -> None:
    ledger, _ = make()
    ledger.keep({"a": A})
    ledger.stored()
    ledger.note({"b": ABSENT})
    after, ends = make()
    assert ends == {}
    assert (tmp_path / LOG).read_bytes() == b""
    after.note({"c": ABSENT})
    assert make()[1] == {Place("/r", "c"): [ABSENT]}


@pytest.mark.parametrize("kept", [b"somebody else's", zstd.compress(b"\x91\xc1"), zstd.compress(b"")])
def test_what_another_sink_kept_is_refused(make: Any, tmp_path: Path, kept: bytes) -> None:
    ledger, _ = make()
    ledger.note({"a": ABSENT})
    with pytest.raises(ValueError, match="not the ends"):
        make(kept)
    assert (tmp_path / LOG).read_bytes() == b""


def test_numbers_of_commits_are_never_used_again(make: Any) -> None:
    ledger, _ = make()
    first = ledger.keep({})
    ledger.stored()
    ledger.keep({"a": A})
    ledger.note({"b": ABSENT})  # under a commit that was not stored
    again, _ = make(first)
    third = again.keep({"a": A})
    assert make(third)[1] == {Place("/r", "a"): [A]}
    assert msgspec.msgpack.decode(zstd.decompress(third))[0] == 3
