"""One sink that stalls beside one that works, at 30,000 ticks/s: what the other loses, its delay, and memory."""

import os
import statistics
import tempfile
import time
from pathlib import Path

from daemon import daemon, simulator, tradable
from harness import environment
from pipeline import _CONFIG, INSTRUMENTS, _newest, _percentiles, _watch

RATE = 30_000
STALL_S = float(os.environ.get("STALL_S", "60"))
REPEATS = 3
PLUGIN = '''
"""A sink that never takes anything."""
import trio
from tickerd.plugin import Options, Sink, hookimpl

TICKERD_API = 0

class Stalled(Sink):
    Options = Options
    delivery = "live"
    def __init__(self, options, ctx):
        pass
    async def write(self, batch):
        await trio.sleep_forever()

@hookimpl
def tickerd_sinks():
    return Stalled
'''


def main() -> None:
    """Print the table."""
    simulator_cpu, daemon_cpu = (sorted(os.sched_getaffinity(0)) * 2)[:2]
    print(
        f"stalled sink: {RATE} ticks/s, {INSTRUMENTS} instruments; a stall of {STALL_S:g} s, median of {REPEATS}\n"
    )
    print(f"{'':>16}{'p50 ms':>10}{'p99 ms':>10}{'RSS MB':>10}")
    found: dict[bool, list[tuple[float, float, float]]] = {False: [], True: []}
    for _ in range(REPEATS):
        for stalled in (False, True):
            with tempfile.TemporaryDirectory(prefix="tickerd-bench-") as folder:
                found[stalled].append(_run(Path(folder), simulator_cpu, daemon_cpu, stalled=stalled))
    middle = {
        key: [statistics.median(column) for column in zip(*rows, strict=True)] for key, rows in found.items()
    }
    for stalled, (p50, p99, rss) in middle.items():
        print(f"{'with a stall' if stalled else 'without':>16}{p50:10.1f}{p99:10.1f}{rss:10.1f}")
    (_, p99, rss), (_, p99_stalled, rss_stalled) = middle[False], middle[True]
    print(f"\np99 {p99_stalled / p99 - 1:+.0%} (goal: below +10 %)")
    print(f"memory {rss_stalled - rss:+.1f} MB (goal: below +20 MB)")
    print(environment(("trio", "msgspec")))


def _run(folder: Path, simulator_cpu: int, daemon_cpu: int, *, stalled: bool) -> tuple[float, float, float]:
    site = folder / "site"
    info = site / "tickerd_stalled-1.dist-info"
    info.mkdir(parents=True)
    (site / "tickerd_stalled.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tickerd-stalled\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[tickerd]\nstalled = tickerd_stalled\n")
    os.environ["PYTHONPATH"] = str(site)
    with simulator(folder, RATE, simulator_cpu) as at:
        config = _CONFIG.format(**at, folder=folder, tokens=tradable(at["rest"], INSTRUMENTS))
        if stalled:
            config = config.replace("sinks:\n", "sinks:\n  hung: {use: stalled}\n")
        with daemon(folder, config, daemon_cpu) as (process, _):
            time.sleep(STALL_S)
            _, _, delays = _watch(process, at["rest"], _newest(folder / "ticks"))
            p50, p99 = _percentiles(delays)
            return p50, p99, process.rss_mb()
