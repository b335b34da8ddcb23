"""Looks at running threads from outside: their stacks, and the unit whose task holds up the event loop."""

import sys
import threading
import traceback
from dataclasses import dataclass
from types import FrameType

from trio.lowlevel import Task

from tickerd.observe.unit import CURRENT_UNIT

MOST_FRAMES = 60
MOST_THREADS = 16


@dataclass(frozen=True, slots=True)
class Culprit:
    """Who is running on the event loop, as far as can be told; empty where it cannot."""

    unit: str = ""
    task: str = ""
    where: str = ""
    """The innermost line of Python: ``file:line function``."""


def culprit(thread_id: int) -> Culprit:
    """What the thread of the event loop is doing now."""
    frame = sys._current_frames().get(thread_id)
    if frame is None:
        return Culprit()
    where = f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}"
    task = _running_task(frame)
    if task is None:
        return Culprit(where=where)
    return Culprit(task.context.get(CURRENT_UNIT, ""), task.name, where)


def stacks(loop_thread_id: int) -> list[tuple[str, str]]:
    """Name and stack of each thread, the event loop's first; file, line and code, no values."""
    frames = sys._current_frames()
    frames.pop(threading.get_ident(), None)
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    ids = sorted(frames, key=lambda thread_id: thread_id != loop_thread_id)
    return [
        (
            names.get(thread_id, str(thread_id)),
            "".join(traceback.format_stack(frames[thread_id], MOST_FRAMES)),
        )
        for thread_id in ids[:MOST_THREADS]
    ]


def _running_task(frame: FrameType) -> Task | None:
    """The task that trio's run loop is in the middle of.

    The loop is a generator that keeps the task in a local variable, and deletes it between tasks. trio has no
    public way to ask for it from another thread; where its inside looks different one day, nothing is found,
    and the stacks still tell.
    """
    outer: FrameType | None = frame
    while outer is not None:
        if outer.f_code.co_name == "unrolled_run" and outer.f_globals.get("__name__") == "trio._core._run":
            task = outer.f_locals.get("task")
            return task if isinstance(task, Task) else None
        outer = outer.f_back
    return None
