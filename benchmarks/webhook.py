"""The webhook sink's poster beside a bare ``httpx`` loop: CPU of the sender alone, to a receiver that only answers.

The receiver is a process of its own on the other core. Both send the same signed bodies over one kept connection, and
take turns; the sink signs, looks the name up, checks the address, and reads the answer within its limits.
"""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import trio
from harness import environment

DELIVERIES = int(os.environ.get("DELIVERIES", "1500"))
REPEATS = int(os.environ.get("REPEATS", "3"))
GOAL = 0.7
SECRET = "whsec_c3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzcw=="
CLIENT = "httpx2"


def main() -> None:
    """Print the table."""
    cpus = (sorted(os.sched_getaffinity(0)) * 2)[:2]
    command = ["taskset", "-c", str(cpus[1]), sys.executable, str(Path(__file__).resolve()), "receive"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as receiver:
        assert receiver.stdout is not None
        port = int(receiver.stdout.readline())
        whole = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {cpus[0]})
        try:
            found = trio.run(_contest, port)
        finally:
            os.sched_setaffinity(0, whole)
            receiver.terminate()
    print(f"webhook: {DELIVERIES} deliveries of one event to a local receiver, median of {REPEATS} turns\n")
    print(f"{'':24}{'deliveries/CPU-s':>18}{'min':>9}{'max':>9}{'of the loop':>13}{'goal':>8}")
    loop = statistics.median(found[f"bare {CLIENT} loop"])
    for name, rates in found.items():
        rate = statistics.median(rates)
        ours = name == "tickerd"
        mark = "  missed" if ours and rate < GOAL * loop else ""
        share = f"{rate / loop:13.0%}{f'≥{GOAL:.0%}':>8}{mark}" if ours else ""
        print(f"{name:24}{rate:18,.0f}{min(rates):9,.0f}{max(rates):9,.0f}{share}")
    print(f"\n{environment(('trio', 'h11'))}; {CLIENT} {version(CLIENT)}")


async def _contest(port: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"tickerd": [], f"bare {CLIENT} loop": []}
    for _ in range(REPEATS):
        for name, run in zip(found, (_tickerd, _loop), strict=True):
            found[name].append(DELIVERIES / await run(port))
    return found


async def _tickerd(port: int) -> float:
    from tickerd.plugin import Batch, Clock, Message, Status
    from tickerd.testing import FakeContext, stamped
    from tickerd_plugins.webhook.options import WebhookOptions
    from tickerd_plugins.webhook.sink import WebhookSink

    rule = {"network": "127.0.0.1/32", "host": "127.0.0.1", "port": port, "http": True}
    options = WebhookOptions.model_validate(
        {"url": f"http://127.0.0.1:{port}/hook", "secret": SECRET, "allow_private": [rule]}
    )
    with tempfile.TemporaryDirectory() as folder:
        sink = WebhookSink(options, FakeContext(Path(folder), "bench", Clock()))
        batch = stamped(Batch.control(Status(source="kite", connection=1, state="connected", ts_recv=1)))
        (message,) = sink.compose(batch)
        assert isinstance(message, Message)
        async with sink:
            await sink.send(message, 1)
            began = time.process_time()
            for _ in range(DELIVERIES):
                await sink.send(message, 1)
            return time.process_time() - began


async def _loop(port: int) -> float:
    import importlib

    httpx: Any = importlib.import_module(CLIENT)
    body = b'{"type":"feed.status","timestamp":"2026-01-01T00:00:00Z","data":{"source":"kite","state":"connected"}}'
    headers = {
        "content-type": "application/json",
        "webhook-id": "msg_0123456789abcdef0123456789abcdef",
        "webhook-timestamp": "1767225600",
        "webhook-signature": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    }
    async with httpx.AsyncClient(trust_env=False) as client:
        url = f"http://127.0.0.1:{port}/hook"
        await client.post(url, content=body, headers=headers)
        began = time.process_time()
        for _ in range(DELIVERIES):
            (await client.post(url, content=body, headers=headers)).raise_for_status()
        return time.process_time() - began


def receive() -> None:
    """Answer every request, one connection at a time."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            with connection:
                _answer(connection)


def _answer(connection: socket.socket) -> None:
    seen = b""
    while data := connection.recv(65_536):
        seen += data
        head, end, rest = seen.partition(b"\r\n\r\n")
        if not end:
            continue
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        length = int(lengths[0].partition(b":")[2])
        if len(rest) >= length:
            seen = rest[length:]
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


if __name__ == "__main__":
    if sys.argv[1:2] == ["receive"]:
        receive()
    else:
        main()
