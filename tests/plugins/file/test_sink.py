"""The file sink as the host runs it."""

import errno
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio

from tickerd.plugin import Batch, Gap, Position, Reject, Retry, Status
from tickerd.testing import FakeContext, check_plugin, check_sink
from tickerd.wire.rows import CSV_HEADER, CsvParser
from tickerd_plugins import file
from tickerd_plugins.file import FileSink
from tickerd_plugins.file import sink as sink_module

HOUR = 3600 * 10**9
NOON = 1_735_799_400 * 10**9


def tokens(text: str) -> list[int]:
    return [json.loads(line)["instrument_token"] for line in text.splitlines()]


def test_it_is_declared() -> None:
    assert file.TICKERD_API == 0
    assert file.tickerd_sinks() is FileSink
    assert (FileSink.replace, FileSink.overflow, FileSink.delivery) == ("after", "drop_oldest", "durable")


@pytest.mark.parametrize(("compress", "suffix"), [("none", ""), ("gzip", ".gz"), ("zstd", ".zst")])
async def test_ticks_are_lines_of_json(
    make_sink: Any, batches: Any, text: Any, compress: str, suffix: str
) -> None:
    first, second = batches(1, 2, 3), batches(1)
    async with make_sink(compress=compress) as sink:
        assert await sink.write(first) == []
        assert text(f"2025-01-02/NSE.jsonl{suffix}").count("\n") == 2
        assert await sink.write(second) == []
    expected = [*first.ticks[:2], *second.ticks]
    assert text(f"2025-01-02/NSE.jsonl{suffix}").encode() == b"".join(tick.json + b"\n" for tick in expected)
    assert tokens(text(f"2025-01-02/BSE.jsonl{suffix}")) == [3]


@pytest.mark.parametrize(("compress", "suffix"), [("none", ""), ("zstd", ".zst")])
async def test_ticks_are_lines_of_csv(
    make_sink: Any, batches: Any, text: Any, compress: str, suffix: str
) -> None:
    batch = batches(1, 2)
    for _ in range(2):
        async with make_sink("{date}.csv", compress=compress) as sink:
            await sink.write(batch)
    header, *lines = text(f"2025-01-02.csv{suffix}").encode().splitlines(keepends=True)
    assert header == CSV_HEADER
    parser = CsvParser(header)
    assert [parser.parse(line).seq for line in lines] == [1, 2, 1, 2]
    assert [parser.parse(line).last_price for line in lines[:2]] == [tick.last_price for tick in batch.ticks]


async def test_control_records_have_a_file_of_their_own(make_sink: Any, batches: Any, text: Any) -> None:
    records = [Gap(reason="disconnected", ts_recv=NOON), Status(state="connected", ts_recv=NOON - 7 * HOUR)]
    async with make_sink("{date}/{exchange}.csv") as sink:
        await sink.write(batches(records=records))
        await sink.write(batches(1, records=[Gap(reason="overflow", lost=1, ts_recv=NOON)]))
    gaps = [json.loads(line) for line in text("2025-01-02/_control.jsonl").splitlines()]
    assert [(gap["record"], gap["reason"], gap["seq"]) for gap in gaps] == [
        ("gap", "disconnected", 1),
        ("gap", "overflow", 4),
    ]
    assert json.loads(text("2025-01-01/_control.jsonl"))["state"] == "connected"


async def test_facts_are_reported(make_sink: Any, batches: Any, context: FakeContext, tmp_path: Path) -> None:
    async with make_sink() as sink:
        assert context.reports[-1] == ("ready", "", {"rows": 0, "bytes": 0, "open_files": 0})
        sink._reported = float("-inf")
        await sink.write(batches(1, 3, records=[Gap(reason="x", ts_recv=NOON)]))
    size = sum(path.stat().st_size for path in (tmp_path / "out").rglob("*.jsonl"))
    assert context.counts == {"rows": 3, "bytes": size}
    assert context.reports[-1] == ("writing", "", {"rows": 3, "bytes": size, "open_files": 3})


