"""The journal: writing and reading back beside `os.write` and sqlite3 of the same frames, size, and joining."""

import os
import random
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import frames as made
from harness import Contestant, contest, environment, table

from tickerd.dataflow.hub import Hub
from tickerd.instruments import Namespace
from tickerd.journal.compress import compress
from tickerd.journal.files import Files
from tickerd.journal.open_segment import OpenSegment
from tickerd.journal.reader import read_journal
from tickerd.journal.segment import Header
from tickerd.journal.segment_reader import Span
from tickerd.plugin import Batch, Position
from tickerd.wire.kite import KITE

PACKETS, FRAMES, REPEATS = 200, 1_000, 5
GROUP = 50
"""Frames written together, as at 30,000 ticks/s in the writer's 10 ms and some."""
JOIN_BYTES = 2 * 2**30
DAY, NOW_NS = "2026-11-23", 1_795_415_400 * 10**9
RAW, SQLITE, BACK = (
    "os.write of the frames",
    "sqlite3 insert of the frames",
    "read of the file, nothing decoded",
)


def main() -> None:
    """Print the tables."""
    directory = Path(tempfile.mkdtemp(prefix="tickerd-bench-"))
    try:
        batches = published(FRAMES)
        print(writing(directory, batches))
        print()
        print(reading(directory, batches))
        print()
        print(sizes(directory, batches))
        print(joining(directory, batches))
        print(f"\n{PACKETS} full packets a frame; {environment(['msgspec', 'backports.zstd'])}")
    finally:
        shutil.rmtree(directory)


def published(count: int) -> list[Batch]:
    """Batches as the hub hands them to the journal."""
    rng = random.Random(7)
    universe = made.instruments(9_000, rng)
    namespace, hub = Namespace("kite"), Hub(1)
    namespace.load(universe)
    out = []
    for number, raw in enumerate(made.frames(universe, count, PACKETS, rng)):
        batch = Batch.read(KITE, raw, connection=0, ts_recv=NOW_NS + number * 6_666_667)
        hub.publish(batch, "kite", namespace)
        out.append(batch)
    return out


def write(directory: Path, batches: Sequence[Batch], times: int = 1) -> Path:
    """One segment; later rounds go on with the positions."""
    segment = OpenSegment(directory, Header(1, 1, NOW_NS, DAY), Files())
    span = len(batches) * PACKETS
    for turn in range(times):
        for start in range(0, len(batches), GROUP):
            for batch in batches[start : start + GROUP]:
                assert batch.origin is not None
                batch.origin.seq += span if turn else 0
                segment.add(batch)
            segment.flush()
    segment.close()
    for batch in batches:
        assert batch.origin is not None
        batch.origin.seq -= span * (times - 1)
    return segment.path


def writing(directory: Path, batches: Sequence[Batch]) -> str:
    """Appending."""

    def ours() -> None:
        for path in directory.iterdir():
            path.unlink()
        write(directory, batches)

    def plain() -> None:
        out = os.open(directory / "raw", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for batch in batches:
            os.write(out, batch.raw or b"")
        os.close(out)

    def sqlite() -> None:
        file = directory / "frames.db"
        file.unlink(missing_ok=True)
        db = sqlite3.connect(file)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE frames (seq INTEGER PRIMARY KEY, ts INTEGER, raw BLOB)")
        for start in range(0, len(batches), GROUP):
            rows = [
                (b.last.seq, b.origin and b.origin.ts_recv, b.raw) for b in batches[start : start + GROUP]
            ]
            with db:
                db.executemany("INSERT INTO frames VALUES (?, ?, ?)", rows)
        db.close()

    field = [
        Contestant(RAW, plain),
        Contestant(SQLITE, sqlite),
        Contestant("journal: encode, index, write", ours, reference=SQLITE),
    ]
    results = contest(field, len(batches) * PACKETS, REPEATS)
    share = results[-1].median * 30_000 / 1e6 * 100
    return (
        table("Writing", results)
        + f"\n\nat 30,000 ticks/s the journal costs {share:.1f} % of a core (goal: 10 %)"
    )


def reading(directory: Path, batches: Sequence[Batch]) -> str:
    """Reading everything back, with and without the ticks."""
    path = write(fresh(directory), batches)

    def plain() -> None:
        path.read_bytes()

    def back() -> None:
        for item in read_journal(path.parent, {"kite": KITE}):
            assert isinstance(item, Batch)

    def ticks() -> None:
        for item in read_journal(path.parent, {"kite": KITE}):
            assert isinstance(item, Batch)
            len(item.ticks)

    field = [
        Contestant(BACK, plain),
        Contestant("journal: batches", back),
        Contestant("journal: ticks", ticks),
    ]
    results = contest(field, len(batches) * PACKETS, REPEATS)
    size = path.stat().st_size
    count = len(batches) * PACKETS
    rates = [f"{r.name}: {1 / r.median:.1f} M ticks/s, {size / (r.median * count):.0f} MB/s" for r in results]
    return table("Reading back", results) + "\n\n" + "\n".join(rates)


def sizes(directory: Path, batches: Sequence[Batch]) -> str:
    """Bytes a tick, raw and compressed, and what a day of 9,000 ticks/s is."""
    path = write(fresh(directory), batches)
    count = len(batches) * PACKETS
    raw = path.stat().st_size / count
    packed = compress(path)
    assert packed is not None
    small = packed.stat().st_size / count
    day = 9_000 * 6.25 * 3600 / 1e9
    return (
        f"Size: {raw:.1f} bytes a tick, compressed {small:.1f} ({small / raw:.0%}; made-up prices are random); "
        f"a trading day of 9,000 full ticks/s (6 h 15 min) is {raw * day:.0f} GB, compressed {small * day:.0f} GB"
    )


def joining(directory: Path, batches: Sequence[Batch]) -> str:
    """Time from a position in the middle of 2 GB to the first batch."""
    times = JOIN_BYTES // sum(len(b.raw or b"") for b in batches) + 1
    path = write(fresh(directory), batches, times)
    total = len(batches) * PACKETS * times
    took = []
    for share in (0.1, 0.5, 0.9):
        begin = time.perf_counter()
        first = next(read_journal(path.parent, {"kite": KITE}, Span(Position(1, int(total * share)))))
        took.append((time.perf_counter() - begin) * 1e3)
        assert isinstance(first, Batch)
    texts = ", ".join(f"{ms:.0f}" for ms in took)
    size = path.stat().st_size / 2**30
    return f"Joining a journal of {size:.1f} GiB ({total:,} ticks), at 10, 50 and 90 %: {texts} ms"


def fresh(directory: Path) -> Path:
    """An empty directory inside."""
    place = directory / "read"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    return place
