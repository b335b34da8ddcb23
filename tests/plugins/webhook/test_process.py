"""A whole daemon that is killed again and again, and a receiver that fails and hangs: nothing is lost."""

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest
import standardwebhooks
import trio

KILLS = 5
CONFIG = """
state: {{dir: {dir}}}
control: off
sources: {{{source}}}
sinks:
  parallel: {{use: webhook, url: "{url}parallel", events: [order], in_flight: 16, {common}}}
  ordered: {{use: webhook, url: "{url}ordered", events: [instrument], ordered: true, {common}}}
"""
COMMON = (
    "secret: {secret}, allow_private: [{{network: 127.0.0.1/32, host: 127.0.0.1, port: {port}, http: true}}], "
    "retry: {{schedule: [0s, 100ms, 300ms, 1s, 3s, 3s, 3s, 3s, 3s, 3s, 3s, 3s], timeout: 500ms, "
    "breaker: {{open: 100ms, cap: 500ms}}}}"
)
QUIET = "still: {use: simulator, rate: 1, instruments: 1}"


def recording(path: Path, orders: int, in_order: int) -> None:
    """What the daemon plays at its first start."""
    with path.open("w", encoding="utf-8") as file:
        for n in range(orders):
            record = {"record": "order", "data": {"order_id": str(n)}, "reconciled": False}
            file.write(json.dumps({**record, "ts_recv": 10**9 + n, "epoch": 1, "seq": n + 1}) + "\n")
        for n in range(in_order):
            record = {"record": "instrument", "symbol": f"NSE:S{n}", "change": "added", "detail": ""}
            at = {"ts_recv": 2 * 10**9 + n, "epoch": 1, "seq": orders + n + 1}
            file.write(json.dumps({**record, **at}) + "\n")


def memory(pid: int) -> int:
    """Resident, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) * 1024


@contextmanager
def tickerd(config: Path, log: Path):
    """A daemon, killed at the end unless it has ended."""
    with log.open("ab") as out:
        command = [sys.executable, "-m", "tickerd", "run", "-c", str(config)]
        process = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


@pytest.mark.full
@pytest.mark.timeout(300)
async def test_ten_thousand_events_five_kills_and_a_receiver_that_fails_and_hangs(tmp_path, receiver, secret):
    orders, in_order = 10_000, 300
    chance = random.Random(7)
    recording(tmp_path / "day.jsonl", orders, in_order)
    began = time.monotonic()
    async with receiver() as there:
        delivered: Counter[str] = Counter()
        ids: dict[str, set[str]] = {}
        arrivals: list[str] = []

        def answer(delivery, number):
            told = standardwebhooks.Webhook(secret).verify(delivery.body, delivery.headers)["data"]
            name = told["data"]["order_id"] if told["record"] == "order" else told["symbol"]
            ids.setdefault(name, set()).add(delivery.id)
            there.got.clear()
            drawn = chance.random()
            if drawn < 0.20:
                return 500
            if drawn < 0.25:
                return trio.sleep(600)  # noqa: ASYNC105 - the receiver awaits it
            delivered[name] += 1
            if told["record"] != "order":
                arrivals.append(name)
            return 200

        there.answer = answer
        base, port = there.url.rpartition("/")[0] + "/", there.url.split(":")[2].partition("/")[0]
        common = COMMON.format(secret=secret, port=port)
        config, log = tmp_path / "tickerd.yaml", tmp_path / "log"
        play = f"day: {{use: replay, paths: ['{tmp_path}/day.jsonl'], speed: max}}"
        total = orders + in_order
        sizes = []
        with trio.fail_after(240):
            for run in range(KILLS + 1):
                source = play if run == 0 else QUIET
                config.write_text(
                    CONFIG.format(dir=tmp_path / "state", source=source, url=base, common=common)
                )
                with tickerd(config, log) as process:
                    enough = total if run == KILLS else (run + 1) * total // (KILLS + 2)
                    while len(delivered) < enough:
                        assert process.poll() is None, log.read_text()[-3000:]
                        await trio.sleep(0.02)
                    sizes.append(memory(process.pid))
    assert len(delivered) == total
    assert {len(found) for found in ids.values()} == {1}
    assert list(dict.fromkeys(arrivals)) == [f"NSE:S{n}" for n in range(in_order)]
    assert sizes[-1] < sizes[0] + 64 * 2**20
    assert time.monotonic() - began < 180
