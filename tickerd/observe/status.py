"""The feed in one line while it runs, and in a few at its end."""

import shutil
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, TextIO

import msgspec

from tickerd.observe.clean import escape
from tickerd.observe.writer import LineWriter, output_of

LINE_EVERY_S = 5.0
QUEUE_BYTES = 4096
_CLEAR_TO_END = "\x1b[K"


class SinkFigures(NamedTuple):
    """What one sink has done so far."""

    state: str
    written: int
    """Ticks and records."""
    dropped: int
    queued_bytes: int


class FeedSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What the status shows, at one moment."""

    uptime_s: float
    ticks_total: int
    ticks_per_s: float
    """Of the last second or so."""
    instruments_ticking: int
    """Instruments that have ticked."""
    instruments_wanted: int
    """Instruments that anybody wants."""
    last_tick_age_s: float | None
    """None before the first tick."""
    sources: Mapping[str, str]
    """State by name."""
    sinks: Mapping[str, SinkFigures]
    gaps: int


def status_line(now: FeedSnapshot, width: int | None = None) -> str:
    """The feed in one line, cut to a terminal's width where one is given."""
    parts = [
        clock_time(now.uptime_s),
        f"{now.ticks_per_s:,.0f} ticks/s",
        f"{now.instruments_ticking:,}/{now.instruments_wanted:,} instruments",
        f"last tick {_age(now.last_tick_age_s)}",
        *(f"{name} {state}" for name, state in now.sources.items()),
        *(_sink(name, sink) for name, sink in now.sinks.items()),
    ]
    if now.gaps:
        parts.append(_count(now.gaps, "gap"))
    line = escape(" · ".join(parts))
    if width is not None and len(line) > width:
        return line[: max(0, width - 1)] + "…"[:width]
    return line


def summary(end: FeedSnapshot) -> str:
    """What was received, written and dropped, in a few lines without a newline at the end."""
    average = end.ticks_total / end.uptime_s if end.uptime_s > 0 else 0.0
    instruments = _count(end.instruments_ticking, "instrument")
    received = f"{_count(end.ticks_total, 'tick')} ({average:,.0f}/s) of {instruments}"
    lines = [f"ran {clock_time(end.uptime_s)}: received {received}, {_count(end.gaps, 'gap')}"]
    pad = max((len(name) for name in end.sinks), default=0)
    for name, sink in end.sinks.items():
        left = f", {size(sink.queued_bytes)} not written" if sink.queued_bytes else ""
        lines.append(
            f"  {name:<{pad}}  wrote {sink.written:,}, dropped {sink.dropped:,}{left} ({sink.state})"
        )
    return "\n".join(escape(line) for line in lines)


class StatusLine:
    """Shows the status on a stream: redrawn in place on a terminal, otherwise a line each five seconds.

    The writing is done by a thread, so that a terminal that has been stopped holds nothing up. `end` it.

    Args:
        stream: such as ``sys.stderr``.
        width: columns of the terminal; asked each time.
        now: a monotonic clock in seconds.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        width: Callable[[], int] = lambda: shutil.get_terminal_size().columns,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._terminal = stream.isatty()
        self._width = width
        self._now = now
        self._next = now()
        # Old figures are worth nothing: a few lines may wait.
        self._writer = LineWriter(
            "tickerd-status", output_of(stream), tell=lambda _: b"", most_bytes=QUEUE_BYTES
        )

    def show(self, snapshot: FeedSnapshot) -> None:
        """Show these figures, now on a terminal, or when it is time for a line; never waits."""
        if self._terminal:
            # one column less: some terminals wrap when the last one is filled
            self._put(f"\r{status_line(snapshot, self._width() - 1)}{_CLEAR_TO_END}")
        elif self._now() >= self._next:
            self._next = self._now() + LINE_EVERY_S
            self._put(status_line(snapshot) + "\n")

    def end(self, seconds: float = 1.0) -> None:
        """Remove the line from the terminal and stop."""
        if self._terminal:
            self._put(f"\r{_CLEAR_TO_END}")
        self._writer.close(seconds)

    def _put(self, text: str) -> None:
        self._writer.put(text.encode("utf-8", "backslashreplace"))


def clock_time(seconds: float) -> str:
    """``01:02:03``; hours go on after 99."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02}:{minute:02}:{second:02}"


def size(count: int) -> str:
    """Bytes in the unit that reads best: ``912 B``, ``3.1 KiB``, ``5.0 MiB``."""
    if count < 1024:
        return f"{count} B"
    amount, units = count / 1024, ["KiB", "MiB", "GiB", "TiB"]
    while amount >= 1024 and len(units) > 1:
        amount, units = amount / 1024, units[1:]
    return f"{amount:.1f} {units[0]}"


def _sink(name: str, sink: SinkFigures) -> str:
    text = f"{name} {sink.written:,}"
    if sink.dropped:
        text += f" dropped {sink.dropped:,}"
    if sink.queued_bytes:
        text += f" queued {size(sink.queued_bytes)}"
    return text if sink.state == "running" else f"{text} ({sink.state})"


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    return f"{seconds:.1f}s ago" if seconds < 60 else f"{clock_time(seconds)} ago"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
