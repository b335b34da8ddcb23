"""A process that is killed while it writes: what it had finished is there, and the next start goes on."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tickerd.testing import FakeContext
from tickerd.wire.compression import decompressed
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
