"""The watchdog: its judgement in virtual time, and itself in child processes whose loop is really blocked."""

import os
import signal
import subprocess
import sys
import threading
from typing import Any

import orjson
import pytest
import structlog
import trio
import trio.testing

from tickerd.observe.watchdog import LoopLag, Pulse, Verdict, Watchdog


def looks(pulse: Pulse, *looked: tuple[int, float]) -> list[str]:
    return [pulse.look(count, elapsed).value for count, elapsed in looked]


def pulse() -> Pulse:
    return Pulse(look_s=0.5, stall_s=2.0, end_s=4.0)


def test_a_loop_that_beats_is_fed() -> None:
    assert looks(pulse(), (0, 0.5), (1, 0.5), (1, 0.5), (2, 0.5)) == ["beats", "beats", "waits", "beats"]


def test_a_stall_is_told_once_and_then_it_is_hopeless() -> None:
    verdicts = looks(pulse(), *[(0, 0.5)] * 9)
    assert verdicts == ["beats", "waits", "waits", "waits", "stalled", "waits", "waits", "waits", "hopeless"]


def test_after_a_stall_the_next_one_is_told_again() -> None:
    judge = pulse()
    assert looks(judge, *[(0, 0.5)] * 5)[-1] == "stalled"
    assert judge.stalled
    assert looks(judge, (1, 0.5)) == ["beats"]
    assert not judge.stalled
    assert looks(judge, *[(1, 0.5)] * 4)[-1] == "stalled"


def test_a_process_that_was_stopped_is_not_ended_for_it() -> None:
    assert looks(pulse(), (0, 0.5), (0, 30.0), (1, 0.5)) == ["beats", "waits", "beats"]
    assert looks(pulse(), (0, 0.5), (0, 3600.0), (0, 3600.0)) == ["beats", "waits", "stalled"]


async def test_the_figures_are_those_of_the_last_two_minutes() -> None:
    watchdog = Watchdog()
    assert watchdog.snapshot() == LoopLag(0.0, 0.0, 0.0, 0)
    watchdog.pulse(late_s=9.0)
    for _ in range(239):
        watchdog.pulse(late_s=0.001)
    assert watchdog.snapshot() == LoopLag(0.001, 9.0, 0.001, 0)
    watchdog.pulse(late_s=-0.1)
    assert watchdog.snapshot() == LoopLag(0.0, 0.001, 0.001, 0)


async def test_it_feeds_while_the_loop_beats_and_stops_with_it() -> None:
    fed = threading.Semaphore(0)

    async def three() -> None:
        for _ in range(3):
            await trio.to_thread.run_sync(fed.acquire)

    async with trio.open_nursery() as nursery:
        await nursery.start(Watchdog(feed=fed.release, interval_s=0.01).run)
        assert "tickerd-watchdog" in [thread.name for thread in threading.enumerate()]
        with trio.fail_after(5):
            await three()
        nursery.cancel_scope.cancel()
    assert "tickerd-watchdog" not in [thread.name for thread in threading.enumerate()]


async def test_a_feed_that_fails_does_not_end_the_watch() -> None:
    tried = threading.Semaphore(0)

    def feed() -> None:
        tried.release()
        raise OSError("no socket")

    with structlog.testing.capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            await nursery.start(Watchdog(feed=feed, interval_s=0.01).run)
            for _ in range(2):
                await trio.to_thread.run_sync(tried.acquire)
            nursery.cancel_scope.cancel()
    assert logs[0]["event"] == "watchdog cannot be fed"


