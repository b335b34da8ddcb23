"""The whole path: simulator, kite source, hub, file sink; each in its process, the daemon on a core of its own."""

import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from daemon import Process, counted, daemon, simulator, tradable
from harness import environment

INSTRUMENTS = 3_000
RATES = (0, 9_000, 30_000)
REPEATS = 3
SETTLE, WINDOW = 4.0, 8.0
"""Seconds."""
GOAL = 20
"""Percent of a core at the highest rate."""

_CONFIG = """
sources:
  kite:
    use: kite
    api_key: demo
    access_token: demo-token
    ws_url: {ws}
    rest_url: {rest}
    subscribe:
      - {{instruments: {tokens}, mode: full}}
sinks:
  archive: {{use: file, path: "{folder}/ticks/{{date}}.jsonl"}}
state: {{dir: "{folder}/state"}}
journal: off
"""


@dataclass(frozen=True)
class Sample:
    """One run at one rate."""

    ticks_s: float
    cpu: float
    """Percent of a core."""
    p50_ms: float
    p99_ms: float
    rss_mb: float
    ready_s: float


def main() -> None:
    """Print the table."""
    simulator_cpu, daemon_cpu = (sorted(os.sched_getaffinity(0)) * 2)[:2]
    print(
        f"pipeline: simulator (core {simulator_cpu}) > kite source > hub > file sink, JSON lines (core {daemon_cpu});\n"
        f"{INSTRUMENTS} instruments, full packets of 184 bytes, {WINDOW:g} s after {SETTLE:g} s, median of {REPEATS}\n"
    )
    head = ("asked", "ticks/s", "CPU", "min-max", "us/tick", "p50 ms", "p99 ms", "RSS MB", "ready s")
    print("".join(f"{name:>11}" for name in head))
    runs: dict[int, list[Sample]] = {rate: [] for rate in RATES}
    for _ in range(REPEATS):
        for rate in RATES:
            with tempfile.TemporaryDirectory(prefix="tickerd-bench-") as folder:
                runs[rate].append(_run(Path(folder), rate, simulator_cpu, daemon_cpu))
    for rate, samples in runs.items():
        print(_line(rate, samples))
    print(f"\ngoal: at most {GOAL} % of a core at {RATES[-1]} ticks/s; below 60 MB at rest")
    print(
        "latency: from the read off the socket (ts_recv) until another process reads the line from the file"
    )
    print(environment(("trio", "msgspec")))


def _line(rate: int, samples: list[Sample]) -> str:
    def mid(name: str) -> float:
        return statistics.median(getattr(sample, name) for sample in samples)

    cpus = [sample.cpu for sample in samples]
    cells = [
        f"{rate}",
        f"{mid('ticks_s'):.0f}",
        f"{mid('cpu'):.1f} %",
        f"{min(cpus):.1f}-{max(cpus):.1f}",
        f"{mid('cpu') * 1e4 / mid('ticks_s'):.1f}" if rate else "",
        f"{mid('p50_ms'):.1f}" if rate else "",
        f"{mid('p99_ms'):.1f}" if rate else "",
        f"{mid('rss_mb'):.1f}",
        f"{mid('ready_s'):.2f}",
    ]
    return "".join(f"{cell:>11}" for cell in cells)


def _run(folder: Path, rate: int, simulator_cpu: int, daemon_cpu: int) -> Sample:
    with simulator(folder, rate, simulator_cpu) as at:
        config = _CONFIG.format(**at, folder=folder, tokens=tradable(at["rest"], INSTRUMENTS))
        with daemon(folder, config, daemon_cpu) as (process, ready_s):
            time.sleep(SETTLE)
            process.check()
            ticks, cpu, delays = _watch(process, at["rest"], _newest(folder / "ticks"))
            p50, p99 = _percentiles(delays)
            return Sample(ticks / WINDOW, cpu / WINDOW * 100, p50, p99, process.rss_mb(), ready_s)


def _newest(folder: Path) -> Path:
    """The file of ticks; the name of the other one ends in control.jsonl."""
    return next(path for path in folder.iterdir() if "control" not in path.name)


def _watch(process: Process, rest: str, path: Path) -> tuple[int, float, list[float]]:
    """Lines written in the window, CPU seconds used, and how old the oldest new line was at each look, in ms."""
    delays: list[float] = []
    before = counted(rest)
    lines = 0
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.readline()
        cpu, end = process.cpu_s(), time.monotonic() + WINDOW
        while time.monotonic() < end:
            time.sleep(0.002)
            fresh = file.read()
            now = time.time_ns()
            lines += fresh.count(b"\n")
            _, found, rest_of_it = fresh.partition(b'"ts_recv":')
            if found:
                digits = rest_of_it[:24].partition(b",")[0]
                delays.append((now - int(digits)) / 1e6 if digits.isdigit() else 0.0)
        used = process.cpu_s() - cpu
    sent = counted(rest) - before
    if sent and not 0.9 < lines / sent < 1.1:
        print(f"  {lines} lines for {sent} ticks sent: the daemon does not keep up")
    return lines, used, delays


def _percentiles(delays: list[float]) -> tuple[float, float]:
    if not delays:
        return 0.0, 0.0
    ordered = sorted(delays)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
