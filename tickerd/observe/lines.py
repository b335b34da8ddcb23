"""How a log line looks: JSON for programs, columns for people; both within a bound."""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import orjson
from structlog.dev import ConsoleRenderer, plain_traceback

from tickerd.observe.clean import shorten, shorten_middle
from tickerd.observe.levels import PRIORITIES

LONGEST_LINE = 48 * 1024 - 64
"""Bytes, end and prefix included: systemd's journal cuts a line at 48 KiB."""

Event = Mapping[str, Any]
Render = Callable[[Event], bytes]

_FIRST = ("timestamp", "level", "event", "unit")
_CLEAR_LINE = b"\r\x1b[K"


def render_json(event: Event) -> bytes:
    """One JSON object and a newline."""
    return _fitted(event, _dump)


def render_journal(event: Event) -> bytes:
    """The same behind the prefix by which systemd knows a line's priority."""
    return b"<%d>" % PRIORITIES.get(event.get("level", ""), 6) + render_json(event)


class ConsoleLines:
    """Columns, coloured or not, the time of day in the host's zone, tracebacks indented.

    Indented, so that text inside an exception cannot pass for a line of its own.

    Args:
        colors: use them.
        clear_line: remove a status line that stands on the terminal before writing over it.
    """

    def __init__(self, *, colors: bool, clear_line: bool = False) -> None:
        self._clear = _CLEAR_LINE if clear_line else b""
        self._renderer = ConsoleRenderer(colors=colors, exception_formatter=plain_traceback, sort_keys=False)

    def __call__(self, event: Event) -> bytes:
        """The line, and the lines of its traceback."""
        return self._clear + _fitted(event, self._line)

    def _line(self, event: Event) -> bytes:
        shown = dict(event)
        traces = [shown.pop(name, None) for name in ("stack", "exception")]
        shown["timestamp"] = _time_of_day(shown.get("timestamp", ""))
        text = str(self._renderer(logging.getLogger(), "", shown)).rstrip()
        for trace in filter(None, traces):
            text += "".join(f"\n    {line}" for line in str(trace).rstrip().splitlines())
        return f"{text}\n".encode("utf-8", "backslashreplace")


def _dump(event: Event) -> bytes:
    return orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)


def _time_of_day(timestamp: str) -> str:
    try:
        return datetime.fromisoformat(timestamp).astimezone().strftime("%H:%M:%S.%f")[:-3]
    except ValueError:
        return timestamp


def _fitted(event: Event, render: Render) -> bytes:
    """The line, its values shortened and fields left out until it fits into `LONGEST_LINE`."""
    line = render(event)
    for longest in (4096, 512):
        if len(line) <= LONGEST_LINE:
            return line
        line = render(_shortened(event, longest))
    if len(line) <= LONGEST_LINE:
        return line
    return render(_shortened({name: event[name] for name in _FIRST if name in event}, 512))


def _shortened(event: Event, longest: int) -> Event:
    short: dict[str, Any] = {}
    for name, value in event.items():
        if isinstance(value, str):
            # the end of a traceback names the error
            cut = shorten_middle if name in ("stack", "exception") else shorten
            short[shorten(name, 64)] = cut(value, longest)
        elif isinstance(value, list | dict):
            short[shorten(name, 64)] = shorten(_dump({"": value}).decode()[4:-2], longest)
        else:
            short[shorten(name, 64)] = value
    return short | {"shortened": True}
