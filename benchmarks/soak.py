"""`make soak`: the whole daemon under everything at once, for 20 minutes (``MINUTES=``), with gates at the end.

9,000 instruments over three connections to the bundled simulator, journal and file sink, WebSocket clients that churn
and clients that stall, webhooks whose receiver fails most of the time, and a reload each minute. Watched from outside:
memory, descriptors and threads of the process; from inside, by a plugin: living tasks. Exit code 1 for a missed gate.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Self

from daemon import TICKERD, Process, counted, daemon, simulator, tradable
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import unix_connect

MINUTES = float(os.environ.get("MINUTES") or 20)
INSTRUMENTS = 9000
TICKS_PER_S = int(os.environ.get("RATE") or 9000)
CHURNING, STALLING, READING = 12, 3, 3
SAMPLE_S = 2.0
RELOAD_S = 60.0 if MINUTES >= 3 else 15.0

MOST_GROWTH_MB_PER_HOUR = 60.0
NOISE_MB = 12.0
MOST_MORE = 25
"""Descriptors, and tasks, that the end may have beyond the beginning: clients come and go."""
MOST_LAG_S = 0.25

PROBE = '''
"""Writes how many tasks live."""
import json, os, trio
from tickerd.plugin import Options, Source, hookimpl

TICKERD_API = 0

class Probe(Source):
    Options = Options
    def __init__(self, options):
        pass
    async def run(self, ctx, *, task_status):
        task_status.started()
        while True:
            text = json.dumps({"tasks": trio.lowlevel.current_statistics().tasks_living})
            await trio.Path(os.environ["SOAK_PROBE"]).write_text(text)
            await trio.sleep(1)

@hookimpl
def tickerd_sources():
    return Probe
'''
CONFIG = """
sources:
  kite:
    use: kite
    api_key: demo
    access_token: demo-token
    ws_url: {ws}
    rest_url: {rest}
    subscribe: [{{instruments: {tokens}, mode: full}}]
  probe: {{use: soakprobe}}
sinks:
  archive: {{use: file, path: "{folder}/ticks/{{date}}.jsonl", compress: zstd, max_size: 2GiB}}
  stream: {{use: websocket, listen: "unix:{folder}/stream.sock"}}
  events: {{use: webhook, url: "{hook}", {private}, {secret}, events: [gap, status, market]}}
  board:
    use: webhook
    class: ticks
    url: "{hook}"
    {private}
    {secret}
    instruments: ["NSE:INFY"]
    interval: {interval}s