FAULTS = [
    ("open", errno.EACCES, "permission denied"),
    ("open", errno.EROFS, "read-only file system"),
    ("write", errno.ENOSPC, "disk full"),
    ("write", errno.EDQUOT, "disk quota used up"),
    ("write", errno.EIO, "input/output error"),
    ("open", errno.EMFILE, "too many open files"),
    ("open", errno.ENOENT, "directory missing"),
]


@pytest.mark.parametrize(("call", "error", "reason"), FAULTS)
async def test_a_disk_that_fails_is_told_and_tried_again(
    make_sink: Any,
    batches: Any,
    text: Any,
    disk: Any,
    context: FakeContext,
    call: str,
    error: int,
    reason: str,
) -> None:
    async with make_sink() as sink:
        await sink.write(batches(1))
        if call == "open":
            sink._files.close()
        batch = batches(1, 2)
        disk.failing = {call: error}
        for _ in range(3):
            with pytest.raises(Retry) as caught:
                await sink.write(batch)
            assert caught.value.reason == reason
        assert context.reports[-1][:2] == ("failing", reason)
        assert context.counts[reason.replace(" ", "_")] == 3
        assert text("2025-01-02/NSE.jsonl").count("\n") == 1
        disk.failing = {}
        assert await sink.write(batch) == []
        assert context.reports[-1][0] == "writing"
    assert tokens(text("2025-01-02/NSE.jsonl")) == [1, 1, 2]
    assert context.counts["rows"] == 3


async def test_a_disk_that_is_full_half_way_through_a_batch_gets_nothing_of_it(
    make_sink: Any, batches: Any, text: Any, disk: Any
) -> None:
    async with make_sink(compress="zstd") as sink:
        await sink.write(batches(1, 3))
        before = {name: text(f"2025-01-02/{name}.jsonl.zst") for name in ("NSE", "BSE")}
        batch = batches(1, 3, 1)
        for room in range(20):  # 20 bytes fit the end of the first file
            disk.room = room
            with pytest.raises(Retry):
                await sink.write(batch)
            assert {name: text(f"2025-01-02/{name}.jsonl.zst") for name in before} == before
        disk.room = None
        await sink.write(batch)
    assert tokens(text("2025-01-02/NSE.jsonl.zst")) == [1, 1, 1]
    assert tokens(text("2025-01-02/BSE.jsonl.zst")) == [3, 3]


async def test_a_root_that_can_not_be_made_does_not_stop_the_start(
    make_sink: Any, batches: Any, disk: Any, context: FakeContext, text: Any
) -> None:
    disk.failing = {"folder": errno.EROFS}
    async with make_sink() as sink:
        assert context.reports[-1][:2] == ("failing", "read-only file system")
        disk.failing = {}
        await sink.write(batches(1))
        assert context.reports[-1][0] == "writing"
    assert tokens(text("2025-01-02/NSE.jsonl")) == [1]


async def test_a_deleted_directory_is_made_again(
    make_sink: Any, batches: Any, text: Any, tmp_path: Path
) -> None:
    async with make_sink() as sink:
        await sink.write(batches(1))
        shutil.rmtree(tmp_path / "out")
        await sink.write(batches(2))
    assert tokens(text("2025-01-02/NSE.jsonl")) == [2]


