"""A process that is killed while it writes: what it had finished is there, and the next start goes on."""

import gzip
import json
import os
import random
import subprocess
import sys
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tickerd.testing import FakeContext
from tickerd.wire.compression import decompressed
from tickerd.wire.rows import CsvParser
from tickerd_plugins.file import FileSink

CHILD = """
import sys, trio
from pathlib import Path
from tickerd.plugin import Batch, Instrument, Row
from tickerd.testing import FakeContext
from tickerd.testing.fakes import stamped
from tickerd_plugins.file import FileSink

async def main(path, compress):
    sink = FileSink(FileSink.Options(path=path, compress=compress), FakeContext(Path(path).parent))
    table = {1: Instrument("x", 1, "NSE", "A"), 2: Instrument("x", 2, "BSE", "B")}
    seq = 1
    async with sink:
        while True:
            batch = Batch.of([Row(1 + n % 2, volume_traded=seq + n) for n in range(400)], ts_recv=1735799400 * 10**9)
            await sink.write(stamped(batch, seq, instruments=table))
            seq += 400
            print(seq - 1, flush=True)

trio.run(main, *sys.argv[1:])
"""


def numbers(path: Path) -> list[int]:
    kind: Any = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix, "none")
    text = b"".join(decompressed([path.read_bytes()], kind))
    lines = text.split(b"\n")
    return [json.loads(line)["volume_traded"] for line in lines[:-1]]


def killed(path: str, compress: str) -> int:
    """Lets a process write and kills it; the last number that it said it had written."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, path, compress], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for _ in range(30):
            last = int(child.stdout.readline())
        child.kill()
        return max([last, *map(int, child.stdout.read().split())])


@pytest.mark.parametrize(("compress", "suffix"), [("none", ""), ("gzip", ".gz"), ("zstd", ".zst")])
async def test_what_was_written_before_kill_9_is_readable_and_goes_on(
    tmp_path: Path, batches: Any, compress: str, suffix: str
) -> None:
    path = f"{tmp_path}/{{date}}/{{exchange}}.jsonl"
    last = killed(path, compress)
    files = [tmp_path / f"2025-01-02/{name}.jsonl{suffix}" for name in ("NSE", "BSE")]
    for n, file in enumerate(files):
        assert numbers(file)[: last // 2] == list(range(1 + n, last + 1, 2))
    # and as if the kill had come in the middle of a write
    for file in files:
        os.truncate(file, file.stat().st_size - 7)
    context = FakeContext(tmp_path)
    async with FileSink(FileSink.Options(path=path, compress=compress), context) as sink:
        await sink.write(batches(1, 3))
    assert context.counts["torn_ends_repaired"] == 2
    for file in files:
        whole = file.read_bytes() if compress == "none" else None
        if compress == "gzip":
            whole = gzip.decompress(file.read_bytes())
        assert whole is None or whole.endswith(b"}\n")
        *before, new = numbers(file)
        assert before == sorted(before)
        assert len(before) >= last // 2 - 200
        assert new in {1, 2}


DURABLE = """
import os, pickle, sys, trio
from pathlib import Path
from tickerd.plugin import Batch, Instrument, Position, Row
from tickerd.testing import FakeContext
from tickerd.testing.fakes import stamped
from tickerd_plugins.file import FileSink

SYMBOLS = 300
TABLE = {n: Instrument("x", n, "NSE", f"S{n}") for n in range(1, SYMBOLS + 1)}

async def main(root, path, compress, rows):
    state = Path(root, "cursor")
    position, kept = pickle.loads(state.read_bytes()) if state.exists() else (0, b"")
    sink = FileSink(
        FileSink.Options(path=f"{root}/out/{path}", compress=compress, rotate_size="20KiB"),
        FakeContext(Path(root, "state")),
    )
    async with sink:
        await sink.restore(Position(1, position), kept)
        print("up", flush=True)
        n = 0
        while position < int(rows):
            # batches that begin and end elsewhere after each start
            size = 100 + (position * 7919 + os.getpid()) % 400
            batch = [Row(1 + seq * 7 % SYMBOLS, volume_traded=seq) for seq in range(position, position + size)]
            position += size
            await sink.write(stamped(Batch.of(batch, ts_recv=1735799400 * 10**9), position, instruments=TABLE))
            n += 1
            if n % 4 == 0 or position >= int(rows):
                kept = await sink.commit()
                new = state.with_suffix(".new")
                new.write_bytes(pickle.dumps((position, kept)))
                new.replace(state)
                await sink.committed()
        print(position, flush=True)

trio.run(main, *sys.argv[1:])
"""
ROWS = 20_000


def life(arguments: list[str], seconds: float | None) -> int | None:
    """Lets a process write for so long and kills it; how far it got when it came to the end."""
    with subprocess.Popen(
        [sys.executable, "-c", DURABLE, *arguments], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        try:
            while child.stdout.readline() not in {"up\n", ""}:  # log lines come before it
                pass
            with suppress(subprocess.TimeoutExpired):
                child.wait(seconds)
        finally:
            child.kill()
        rest = child.stdout.read()
    return int(rest.split()[-1]) if rest.strip()[-1:].isdecimal() else None


def volumes(path: Path) -> list[int]:
    kind: Any = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix, "none")
    first, *lines = b"".join(decompressed([path.read_bytes()], kind)).splitlines(keepends=True)
    if ".csv" not in path.name:
        return [json.loads(line)["volume_traded"] for line in (first, *lines)]
    parser = CsvParser(first)
    return [parser.parse(line).volume_traded or 0 for line in lines]


@pytest.mark.parametrize(
    ("path", "compress"),
    [
        ("{date}/{symbol}.jsonl", "none"),
        pytest.param("{date}/{symbol}.csv", "gzip", marks=pytest.mark.full),
        pytest.param("{date}/{symbol}.jsonl", "zstd", marks=pytest.mark.full),
        pytest.param("{date}.csv", "zstd", marks=pytest.mark.full),
    ],
)
@pytest.mark.full
def test_after_any_number_of_kills_each_row_is_there_once(tmp_path: Path, path: str, compress: str) -> None:
    (tmp_path / "state").mkdir()
    chance = random.Random(path + compress)
    arguments = [str(tmp_path), path, compress, str(ROWS)]
    for _ in range(4):
        life(arguments, chance.uniform(0, 0.4))
    end = life(arguments, None)
    assert end is not None
    found: dict[str, list[int]] = defaultdict(list)
    for file in sorted((tmp_path / "out").rglob("*.*"), key=lambda file: (len(file.name), file.name)):
        found[file.name.split(".")[0]] += volumes(file)
    by_symbol: dict[int, list[int]] = defaultdict(list)
    for numbers in found.values():
        for number in numbers:
            by_symbol[number * 7 % 300].append(number)
    assert by_symbol == {n * 7 % 300: [m for m in range(end) if m % 300 == n] for n in range(300)}
