"""Starts the simulator and the daemon as processes of their own and reads what they cost from /proc."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TICKERD = Path(sys.executable).with_name("tickerd")
_CLOCK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
DEADLINE = 30


class Process:
    """A child process that is stopped in any case."""

    def __init__(self, command: list[str], cpu: int, log: Path, env: dict[str, str] | None = None) -> None:
        self._log = log
        with log.open("wb") as out:
            self.popen = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **(env or {})})
        os.sched_setaffinity(self.popen.pid, {cpu})

    def cpu_s(self) -> float:
        """CPU seconds used so far, all threads."""
        parts = Path(f"/proc/{self.popen.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(parts[11]) + int(parts[12])) / _CLOCK

    def rss_mb(self) -> float:
        """Resident memory in MB."""
        return int(Path(f"/proc/{self.popen.pid}/statm").read_text().split()[1]) * _PAGE / 1e6

    def check(self) -> None:
        """Raise when it has ended."""
        if self.popen.poll() is not None:
            raise RuntimeError(
                f"{self.popen.args!r} ended with {self.popen.returncode}:\n{self._log.read_text()}"
            )

    def stop(self) -> None:
        """SIGTERM, then SIGKILL."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()


def wait_for(path: Path, process: Process) -> None:
    """Wait until a file is there."""
    end = time.monotonic() + DEADLINE
    while not path.exists():
        process.check()
        if time.monotonic() > end:
            raise TimeoutError(f"{path} has not come within {DEADLINE} s")
        time.sleep(0.02)


@contextmanager
def simulator(folder: Path, rate: int, cpu: int) -> Iterator[dict[str, str]]:
    """A running simulator on free ports; yields its addresses as ``ws`` and ``rest``."""
    ready = folder / "simulator.json"
    options = [
        "--ws=127.0.0.1:0",
        "--rest=127.0.0.1:0",
        f"--rate={rate}",
        "--seed=1",
        f"--ready-file={ready}",
    ]
    process = Process([str(TICKERD), "simulate", *options], cpu, folder / "simulator.log")
    try:
        wait_for(ready, process)
        yield json.loads(ready.read_text())
    finally:
        process.stop()


def get(url: str) -> bytes:
    """A GET on the simulator's REST side."""
    request = urllib.request.Request(url, headers={"Authorization": "token demo:demo-token"})
    with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
        body: bytes = answer.read()
        return body


def tradable(rest: str, count: int) -> list[int]:
    """Tokens of instruments that have 184-byte packets."""
    rows = csv.DictReader(get(f"{rest}/instruments").decode().splitlines())
    return [int(row["instrument_token"]) for row in rows if row["segment"] != "INDICES"][:count]


def counted(rest: str) -> int:
    """Ticks that the simulator has sent."""
    state: dict[str, Any] = json.loads(get(f"{rest}/simulator/state"))
    return int(state["counters"].get("ticks", 0))


@contextmanager
def daemon(folder: Path, config: str, cpu: int) -> Iterator[tuple[Process, float]]:
    """A running daemon and the seconds it took from its start until it said that it was ready."""
    path, log = folder / "tickerd.yaml", folder / "tickerd.log"
    path.write_text(config)
    began = time.monotonic()
    process = Process([str(TICKERD), "run", "-c", str(path)], cpu, log)
    try:
        while b'"event":"ready"' not in log.read_bytes():
            process.check()
            if time.monotonic() - began > DEADLINE:
                raise TimeoutError(f"the daemon was not ready within {DEADLINE} s:\n{log.read_text()}")
            time.sleep(0.01)
        yield process, time.monotonic() - began
    finally:
        process.stop()