CHILD = """
import os, sys, time, threading
import trio
from tickerd.observe.logging import configure
from tickerd.observe.unit import CURRENT_UNIT
from tickerd.observe.watchdog import Watchdog

handle = configure(format="json", secrets=["hunter2"])

async def blocks(until):
    password = "hunter2"
    until()

async def unit(until):
    CURRENT_UNIT.set("greedy")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(blocks, until)

def leave(code):
    handle.close()
    os._exit(code)

async def main(until, **options):
    watchdog = Watchdog(flush=handle.flush, leave=leave, interval_s=0.05, stall_s=0.3, **options)
    async with trio.open_nursery() as nursery:
        await nursery.start(watchdog.run)
        await trio.sleep(0.1)
        nursery.start_soon(unit, until)
        await trio.sleep(0.1)
        await trio.sleep(0.4)
        nursery.cancel_scope.cancel()
    print("stalls", watchdog.snapshot().stalls, file=sys.stderr)
"""


def in_child(code: str) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, log lines, standard error."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD + code], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, [orjson.loads(line) for line in done.stdout.splitlines()], done.stderr


@pytest.mark.full
def test_a_unit_that_blocks_the_loop_is_named_and_afterwards_the_loop_goes_on() -> None:
    code, lines, errors = in_child("trio.run(lambda: main(lambda: time.sleep(1), end_s=30))\nhandle.close()")
    assert (code, errors) == (0, "stalls 1\n")
    first, *rest = lines
    assert (first["event"], first["unit"], first["level"]) == ("event loop blocked", "greedy", "error")
    assert "blocks" in first["task"]
    assert first["where"]
    assert 0.3 <= first["seconds"] < 1.0
    stacks = [line for line in rest if line["event"] == "stack of a thread"]
    assert stacks[0]["thread"] == "MainThread"
    assert "in blocks" in stacks[0]["stack"]
    assert "password" not in stacks[0]["stack"]
    assert (rest[-1]["event"], rest[-1]["unit"]) == ("event loop goes on", "greedy")
    assert 0.9 <= rest[-1]["seconds"] < 3.0


@pytest.mark.full
def test_a_loop_that_never_comes_back_ends_the_process() -> None:
    code, lines, _ = in_child("trio.run(lambda: main(threading.Event().wait, end_s=0.8))")
    assert code == 70
    events = [line["event"] for line in lines if line["event"] != "stack of a thread"]
    assert events == ["event loop blocked", "event loop blocked for too long, ending the process"]
    assert [line["unit"] for line in lines] == ["greedy"] * len(lines)


HOLDS_THE_LOCK = """
import ctypes, ctypes.util
libc = ctypes.PyDLL(ctypes.util.find_library("c") or "libc.so.6")
trio.run(lambda: main(lambda: libc.usleep(900_000), end_s=30))
handle.close()
"""


@pytest.mark.full  # alone on the machine: it measures seconds
def test_code_that_held_the_interpreter_is_named_when_it_gives_it_back() -> None:
    code, lines, _ = in_child(HOLDS_THE_LOCK)
    assert code == 0
    # A busy machine may stand still once more by itself.
    assert {line["event"] for line in lines} >= {"process stood still"}
    assert "greedy" in [line["unit"] for line in lines if "unit" in line]


BUSY = """
print("ready", file=sys.stderr, flush=True)
async def busy():
    while True:
        await trio.sleep(0)
async def both():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(busy)
        await main(lambda: None, end_s=0.6)
        nursery.cancel_scope.cancel()
trio.run(both)
handle.close()
"""


@pytest.mark.full
def test_a_process_that_is_stopped_and_continued_goes_on() -> None:
    """With threads that run: who looks at their stacks from outside of the interpreter's lock crashes it."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD + BUSY], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with child:
        assert child.stderr is not None
        assert child.stderr.readline() == "ready\n"
        os.kill(child.pid, signal.SIGSTOP)
        # Longer than the limit after which a blocked loop ends the process.
        assert_stopped_for(child.pid, 1.2)
        os.kill(child.pid, signal.SIGCONT)
        output, _ = child.communicate(timeout=30)
    assert child.returncode == 0
    assert all(orjson.loads(line)["event"] == "process stood still" for line in output.splitlines())


def assert_stopped_for(pid: int, seconds: float) -> None:
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
    threading.Event().wait(seconds)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_verdicts_read_as_sentences(verdict: Verdict) -> None:
    assert verdict.value == verdict.name.lower()
