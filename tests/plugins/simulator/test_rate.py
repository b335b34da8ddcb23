"""The simulator as a process of its own at full rate: what it says it sent is what arrived, once each."""

import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from struct import unpack_from

import pytest
import trio

from tickerd_plugins.simulator import read_numbered
from tickerd_plugins.simulator.universe import Universe

RATE, SECONDS = 30_000, 5
PROGRAM = "from tickerd_plugins.simulator.command import simulate; simulate()"


@pytest.mark.full
async def test_thirty_thousand_packets_a_second(connect, tmp_path: Path, capsys) -> None:
    log, ready = tmp_path / "numbers", tmp_path / "ready.json"
    ports = ["--ws", "127.0.0.1:0", "--rest", "127.0.0.1:0"]
    options = ["--rate", str(RATE), "--seed", "1", "--numbered", str(log), "--ready-file", str(ready)]
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", PROGRAM, *ports, *options], stdout=subprocess.PIPE
    )

    class Process:
        """As much of a simulator as `connect` needs."""

        ws_url = ""

    with trio.fail_after(20):
        assert process.stdout is not None
        assert await process.stdout.receive_some()
    Process.ws_url = json.loads(ready.read_text())["ws"]
    received: list[int] = []

    async def read(tokens: list[int]) -> None:
        async with connect(Process) as client:
            await client.set_mode("full", *tokens)
            while True:
                for packet in (await client.ticks()).packets:
                    if len(packet) == 184:
                        received.append(unpack_from(">I", packet, 16)[0])

    tokens = Universe(date(2026, 1, 14), seed=1).tokens
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for n in range(3):
            nursery.start_soon(read, tokens[n * 3_000 : n * 3_000 + 3_000])
        await trio.sleep(1)
        before, cpu = len(received), used_cpu(process.pid)
        await trio.sleep(SECONDS)
        rate, share = (len(received) - before) / SECONDS, (used_cpu(process.pid) - cpu) / SECONDS
        sent_before_the_end = len(received)
        nursery.cancel_scope.cancel()
    process.terminate()
    assert await process.wait() == 0
    await process.stdout.aclose()
    with capsys.disabled():
        print(
            f"\nsimulator: {rate:,.0f} packets/s at {share:.0%} of a core, {trio.current_time() - start:.1f} s"
        )
    assert rate > RATE * 0.9
    logged = [number for sent in read_numbered(log) for number, _ in sent.numbers()]
    assert len(logged) == len(set(logged)) == max(logged)
    assert len(received) == len(set(received))
    assert set(received) <= set(logged)
    assert sent_before_the_end > RATE * SECONDS


def used_cpu(pid: int) -> float:
    """Seconds of processor time, from the kernel's accounting in hundredths."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
