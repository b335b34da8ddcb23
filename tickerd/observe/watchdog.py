"""Notices when the event loop stands still: says whose code it is, and in the end ends the process."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any

import msgspec
import structlog
import trio

from tickerd.observe.stacks import Culprit, culprit, stacks

EXIT_STUCK = 70
"""EX_SOFTWARE of sysexits.h: systemd starts the daemon again."""
INTERVAL_S = 0.5
STALL_S = 2.0
END_S = 10.0
WINDOW = 240
"""Samples that the figures look back on: two minutes."""


class LoopLag(msgspec.Struct, frozen=True):
    """How late the event loop woke a task that had asked for a time, in seconds."""

    last_s: float
    max_s: float
    """Over the last two minutes, as the next."""
    p99_s: float
    stalls: int
    """How often it stood still for longer than the limit, since the start."""


class Verdict(Enum):
    """What a look at the pulse says."""

    BEATS = "beats"
    WAITS = "waits"
    STALLED = "stalled"
    """The limit has just been passed."""
    HOPELESS = "hopeless"


class Pulse:
    """Decides from the counter that the loop bumps whether it has stalled; time comes in as an argument.

    The time between two looks counts for no more than twice what was asked for: when the whole process stood
    still (SIGSTOP, a suspended machine), the watchdog did too, and the loop is not to blame.
    """

    def __init__(self, *, look_s: float, stall_s: float, end_s: float) -> None:
        self._most_s = 2 * look_s
        self._stall_s = stall_s
        self._end_s = end_s
        self._seen = -1
        self._still_s = 0.0
        self.stalled = False

    def look(self, count: int, elapsed_s: float) -> Verdict:
        """The counter now, and the time since the last look."""
        if count != self._seen:
            self._seen, self._still_s, self.stalled = count, 0.0, False
            return Verdict.BEATS
        self._still_s += min(elapsed_s, self._most_s)
        if self._still_s >= self._end_s:
            return Verdict.HOPELESS
        if self._still_s >= self._stall_s and not self.stalled:
            self.stalled = True
            return Verdict.STALLED
        return Verdict.WAITS


class Watchdog:
    """A thread that watches a task of the event loop, which bumps a counter twice a second.

    When the counter has not moved for ``stall_s``, the stacks of all threads are logged, with the unit whose
    task is running; when it moves again, one line says how long it took. After ``end_s`` the process is
    ended, since nothing inside it can be trusted to go on.

    Code that holds the interpreter's lock (a C extension) holds up this thread too. Then nothing is fed, and
    systemd ends the process with SIGABRT, at which faulthandler writes the stacks. It cannot be asked for them
    earlier: its timer looks at threads that run, as after SIGCONT, and then crashes the process that it watches.

    Args:
        feed: called by the thread each time the counter has moved, and only then: systemd's ``WATCHDOG=1``.
        flush: brings the log out before the end.
        leave: ends the process with the exit code that it is given; it need not return.
        interval_s: between two pulses.
        stall_s: after which a loop that stands still is reported.
        end_s: after which the process is ended.
        log: structlog's by default.
    """

    def __init__(
        self,
        *,
        feed: Callable[[], object] | None = None,
        flush: Callable[[], object] | None = None,
        leave: Callable[[int], object] = os._exit,
        interval_s: float = INTERVAL_S,
        stall_s: float = STALL_S,
        end_s: float = END_S,
        log: Any = None,
    ) -> None:
        self._feed = feed
        self._flush = flush
        self._leave = leave
        self._interval_s = interval_s
        self._stall_s = stall_s
        self._look_s = min(interval_s, stall_s / 4)
        self._pulse = Pulse(look_s=self._look_s, stall_s=stall_s, end_s=end_s)
        self._log = (log or structlog.get_logger()).bind()
        self._count = 0
        self._beat_at = 0.0
        self._lags: deque[float] = deque([0.0], maxlen=WINDOW)
        self._stalls = 0
        self._culprit = Culprit()
        self._loop_thread_id = 0
        self._stop = threading.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Give the pulse, and have it watched, until cancelled. Once only."""
        with self._watched():
            task_status.started()
            while True:
                asked = time.monotonic()
                await trio.sleep(self._interval_s)
                self.pulse(late_s=time.monotonic() - asked - self._interval_s)

    def pulse(self, *, late_s: float = 0.0) -> None:
        """The loop is alive, and was this late."""
        self._lags.append(max(0.0, late_s))
        self._beat_at = time.monotonic()
        self._count += 1

    def snapshot(self) -> LoopLag:
        """The figures now."""
        lags = sorted(self._lags.copy())
        return LoopLag(self._lags[-1], lags[-1], lags[(len(lags) - 1) * 99 // 100], self._stalls)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        self._loop_thread_id = threading.get_ident()
        self._beat_at = time.monotonic()
        thread = threading.Thread(target=self._watch, name="tickerd-watchdog", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(1.0)

    def _watch(self) -> None:
        looked = beat_at = time.monotonic()
        while not self._stop.wait(self._look_s):
            now = time.monotonic()
            was_stalled, count, since = self._pulse.stalled, self._count, beat_at
            beat_at = self._beat_at
            match self._pulse.look(count, now - looked):
                case Verdict.BEATS:
                    self._beats(seconds=beat_at - since if was_stalled else None)
                case Verdict.STALLED:
                    self._stalled(now - beat_at)
                case Verdict.HOPELESS:
                    self._hopeless(now - beat_at)
                    return
            if now - looked >= self._stall_s:
                self._stood_still(now - looked)
            looked = now

    def _beats(self, seconds: float | None) -> None:
        if seconds is not None:
            self._log.warning("event loop goes on", unit=self._culprit.unit, seconds=round(seconds, 1))
        if self._feed is not None:
            try:
                self._feed()
            except Exception:  # noqa: BLE001 - the watch goes on; systemd's own limit is the judge then
                self._log.exception("watchdog cannot be fed")

    def _stalled(self, seconds: float) -> None:
        self._stalls += 1
        self._tell(self._log.error, "event loop blocked", seconds)

    def _stood_still(self, seconds: float) -> None:
        """This thread could not run either: the process was stopped, or code held the interpreter's lock.

        In the latter case the loop is just where it gave the lock back.
        """
        self._stalls += 1
        found = culprit(self._loop_thread_id)
        fields = {"unit": found.unit, "task": found.task, "where": found.where, "seconds": round(seconds, 1)}
        self._log.warning("process stood still", **fields)

    def _hopeless(self, seconds: float) -> None:
        self._tell(self._log.critical, "event loop blocked for too long, ending the process", seconds)
        if self._flush is not None:
            self._flush()
        self._leave(EXIT_STUCK)

    def _tell(self, log: Callable[..., object], event: str, seconds: float) -> None:
        found = self._culprit = culprit(self._loop_thread_id)
        log(event, unit=found.unit, task=found.task, where=found.where, seconds=round(seconds, 1))
        for name, stack in stacks(self._loop_thread_id):
            log("stack of a thread", unit=found.unit, thread=name, stack=stack)
