"""Runs contestants interleaved in one process and prints medians, spread and ratios."""

import gc
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True)
class Contestant:
    """One way to do the work; ``run`` does ``items`` units of it."""

    name: str
    run: Callable[[], object]
    reference: str | None = None
    """Whose time this one's is compared with."""
    goal: float | None = None
    """The ratio to reach."""


@dataclass(frozen=True)
class Result:
    """What was measured, in microseconds an item."""

    name: str
    median: float
    low: float
    high: float
    ratio: float | None
    goal: float | None


def contest(contestants: Iterable[Contestant], items: int, repeats: int) -> list[Result]:
    """Run everybody ``repeats`` times, taking turns so that a slow moment of the machine hits all alike.

    Times are CPU time of this thread, so other programs on the machine count less. Each turn is run once
    untimed before: caches are as warm as for bytes that have just come off a socket.

    A ratio is the median of the ratios within each round, so that drift between rounds cancels out.
    """
    field = list(contestants)
    times: dict[str, list[float]] = {c.name: [] for c in field}
    for turn in range(repeats):
        for c in field[turn % len(field) :] + field[: turn % len(field)]:
            gc.collect()
            c.run()
            begin = time.thread_time()
            c.run()
            times[c.name].append((time.thread_time() - begin) / items * 1e6)
    return [_result(c, times) for c in field]


def _result(c: Contestant, times: dict[str, list[float]]) -> Result:
    own = times[c.name]
    ratio = None
    if c.reference is not None:
        ratio = statistics.median(peer / mine for peer, mine in zip(times[c.reference], own, strict=True))
    return Result(c.name, statistics.median(own), min(own), max(own), ratio, c.goal)


def table(title: str, results: Iterable[Result]) -> str:
    """The results as text."""
    lines = [title, "", f"{'':44}{'µs/tick':>9}{'min':>9}{'max':>9}{'ratio':>9}{'goal':>8}"]
    for r in results:
        ratio = "" if r.ratio is None else f"{r.ratio:.1f}x"
        goal = "" if r.goal is None else f"≥{r.goal:g}x"
        mark = "" if r.ratio is None or r.goal is None or r.ratio >= r.goal else "  missed"
        lines.append(f"{r.name:44}{r.median:9.3f}{r.low:9.3f}{r.high:9.3f}{ratio:>9}{goal:>8}{mark}")
    return "\n".join(lines)


def cpu() -> str:
    """The processor's name."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def environment(packages: Iterable[str]) -> str:
    """What the figures depend on, in one line."""
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"Python {sys.version.split()[0]}, {versions}; {os.cpu_count()} of {cpu()}; Linux {platform.release()}"
