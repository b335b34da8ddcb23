"""A daemon process with plugins that misbehave on request."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

PLUGIN = '''
"""Sources and a sink that do what their options say."""
import os, time
import trio
from tickerd.plugin import Batch, Options, Row, Sink, Source, hookimpl, option

TICKERD_API = 0

class BadOptions(Options):
    how: str = option(doc="how to misbehave")
    after: float = option(0.5, doc="seconds")
    seconds: float = option(3.0, doc="how long it blocks")

class Bad(Source):
    Options = BadOptions
    def __init__(self, options):
        self.o = options
    async def run(self, ctx, *, task_status):
        if self.o.how == "hang":
            await trio.sleep_forever()
        task_status.started()
        await trio.sleep(self.o.after)
        if self.o.how == "crash":
            raise ZeroDivisionError("boom " + os.environ.get("BOOM", ""))
        if self.o.how == "block":
            time.sleep(self.o.seconds)
            await trio.sleep_forever()
        if self.o.how == "swallow":
            while True:
                with trio.CancelScope(shield=True):
                    await trio.sleep(0.1)
        if self.o.how == "garbage":
            ctx.publish("not a batch")
        seq = 0
        while True:
            seq += 1
            ctx.publish(Batch.of([Row(7, last_price=1.0, volume_traded=seq)]))
            await trio.sleep(0.01)

class BadSinkOptions(Options):
    how: str = option(doc="how to misbehave")

class BadSink(Sink):
    Options = BadSinkOptions
    def __init__(self, options, ctx):
        self.o = options
    async def commit(self):
        return str(os.path.getsize("target") if os.path.exists("target") else 0).encode()
    async def restore(self, position, kept):
        if os.path.exists("target"):
            os.truncate("target", int(kept or b"0"))
    async def write(self, batch):
        if self.o.how == "flaky":
            if os.path.exists("down"):
                raise OSError("target is down")
            with open("target", "a") as out:
                out.writelines(f"{t.volume_traded} {'s' * ('snapshot' in t.flags)}\\n" for t in batch.ticks)
            return []
        if self.o.how == "hang":
            await trio.sleep_forever()
        if self.o.how == "crash":
            raise KeyError("boom")
        if self.o.how == "garbage":
            return 17
        return []

@hookimpl
def tickerd_sources():
    return Bad

@hookimpl
def tickerd_sinks():
    return BadSink
'''


class DaemonProcess:
    """`tickerd run` in a directory of its own; its log as JSON lines."""

    def __init__(self, directory, yaml, *arguments, **env):
        self.directory = directory
        site = directory / "site"
        info = site / "tickerd_bad-1.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (site / "tickerd_bad.py").write_text(PLUGIN)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tickerd-bad\nVersion: 1\n")
        (info / "entry_points.txt").write_text("[tickerd]\nbad = tickerd_bad\n")
        (directory / "tickerd.yaml").write_text(textwrap.dedent(yaml))
        self.log_file = directory / "log"
        self.command = [sys.executable, "-m", "tickerd", "run", "-c", "tickerd.yaml", *arguments]
        self.env = {**os.environ, "PYTHONPATH": str(site), **env}
        self.starts = 0
        self.start()

    def start(self):
        """Start it, again after a kill."""
        self.starts += 1
        with self.log_file.open("a") as out:
            self.process = subprocess.Popen(
                self.command, cwd=self.directory, env=self.env, stdout=out, stderr=subprocess.STDOUT
            )

    def wait_for_ready_again(self, seconds=60):
        end = time.monotonic() + seconds
        while sum(line["event"] == "ready" for line in self.log()) < self.starts:
            assert time.monotonic() < end, self.log_file.read_text()
            time.sleep(0.02)

    def log(self):
        lines = self.log_file.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def wait_for(self, event, seconds=60, **fields):
        """The first log line with this event and these fields."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for line in self.log():
                if line["event"] == event and all(line.get(k) == v for k, v in fields.items()):
                    return line
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"no {event!r} {fields} in:\n{self.log_file.read_text()}")

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def end(self, seconds=20):
        return self.process.wait(seconds)

    def rows(self):
        files = self.directory.glob("ticks/*/*.jsonl")
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.fixture
def daemon_class():
    """Ends all daemons that are still running."""
    started = []

    def make(*arguments, **env):
        started.append(DaemonProcess(*arguments, **env))
        return started[-1]

    yield make
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


@pytest.fixture
def daemon(tmp_path):
    """Starts daemons; ends those that still run."""
    started = []

    def start(yaml, *arguments, **env):
        one = DaemonProcess(tmp_path / str(len(started)), yaml, *arguments, **env)
        started.append(one)
        return one

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


@pytest.fixture
def simulator(tmp_path):
    """Starts Kite simulators on free ports; gives their addresses."""
    started = []

    def start(*arguments):
        ready = tmp_path / f"simulator-{len(started)}.json"
        ports = ["--ws", "127.0.0.1:0", "--rest", "127.0.0.1:0", "--ready-file", str(ready)]
        command = [sys.executable, "-m", "tickerd", "simulate", *ports, *arguments]
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        end = time.monotonic() + 20
        while not ready.exists():
            assert time.monotonic() < end
            assert started[-1].poll() is None
            time.sleep(0.02)
        return json.loads(ready.read_text())

    yield start
    for one in started:
        one.terminate()
        one.wait()