async def test_a_planted_link_is_refused_and_nothing_is_written_through_it(
    make_sink: Any, batches: Any, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/2025-01-02").symlink_to(outside)
    async with make_sink() as sink:
        with pytest.raises(Retry, match="link"):
            await sink.write(batches(1))
    assert not list(outside.iterdir())


async def test_a_directory_without_write_permission(make_sink: Any, batches: Any, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o500)
    if os.access(tmp_path / "out", os.W_OK):
        pytest.skip("this user may write everywhere; the failing disk above stands in")
    async with make_sink() as sink:
        with pytest.raises(Retry, match="permission denied"):
            await sink.write(batches(1))
        (tmp_path / "out").chmod(0o700)
        await sink.write(batches(1))


async def test_a_slow_disk_does_not_stall_the_loop(make_sink: Any, batches: Any, disk: Any) -> None:
    go, writing = threading.Event(), threading.Event()
    write = disk.write

    def slow(fd: int, data: bytes, offset: int) -> None:
        writing.set()
        assert go.wait(10)
        write(fd, data, offset)

    disk.write = slow
    async with make_sink() as sink, trio.open_nursery() as nursery:
        nursery.start_soon(sink.write, batches(1))
        with trio.fail_after(5):
            assert await trio.to_thread.run_sync(writing.wait, 5)
            for _ in range(100):  # the loop turns while the disk hangs
                await trio.lowlevel.checkpoint()
        go.set()


async def test_a_cancelled_write_is_finished_not_torn(
    make_sink: Any, batches: Any, disk: Any, text: Any
) -> None:
    scope = trio.CancelScope()
    write = disk.write

    def cancelling(fd: int, data: bytes, offset: int) -> None:
        trio.from_thread.run_sync(scope.cancel)
        write(fd, data, offset)

    disk.write = cancelling
    async with make_sink() as sink:
        with scope:
            assert await sink.write(batches(1, 2)) == []
            taken = True
    assert taken
    assert tokens(text("2025-01-02/NSE.jsonl")) == [1, 2]


async def test_a_tick_without_a_text_is_refused_alone(
    make_sink: Any, batches: Any, text: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = sink_module._json

    def picky(ticks: Any) -> bytes:
        if any(tick.instrument_token == 2 for tick in ticks):
            raise ValueError("no such number")
        return encode(ticks)

    monkeypatch.setattr(sink_module, "_json", picky)
    async with make_sink("all.jsonl") as sink:
        assert await sink.write(batches(1, 2, 3)) == [Reject((1, 2), "can not be encoded: no such number")]  # type: ignore[arg-type]
        assert len(await sink.write(batches(2))) == 1
    assert tokens(text("all.2025-01-02.jsonl")) == [1, 3]


async def test_a_bug_sets_the_batch_back_too(
    make_sink: Any, batches: Any, text: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with make_sink() as sink:
        await sink.write(batches(1))

        def broken(item: Any) -> bytes:
            raise ZeroDivisionError

        monkeypatch.setattr(sink_module, "json_line", broken)
        with pytest.raises(ZeroDivisionError):
            await sink.write(batches(1, records=[Gap(reason="x", ts_recv=NOON)]))
    assert tokens(text("2025-01-02/NSE.jsonl")) == [1]


async def test_old_files_are_deleted(
    make_sink: Any, batches: Any, context: FakeContext, tmp_path: Path
) -> None:
    async with make_sink(keep="30 days", max_size="1GiB") as sink:
        await sink.write(batches(1, ts=NOON - 40 * 24 * HOUR))
    other = tmp_path / "out/2024-11-23/notes.txt"
    other.write_text("mine")
    async with make_sink(keep="30 days") as sink:
        await sink.write(batches(1, ts=context.clock.now_ns()))
    assert context.counts["files_deleted"] == 1
    assert [path.name for path in (tmp_path / "out/2024-11-23").iterdir()] == ["notes.txt"]


async def test_repairs_are_counted_and_logged(
    make_sink: Any, batches: Any, context: FakeContext, text: Any, tmp_path: Path
) -> None:
    async with make_sink() as sink:
        await sink.write(batches(1, 2))
    path = tmp_path / "out/2025-01-02/NSE.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    async with make_sink() as sink:
        await sink.write(batches(1))
    assert tokens(text("2025-01-02/NSE.jsonl")) == [1, 1]
    assert context.counts["torn_ends_repaired"] == 1


async def test_each_batch_reaches_the_disk_when_asked_for(make_sink: Any, batches: Any, disk: Any) -> None:
    async with make_sink(sync="batch") as sink:
        await sink.write(batches(1, 3))
    assert disk.calls.count("sync") == 2


class SmallDisk:
    """A file system of 256 KiB, half of it taken."""

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)], check=True)
        (place / "ballast").write_bytes(bytes(128 * 1024))

    def remount(self, mode: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{mode}", str(self.place)], check=True)

    def close(self) -> None:
        subprocess.run(["umount", str(self.place)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    small = SmallDisk(tmp_path / "small")
    yield small
    small.close()


async def until_refused(sink: FileSink, batches: Any) -> tuple[int, Any]:
    """Writes until the disk is full; the batches that went through, and the one that did not."""
    count = 0
    with pytest.raises(Retry, match="disk full"):  # noqa: PT012 - which of them it is depends on the disk
        while True:
            batch = batches(*[1, 3] * 50)
            await sink.write(batch)
            count += 1
    return count, batch


@pytest.mark.root
@pytest.mark.full
async def test_a_small_disk_fills_up_and_recovers(
    batches: Any, context: FakeContext, small_disk: SmallDisk
) -> None:
    options = FileSink.Options(path=f"{small_disk.place}/t/{{date}}/{{exchange}}.jsonl")
    async with FileSink(options, context) as sink:
        written, batch = await until_refused(sink, batches)
        (small_disk.place / "ballast").unlink()
        await sink.write(batch)
    lines = (small_disk.place / "t/2025-01-02/NSE.jsonl").read_text()
    assert written > 0
    assert len(tokens(lines)) == 50 * (written + 1)
    assert lines.endswith("\n")


@pytest.mark.root
@pytest.mark.full
async def test_a_disk_that_turns_read_only_and_back(
    batches: Any, context: FakeContext, small_disk: SmallDisk
) -> None:
    small_disk.remount("ro")
    async with FileSink(FileSink.Options(path=f"{small_disk.place}/t/{{date}}.jsonl"), context) as sink:
        with pytest.raises(Retry, match="read-only"):
            await sink.write(batches(1))
        small_disk.remount("rw")
        await sink.write(batches(1))
    assert len(tokens((small_disk.place / "t/2025-01-02.jsonl").read_text())) == 1


async def test_it_behaves_as_every_sink_must(make_sink: Any, tmp_path: Path) -> None:
    check_plugin(file)
    options = FileSink.Options(path=f"{tmp_path}/out/{{date}}/{{exchange}}-{{symbol}}.jsonl", compress="zstd")
    (tmp_path / "state").mkdir()
    await check_sink(lambda ctx: FileSink(options, ctx), lambda: FakeContext(tmp_path / "state"))


START = Position(1, 0)


async def test_after_a_crash_what_was_not_committed_comes_again(
    make_sink: Any, batches: Any, text: Any, context: FakeContext
) -> None:
    first, second, third = batches(1, 3), batches(1, 2, 3), batches(1)
    async with make_sink("{symbol}.jsonl", compress="zstd") as sink:
        await sink.restore(START, b"")
        await sink.write(first)
        kept = await sink.commit()
        await sink.committed()
        await sink.write(second)
    for _ in range(2):
        async with make_sink("{symbol}.jsonl", compress="zstd") as sink:
            await sink.restore(first.last, kept)
            assert tokens(text("NSE%3AINFY.2025-01-02.jsonl.zst")) == [1]
            await sink.write(Batch.merged([second, third]))
    assert tokens(text("NSE%3AINFY.2025-01-02.jsonl.zst")) == [1, 1, 1]
    assert tokens(text("NSE%3ANIFTY 50.2025-01-02.jsonl.zst")) == [2]
    assert context.counts["files_set_back"] == 6
    assert context.counts["torn_ends_repaired"] == 0


async def test_what_the_disk_has_lost_is_told(
    make_sink: Any, batches: Any, context: FakeContext, tmp_path: Path
) -> None:
    async with make_sink("{exchange}.{date}.jsonl") as sink:
        await sink.restore(START, b"")
        await sink.write(batches(1, 3))
        kept = await sink.commit()
    os.truncate(tmp_path / "out/NSE.2025-01-02.jsonl", 5)
    (tmp_path / "out/BSE.2025-01-02.jsonl").unlink()
    async with make_sink("{exchange}.{date}.jsonl") as sink:
        with structlog.testing.capture_logs() as logs:
            await sink.restore(START, kept)
    assert context.counts["files_too_short"] == context.counts["files_changed_by_others"] == 1
    assert [(entry["log_level"], entry["files"]) for entry in logs] == [("error", 1), ("warning", 1)]
    assert logs[0]["first"] == "NSE.2025-01-02.jsonl"


async def test_a_restore_or_commit_that_fails_is_told_and_passes(
    make_sink: Any, batches: Any, disk: Any, context: FakeContext
) -> None:
    async with make_sink() as sink:
        await sink.restore(START, b"")
        await sink.write(batches(1))
        disk.failing = {"sync": errno.EIO}
        with pytest.raises(OSError, match="rror"):
            await sink.commit()
        disk.failing = {}
    async with make_sink() as sink:
        disk.failing = {"remove": errno.EROFS}
        with pytest.raises(OSError, match="ead-only"):
            await sink.restore(START, b"")
        disk.failing = {}
    assert context.reports[-1][:2] == ("failing", "read-only file system")
    assert context.counts["input/output_error"] == 1


async def test_what_another_sink_kept_sets_nothing_back(
    make_sink: Any, batches: Any, context: FakeContext, text: Any
) -> None:
    async with make_sink() as sink:
        await sink.write(batches(1))
    async with make_sink() as sink:
        await sink.restore(START, b"of a webhook")
        await sink.write(batches(1))
        await sink.commit()
        await sink.committed()
    assert tokens(text("2025-01-02/NSE.jsonl")) == [1, 1]
    assert context.counts["commits_unreadable"] == 1


async def test_files_that_are_deleted_do_not_come_back_at_a_commit(
    make_sink: Any, batches: Any, tmp_path: Path, context: FakeContext
) -> None:
    async with make_sink(keep="1 day") as sink:
        await sink.restore(START, b"")
        await sink.write(batches(1))
        sink._files.close()
        await sink.commit()
        sink._retention._next_age = 0
        await sink.write(batches(3, ts=context.clock.now_ns()))
        kept = await sink.commit()
    assert not (tmp_path / "out/2025-01-02").exists()
    async with make_sink() as sink:
        await sink.restore(START, kept)
    assert context.counts["files_changed_by_others"] == 0


@pytest.mark.parametrize(
    ("path", "moved"),
    [
        ("ticks/{date}/{exchange}.jsonl", "/new/ticks/{date}/{exchange}.jsonl"),
        ("/var/lib/x/{symbol}.csv.gz", "/new/var/lib/x/{symbol}.csv.gz"),
        ("../../a/./b//{symbol}.csv", "/new/a/b/{symbol}.csv"),
        ("all.jsonl", "/new/all.jsonl"),
    ],
)
def test_it_can_be_moved_below_another_directory(path: str, moved: str) -> None:
    options = FileSink.Options(path=path, keep="1 day", max_size="1GiB", rotate_size="1MB")
    other = FileSink.relocated(options, Path("/new"))
    assert other.path == moved
    assert (other.keep, other.max_size, other.rotate_size) == (None, None, options.rotate_size)
    assert other.template().ext == options.template().ext


def test_a_directory_that_no_path_can_name_is_refused() -> None:
    with pytest.raises(ValueError, match="placeholder"):
        FileSink.relocated(FileSink.Options(path="all.jsonl"), Path("/new/{month}"))