control: {{listen: "unix:{folder}/api.sock"}}
state: {{dir: "{folder}/state"}}
journal: {{min_free: 1GiB, max_size: 8GiB}}
log: {{level: info}}
"""
PRIVATE = "allow_private: [{{network: 127.0.0.1/32, host: 127.0.0.1, port: {port}, http: true}}]"


class Sample(NamedTuple):
    """The daemon at one moment."""

    at_s: float
    rss_mb: float
    descriptors: int
    threads: int
    tasks: int
    lag_s: float
    ticks: int
    sent: int
    """By the simulator, until then."""


class Gate(NamedTuple):
    """A question with its answer."""

    name: str
    found: str
    limit: str
    is_kept: bool


class Failing(BaseHTTPRequestHandler):
    """Says no, nothing, or yes."""

    def do_POST(self) -> None:
        """One of them at random."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chance = random.random()
        if chance < 0.2:
            self.close_connection = True
            return
        if chance < 0.3:
            time.sleep(5)
        self.send_response(500 if chance < 0.8 else 204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


class Clients:
    """Threads with clients, until told to stop; what went wrong with them is counted."""

    def __init__(self, path: str, tokens: Sequence[int]) -> None:
        self._path, self._tokens = path, tokens
        self.stop = threading.Event()
        self.counts: dict[str, int] = {}
        self._counting = threading.Lock()
        kinds = ((CHURNING, self._churn), (STALLING, self._stall), (READING, self._read))
        self._threads = [
            threading.Thread(target=self._again, args=(kind,)) for n, kind in kinds for _ in range(n)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join(30)

    def _count(self, what: str) -> None:
        with self._counting:
            self.counts[what] = self.counts.get(what, 0) + 1

    def _again(self, client: Callable[[], None]) -> None:
        while not self.stop.is_set():
            try:
                client()
            except ConnectionClosed as closed:
                self._count(f"closed_{closed.rcvd.code if closed.rcvd else 'gone'}")
            except OSError as error:
                self._count(type(error).__name__)
                self.stop.wait(0.5)

    @contextmanager
    def _connected(self, tokens: Sequence[int], delivery: str, **options: Any) -> Iterator[Any]:
        opened = unix_connect(
            self._path, "ws://localhost/v1/stream", subprotocols=["tickerd.v1.json"], max_size=None, **options
        )
        with opened as stream:
            for start in range(0, len(tokens), 1000):
                asked = {
                    "op": "sub",
                    "tokens": list(tokens[start : start + 1000]),
                    "mode": "full",
                    "delivery": delivery,
                }
                stream.send(json.dumps(asked))
            yield stream

    def _until(self, stream: Any, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.stop.is_set():
            with suppress(TimeoutError):
                stream.recv(timeout=0.5)

    def _churn(self) -> None:
        with self._connected(
            random.sample(list(self._tokens), 200), random.choice(["conflate", "stream"])
        ) as stream:
            self._count("churned")
            self._until(stream, random.uniform(0.2, 8))

    def _read(self) -> None:
        with self._connected(self._tokens[:50], "stream") as stream:
            self._until(stream, 1e9)

    def _stall(self) -> None:
        with self._connected(self._tokens, "stream", max_queue=1):
            self._count("stalled")
            self.stop.wait(random.uniform(20, 60))


def main() -> int:
    """Run it; 1 when a gate is missed."""
    with tempfile.TemporaryDirectory(prefix="tickerd-soak-") as name, ExitStack() as stack:
        folder = Path(name)
        _plugin(folder)
        at = stack.enter_context(simulator(folder, TICKS_PER_S, cpu=0))
        hook = stack.enter_context(_receiver())
        tokens = tradable(at["rest"], INSTRUMENTS)
        fields = {**at, "folder": folder, "tokens": tokens, "hook": hook, "secret": f'secret: "{_secret()}"'}
        fields["private"] = PRIVATE.format(port=hook.rpartition(":")[2].partition("/")[0])
        process, _ = stack.enter_context(daemon(folder, CONFIG.format(**fields, interval=1), cpu=1))
        with Clients(f"{folder}/stream.sock", tokens) as clients:
            samples, reloads = _watched(folder, process, fields)
        process.stop()
        report = json.loads(_tickerd("verify", "--json", "--dir", f"{folder}/state/journal").stdout)
        return _judged(samples, reloads, report, clients.counts)


def _plugin(folder: Path) -> None:
    """The probe as an installed plugin."""
    info = folder / "site" / "soakprobe-1.dist-info"
    info.mkdir(parents=True)
    (info.parent / "soakprobe.py").write_text(PROBE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: soakprobe\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[tickerd]\nsoakprobe = soakprobe\n")
    os.environ["PYTHONPATH"] = str(info.parent)
    os.environ["SOAK_PROBE"] = str(folder / "probe.json")


@contextmanager
def _receiver() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Failing)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.1,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hook"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _watched(folder: Path, process: Process, fields: dict[str, Any]) -> tuple[list[Sample], list[int]]:
    """Samples, and the exit code of each reload."""
    samples: list[Sample] = []
    reloads: list[int] = []
    began = time.monotonic()
    while (passed := time.monotonic() - began) < MINUTES * 60:
        process.check()
        if passed > RELOAD_S * (len(reloads) + 1):
            (folder / "tickerd.yaml").write_text(CONFIG.format(**fields, interval=1 + len(reloads) % 2 + 1))
            done = _tickerd("reload", "--socket", f"{folder}/api.sock")
            reloads.append(done.returncode)
            if done.returncode:
                print(done.stdout + done.stderr)
        with suppress(OSError, ValueError):
            samples.append(_sample(folder, process, passed, fields["rest"]))
        if len(samples) % 15 == 1:
            print(samples[-1], flush=True)
        time.sleep(SAMPLE_S)
    return samples, reloads


def _sample(folder: Path, process: Process, passed: float, rest: str) -> Sample:
    status = json.loads(_tickerd("status", "--json", "--socket", f"{folder}/api.sock").stdout)["picture"]
    place = Path(f"/proc/{process.popen.pid}")
    return Sample(
        round(passed, 1),
        round(process.rss_mb(), 1),
        len(list((place / "fd").iterdir())),
        len(list((place / "task").iterdir())),
        json.loads((folder / "probe.json").read_text())["tasks"],
        status["loop"]["p99_s"],
        status["totals"]["ticks"],
        counted(rest),
    )


def _judged(samples: list[Sample], reloads: list[int], report: dict[str, Any], counts: dict[str, int]) -> int:
    warm = [one for one in samples if one.at_s >= MINUTES * 60 / 4]
    half = len(warm) // 2
    first, last = warm[:half], warm[half:]
    hours = (last[-1].at_s - first[0].at_s) / 3600
    growth = _slope([(one.at_s / 3600, one.rss_mb) for one in warm])
    limit = MOST_GROWTH_MB_PER_HOUR + NOISE_MB / hours
    lag = statistics.median(one.lag_s for one in warm)
    rate = (last[-1].ticks - first[0].ticks) / (last[-1].at_s - first[0].at_s)
    missing = (last[-1].sent - first[0].sent) - (last[-1].ticks - first[0].ticks)
    under_way = int(2 * rate)  # on its way while the two are asked, one after the other
    unexplained = (
        sum(not hole["told"] for hole in report["holes"]) + report["repeats"] + len(report["damage"])
    )
    told = [gap["reason"] for gap in report["gaps"] if gap["source"] in ("kite", "journal")]
    gates = [
        Gate("memory slope", f"{growth:+.1f} MB/hour", f"{limit:.0f}", growth <= limit),
        _more("descriptors", [one.descriptors for one in first], [one.descriptors for one in last]),
        _more("threads", [one.threads for one in first], [one.threads for one in last]),
        _more("tasks", [one.tasks for one in first], [one.tasks for one in last]),
        Gate("loop lag p99, median", f"{lag * 1000:.0f} ms", f"{MOST_LAG_S * 1000:.0f}", lag <= MOST_LAG_S),
        Gate("reloads refused", f"{sum(map(bool, reloads))} of {len(reloads)}", "0", not any(reloads)),
        Gate("unexplained in the journal", f"{unexplained}", "0", unexplained == 0),
        Gate("gaps of feed and journal", f"{told or 0}", "0", not told),
        Gate(
            "ticks sent, not received",
            f"{missing:,} at {rate:,.0f}/s",
            f"{under_way:,}",
            missing <= under_way,
        ),
    ]
    print(f"\nsoak: {MINUTES:g} minutes, {INSTRUMENTS} instruments, {report['ticks']:,} ticks recorded")
    print(f"clients: {json.dumps(counts, sort_keys=True)}")
    for gate in gates:
        print(
            f"{'ok    ' if gate.is_kept else 'MISSED'} {gate.name:<28} {gate.found:>20}   limit {gate.limit}"
        )
    return int(not all(gate.is_kept for gate in gates))


def _more(name: str, first: list[int], last: list[int]) -> Gate:
    before, after = statistics.median(first), statistics.median(last)
    return Gate(name, f"{before:.0f} then {after:.0f}", f"+{MOST_MORE}", after <= before + MOST_MORE)


def _slope(points: Sequence[tuple[float, float]]) -> float:
    return statistics.linear_regression(*zip(*points, strict=True)).slope


def _secret() -> str:
    return _tickerd("webhooks", "secret").stdout.split()[-1]


def _tickerd(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(TICKERD), *words], capture_output=True, text=True, check=False, timeout=120)


if __name__ == "__main__":
    sys.exit(main())
