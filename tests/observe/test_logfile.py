"""The log file. Real files in a temporary directory."""

import gzip
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tickerd.observe import logfile
from tickerd.observe.logfile import LogFile, rotated_files, tidy

NOON = datetime(2026, 7, 31, 12, tzinfo=UTC)
NEVER = threading.Event()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log" / "tickerd.log"


@pytest.fixture
def opened(path: Path) -> Iterator[Callable[..., LogFile]]:
    files: list[LogFile] = []

    def make(**options: object) -> LogFile:
        files.append(LogFile(path, **{"rotate_size": 100, "compress": "none", **options}))  # type: ignore[arg-type]
        return files[-1]

    yield make
    for file in files:
        file.close()


def age(path: Path, seconds: float) -> None:
    then = NOON.timestamp() - seconds
    os.utime(path, (then, then))


def rotated(path: Path, ending: str = "", *, seconds: float = 0, hour: int = 1) -> Path:
    path.parent.mkdir(exist_ok=True)
    made = path.with_name(f"tickerd.20260731T{hour:02}0000.000000Z.log{ending}")
    made.write_bytes(b"old\n" * 1000)
    age(made, seconds)
    return made


def test_it_appends_to_what_is_there(path: Path, opened) -> None:
    opened().write(b"one\n")
    opened().write(b"two\n")
    assert path.read_bytes() == b"one\ntwo\n"
    assert path.stat().st_mode & 0o777 == 0o640 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_it_rotates_by_size_between_lines(path: Path, opened) -> None:
    file = opened(now=lambda: NOON)
    for n in range(5):
        file.write(b"%d" % n * 39 + b"\n")
    old = rotated_files(path)
    assert [p.read_bytes()[:1] + p.read_bytes()[-2:-1] for p in [*old, path]] == [b"01", b"23", b"44"]
    assert [p.name for p in old] == [
        "tickerd.20260731T120000.000000Z.log",
        "tickerd.20260731T120000.000001Z.log",
    ]


def test_a_piece_larger_than_the_limit_gets_a_file_of_its_own(path: Path, opened) -> None:
    file = opened()
    file.write(b"x" * 500 + b"\n")
    file.write(b"y\n")
    assert [p.stat().st_size for p in [*rotated_files(path), path]] == [501, 2]


@pytest.mark.parametrize(("compress", "ending"), [("gzip", ".gz"), ("zstd", ".zst")])
def test_rotated_files_are_compressed_and_keep_their_time(path: Path, compress, ending: str) -> None:
    old = rotated(path, seconds=3600)
    tidy(path, keep_s=7200, compress=compress, now=NOON, stop=NEVER)
    (packed,) = path.parent.iterdir()
    assert packed.name == old.name + ending
    assert packed.stat().st_mtime == NOON.timestamp() - 3600
    assert packed.stat().st_size < 200
    if compress == "gzip":
        assert gzip.decompress(packed.read_bytes()) == b"old\n" * 1000
    tidy(path, keep_s=7200, compress=compress, now=NOON, stop=NEVER)
    assert list(path.parent.iterdir()) == [packed]


def test_old_files_and_leftovers_go_and_others_stay(path: Path) -> None:
    rotated(path, ".gz", seconds=8 * 86400, hour=1)
    rotated(path, seconds=8 * 86400, hour=2)
    rotated(path, ".gz.part", hour=3)
    kept = rotated(path, ".zst", seconds=6 * 86400, hour=4)
    strangers = [path.with_name(name) for name in ("tickerd.log", "tickerd.2026.log", "other.log.gz")]
    for stranger in strangers:
        stranger.write_bytes(b"")
        age(stranger, 30 * 86400)
    tidy(path, keep_s=7 * 86400, compress="none", now=NOON, stop=NEVER)
    assert sorted(path.parent.iterdir()) == sorted([kept, *strangers])


def test_stopping_leaves_the_plain_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = rotated(path)

    class StopsAfterTheFirstChunk(threading.Event):
        asked = 0

        def is_set(self) -> bool:
            self.asked += 1
            return self.asked > 1

    tidy(path, keep_s=1e6, compress="gzip", now=NOON, stop=StopsAfterTheFirstChunk())
    assert old.exists()
    stopped = threading.Event()
    stopped.set()
    tidy(path, keep_s=0, compress="gzip", now=NOON, stop=stopped)
    assert old.exists()
    tidy(path, keep_s=1e6, compress="gzip", now=NOON, stop=NEVER)
    tidy(path, keep_s=1e6, compress="gzip", now=NOON, stop=NEVER)
    assert [p.suffix for p in path.parent.iterdir()] == [".gz"]


def test_a_directory_that_is_gone_is_no_failure(tmp_path: Path) -> None:
    tidy(tmp_path / "gone" / "tickerd.log", keep_s=0, compress="gzip", now=NOON, stop=NEVER)


def test_the_thread_compresses_what_a_rotation_made(
    path: Path, opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = threading.Event()
    compress = logfile._compress

    def compress_and_tell(*args: object) -> None:
        compress(*args)  # type: ignore[arg-type]
        packed.set()

    monkeypatch.setattr(logfile, "_compress", compress_and_tell)
    file = opened(compress="gzip")
    file.write(b"x" * 100)
    assert not packed.is_set()
    file.write(b"y\n")
    assert packed.wait(5.0)
    assert [p.suffix for p in rotated_files(path)] == [".gz"]


@pytest.mark.parametrize("how", ["moved", "deleted", "directory deleted"])
def test_when_the_file_is_taken_away_a_new_one_is_begun(path: Path, opened, how: str) -> None:
    file = opened()
    file.write(b"one\n")
    if how == "moved":
        path.rename(path.with_name("taken.log"))
    else:
        path.unlink()
    if how == "directory deleted":
        path.parent.rmdir()
    file.write(b"two\n")
    assert path.read_bytes() == b"two\n"


def test_after_a_torn_line_the_next_begins_a_new_one(
    path: Path, opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = opened()
    real, calls = os.write, iter([3, OSError(28, "disk full")])

    def full(fd: int, data: bytes) -> int:
        answer = next(calls)
        if isinstance(answer, OSError):
            raise answer
        return real(fd, data[:answer])

    with monkeypatch.context() as patch:
        patch.setattr("os.write", full)
        with pytest.raises(OSError, match="disk full"):
            file.write(b"torn line\n")
    file.write(b"whole\n")
    file.write(b"again\n")
    assert path.read_bytes() == b"tor\nwhole\nagain\n"


def test_where_renaming_fails_the_old_file_goes_on(
    path: Path, opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, tried = [NOON], []

    def refuse(self: Path, to: Path) -> None:
        tried.append(to)
        raise PermissionError(13, "no")

    file = opened(now=lambda: now[0])
    monkeypatch.setattr(Path, "rename", refuse)
    for _ in range(5):
        file.write(b"x" * 60)
    assert path.stat().st_size == 300
    assert len(tried) == 1
    now[0] += timedelta(seconds=61)
    file.write(b"x")
    assert len(tried) == 2


def test_what_cannot_be_a_log_file_is_refused_at_once(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for bad in (fifo, tmp_path, Path("/dev/null")):
        with pytest.raises(OSError, match=r"No such device|directory|not a regular file"):
            LogFile(bad)
    with pytest.raises(ValueError, match="unknown compression 'rar'"):
        LogFile(tmp_path / "x.log", compress="rar")  # type: ignore[arg-type]


def test_its_clock_is_the_wall_clock_in_utc() -> None:
    assert abs(logfile._utc_now().timestamp() - time.time()) < 5
