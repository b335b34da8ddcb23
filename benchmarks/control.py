"""The control API beside a bare Quart-trio hello-world under hypercorn: requests per second of one core.

Both listen on Unix sockets and are asked by the same client over the same number of connections, which stay open.
The daemon has one tick a second to carry here; what requests do to ticks is tested, not timed.
"""

import os
import selectors
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daemon import Process, daemon, wait_for
from harness import environment

CONNECTIONS = int(os.environ.get("CONNECTIONS", "8"))
TURN_S = float(os.environ.get("TURN_S", "3"))
REPEATS = int(os.environ.get("REPEATS", "5"))
BARE = "bare Quart-trio"
PATHS = {BARE: "/", "tickerd /livez": "/livez", "tickerd /v1/status": "/v1/status"}
CONFIG = """
sources: {{demo: {{use: simulator, rate: 1, subscribe: [{{instruments: ["NSE:INFY"]}}]}}}}
sinks: {{archive: {{use: file, path: "{folder}/ticks/{{date}}.jsonl", delivery: live}}}}
state: {{dir: {folder}/state}}
journal: off
control: {{listen: "unix:{folder}/api.sock"}}
"""


def main() -> None:
    """Print the table."""
    cpus = (sorted(os.sched_getaffinity(0)) * 2)[:2]
    os.sched_setaffinity(0, {cpus[1]})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            daemon(folder, CONFIG.format(folder=folder), cpus[0]) as (ours, _),
            _bare(folder, cpus[0]) as bare,
        ):
            servers = dict.fromkeys(PATHS, (ours, folder / "api.sock"))
            servers[BARE] = (bare, folder / "bare.sock")
            _print(servers)
    print(environment(("trio", "quart", "quart-trio", "hypercorn")))


def _print(servers: dict[str, tuple[Process, Path]]) -> None:
    rates: dict[str, list[float]] = {name: [] for name in PATHS}
    costs: dict[str, list[float]] = {name: [] for name in PATHS}
    for turn in range(REPEATS + 1):
        for name, (process, address) in servers.items():
            rate, cost = _measured(process, address, PATHS[name])
            if turn:  # the first is for warming up
                rates[name].append(rate)
                costs[name].append(cost)
    print(f"control: {CONNECTIONS} connections, {TURN_S:g} s a turn, median of {REPEATS} interleaved turns\n")
    print(f"{'':24}{'requests/s':>12}{'min':>8}{'max':>8}{'ratio':>8}{'CPU µs/request':>18}{'ratio':>8}")
    for name, own in rates.items():
        print(
            f"{name:24}{statistics.median(own):12,.0f}{min(own):8,.0f}{max(own):8,.0f}{_ratio(own, rates[BARE])}"
            f"{statistics.median(costs[name]):18.0f}{_ratio(costs[BARE], costs[name])}"
        )
    print("\nratios: to the bare server, of the same turn; above 1 is faster")


def _ratio(one: list[float], other: list[float]) -> str:
    ratio = statistics.median(a / b for a, b in zip(one, other, strict=True))
    return f"{ratio:7.2f}x"


def _measured(process: Process, address: Path, path: str) -> tuple[float, float]:
    """Requests per second, and microseconds of the server's CPU for each."""
    process.check()
    began, cpu = time.monotonic(), process.cpu_s()
    count = _ask(address, path, began + TURN_S)
    return count / (time.monotonic() - began), (process.cpu_s() - cpu) / count * 1e6


# -- the client --------------------------------------------------------------------------------------------


class _Connection:
    """One request at a time."""

    def __init__(self, address: Path, request: bytes) -> None:
        self._address, self._request = str(address), request
        self._missing, self._received = -1, b""
        self.open()

    def open(self) -> None:
        """Connect, and ask."""
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(self._address)
        self.socket.sendall(self._request)

    def read(self) -> bool:
        """Take what has come; whether an answer is complete. Raises EOFError where the server has closed."""
        data = self.socket.recv(2**18)
        if not data:
            raise EOFError
        self._received += data
        if self._missing < 0:
            head, mark, _ = self._received.partition(b"\r\n\r\n")
            if not mark:
                return False
            assert head.startswith(b"HTTP/1.1 200 "), head
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            self._missing = len(head) + 4 + int(length.partition(b":")[2])
        if len(self._received) < self._missing:
            return False
        self._missing, self._received = -1, b""
        return True

    def again(self) -> None:
        """Ask for the next."""
        self.socket.sendall(self._request)


def _ask(address: Path, path: str, until: float) -> int:
    """Answers that came until this moment."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with selectors.DefaultSelector() as selector:
        for _ in range(CONNECTIONS):
            one = _Connection(address, request)
            selector.register(one.socket, selectors.EVENT_READ, one)
        count = 0
        while time.monotonic() < until:
            ready = selector.select(20)
            assert ready, "the server does not answer"
            for key, _ in ready:
                count += _went_on(selector, key.data)
        for key in list(selector.get_map().values()):
            key.data.socket.close()
        return count


def _went_on(selector: selectors.BaseSelector, one: _Connection) -> bool:
    """Whether it brought an answer. A server may close a connection after so many of them."""
    try:
        if not one.read():
            return False
        one.again()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        selector.unregister(one.socket)
        one.socket.close()
        one.open()
        selector.register(one.socket, selectors.EVENT_READ, one)
        return False
    return True


# -- the peer ----------------------------------------------------------------------------------------------


@contextmanager
def _bare(folder: Path, cpu: int) -> Iterator[Process]:
    address = folder / "bare.sock"
    process = Process(
        [sys.executable, str(Path(__file__).resolve()), "serve", str(address)], cpu, folder / "bare.log"
    )
    try:
        wait_for(address, process)
        time.sleep(0.5)  # it is there a moment before it is listened on
        yield process
    finally:
        process.stop()


def serve(address: str) -> None:
    """The smallest application there is, with the server's own defaults."""
    import trio
    from hypercorn.config import Config
    from hypercorn.trio import serve as run
    from quart_trio import QuartTrio

    app = QuartTrio("bare")

    @app.get("/")
    async def hello() -> str:
        return "hello"

    config = Config()
    config.bind = [f"unix:{address}"]
    trio.run(run, app, config)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2])
    else:
        main()
