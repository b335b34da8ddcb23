"""The one configurer of logging: what is logged, where it goes, how it looks, and what never shows."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self, TextIO, get_args

import structlog

from tickerd.observe.clean import Cleaner
from tickerd.observe.exceptions import add_exception
from tickerd.observe.levels import LevelSwitch, level_number
from tickerd.observe.lines import ConsoleLines, Event, Render, render_journal, render_json
from tickerd.observe.logfile import KEEP_S, ROTATE_SIZE, Compress, LogFile
from tickerd.observe.redact import Redactor
from tickerd.observe.repeats import Repeats
from tickerd.observe.standard import Takeover
from tickerd.observe.unit import CURRENT_UNIT
from tickerd.observe.writer import FdOutput, LineWriter, Output, output_of

Format = Literal["auto", "console", "json"]

CLOSE_S = 2.0


def configure(
    *,
    level: str = "info",
    format: Format = "auto",  # noqa: A002 - the name of the option in the YAML
    file: Path | None = None,
    rotate_size: int = ROTATE_SIZE,
    keep_s: float = KEEP_S,
    compress: Compress = "gzip",
    stream: TextIO | BinaryIO | None = None,
    status_line: bool = False,
    secrets: Iterable[str] = (),
    repeats: Repeats | None = None,
    environ: Mapping[str, str] = os.environ,
) -> "LoggingHandle":
    """Configure logging for the whole process; close the handle at its end.

    Lines go to the stream, and as JSON to the file. A line is written by a thread: a stuck terminal, pipe or
    disk costs lines, which are counted, and never time. Raises `OSError` if the file cannot be opened and
    `ValueError` for an unknown level, format or compression; then nothing was changed.

    Bind loggers in objects (``log.bind(unit=name)``), not when a module is imported: a bound logger belongs
    to the configuration it was bound under.

    Args:
        level: ``debug``, ``info``, ``warning``, ``error`` or ``critical``. Other libraries are heard from
            ``warning`` on, at ``debug`` from ``info`` on.
        format: of the stream: ``console`` for people, ``json`` for programs, ``auto`` by what it is.
        file: a log file of our own beside the stream; see `LogFile` for its options.
        stream: standard output by default. It stays open.
        status_line: a status line may stand on the stream's last line; a log line replaces it.
        secrets: values that must never show; more can be added to the handle's ``redactor``.
        repeats: how many lines with the same event and unit are let through.
        environ: ``JOURNAL_STREAM``, ``NO_COLOR`` and ``TERM`` are looked at.
    """
    switch = LevelSwitch(level)
    if format not in get_args(Format):
        raise ValueError(f"unknown log format {format!r}, choose one of {', '.join(get_args(Format))}")
    log_file = LogFile(file, rotate_size=rotate_size, keep_s=keep_s, compress=compress) if file else None
    redactor = Redactor()
    for secret in secrets:
        redactor.add(secret)
    output, render = _look(stream or sys.stdout, format, environ, status_line=status_line)
    pipeline = Pipeline(Cleaner(redactor), repeats or Repeats())
    pipeline.add("stream", output, render, tick=pipeline.tell_repeats)
    if log_file is not None:
        pipeline.add(str(file), log_file, render_json)
    return LoggingHandle(pipeline, switch, redactor)


class LoggingHandle:
    """Logging as it was configured. Made by `configure`; use it as a context manager or call `close`."""

    def __init__(self, pipeline: "Pipeline", switch: LevelSwitch, redactor: Redactor) -> None:
        self._pipeline = pipeline
        self._switch = switch
        self.redactor = redactor
        self._takeover = Takeover(pipeline.foreign, redact=redactor, flush=self.flush)
        self._takeover.set_level(level_number(switch.level))
        structlog.configure(
            processors=[structlog.processors.StackInfoRenderer(), pipeline.process],
            wrapper_class=switch.logger_class,
            logger_factory=lambda *_: pipeline,
            # A cached module logger would outlive this configuration; what is fast is a bound logger.
            cache_logger_on_first_use=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def level(self) -> str:
        """The level now."""
        return self._switch.level

    def set_level(self, level: str) -> None:
        """Change the level of every logger, also of those bound before; `ValueError` if there is no such."""
        self._switch.switch(level)
        self._takeover.set_level(level_number(level))

    @property
    def written(self) -> int:
        """Lines that went through, over all outputs."""
        return sum(writer.written for writer in self._pipeline.writers())

    @property
    def dropped(self) -> int:
        """Lines that were lost, over all outputs."""
        return sum(writer.dropped for writer in self._pipeline.writers())

    def flush(self, seconds: float = CLOSE_S) -> bool:
        """Wait until everything logged so far is out; False if that took longer."""
        return self._each(LineWriter.flush, seconds)

    def close(self, seconds: float = CLOSE_S) -> bool:
        """Write what is queued and give logging back; False if an output was stuck and lines are missing."""
        self._pipeline.tell_repeats(everything=True)
        self._takeover.release()
        structlog.reset_defaults()
        return self._each(LineWriter.close, seconds)

    def _each(self, do: Callable[[LineWriter, float], bool], seconds: float) -> bool:
        ends = time.monotonic() + seconds
        done = [do(writer, max(0.0, ends - time.monotonic())) for writer in self._pipeline.writers()]
        return all(done)


class Pipeline:
    """From a log call to the outputs: name the unit, count repeats, show exceptions, clean, render, queue.

    It is also what structlog takes for the logger at the end, so that nothing is rendered twice.
    """

    def __init__(
        self, cleaner: Cleaner, repeats: Repeats, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ):
        self.cleaner = cleaner
        self._repeats = repeats
        self._now = now
        self._outputs: list[tuple[Render, LineWriter]] = []

    def add(self, name: str, output: Output, render: Render, tick: Callable[[], None] | None = None) -> None:
        """Write to this output too, in a thread of its own."""

        def tell(count: int) -> bytes:
            return render(self._finished({"level": "warning", "event": "log lines dropped", "count": count}))

        def failed(error: Exception) -> None:
            fields = {"output": name, "error": f"{type(error).__name__}: {error}"}
            self.foreign("error", "log lines cannot be written", name, fields)

        writer = LineWriter(f"tickerd-log-{len(self._outputs)}", output, tell=tell, tick=tick, failed=failed)
        self._outputs.append((render, writer))

    def writers(self) -> list[LineWriter]:
        """The stream's, and the file's if there is one."""
        return [writer for _, writer in self._outputs]

    def process(self, _logger: Any, method: str, event: Any) -> Any:
        """structlog processor, the only one: writes the event, or counts it as a repeat."""
        level = _LEVEL_OF.get(method, method)
        unit = event.get("unit") or CURRENT_UNIT.get()
        if self._repeats.admit(str(event.get("event")), str(unit), level):
            self._emit(level, unit, event)
        raise structlog.DropEvent

    def foreign(self, level: str, event: str, key: str, fields: dict[str, Any]) -> None:
        """An event that did not come through structlog; ``key`` is what its repeats have in common."""
        unit = CURRENT_UNIT.get()
        if self._repeats.admit(key, unit, level):
            self._emit(level, unit, {"event": event, **fields})

    def tell_repeats(self, *, everything: bool = False) -> None:
        """Write a line for each event whose repeats were suppressed in a window that has ended."""
        for some in self._repeats.due(everything=everything):
            fields = {"event": "repeats suppressed", "like": some.event, "count": some.count}
            self._emit(some.level, some.unit, {**fields, "window_s": some.window_s})

    def _emit(self, level: str, unit: str, event: dict[str, Any]) -> None:
        try:
            line = self._finished({**event, "level": level, "unit": unit})
            rendered = [(writer, render(line)) for render, writer in self._outputs]
        except Exception as error:  # noqa: BLE001 - a log call must never fail where it stands
            line = self._finished({"level": "error", "event": "log line lost", "error": type(error).__name__})
            rendered = [(writer, render(line)) for render, writer in self._outputs]
        for writer, data in rendered:
            writer.put(data)

    def _finished(self, event: dict[str, Any]) -> Event:
        """The event in the order in which it is read, plain and clean."""
        level, unit = event.pop("level"), event.pop("unit", None)
        finished: dict[str, Any] = {
            "timestamp": self._now().isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "level": level,
            "event": self.cleaner.field("event", event.pop("event", None)),
        }
        if unit:
            finished["unit"] = self.cleaner.field("unit", unit)
        for name, value in add_exception(None, "", event).items():
            finished.setdefault(self.cleaner.text(str(name)), self.cleaner.field(name, value))
        return finished


_LEVEL_OF = {"warn": "warning", "exception": "error", "fatal": "critical", "msg": "info"}


def _look(
    stream: TextIO | BinaryIO,
    format: Format,  # noqa: A002
    environ: Mapping[str, str],
    *,
    status_line: bool,
) -> tuple[Output, Render]:
    """How to write to the stream, and what."""
    output = output_of(stream)
    fd = output.fd if isinstance(output, FdOutput) else None
    terminal = fd is not None and os.isatty(fd)
    if format == "console" or (format == "auto" and terminal):
        colors = terminal and "NO_COLOR" not in environ and environ.get("TERM") != "dumb"
        return output, ConsoleLines(colors=colors, clear_line=status_line and terminal)
    journal = fd is not None and is_journal(fd, environ.get("JOURNAL_STREAM", ""))
    return output, render_journal if journal else render_json


def is_journal(fd: int, journal_stream: str) -> bool:
    """Whether systemd's journal reads this descriptor: ``JOURNAL_STREAM`` is ``device:inode``."""
    status = os.fstat(fd)
    return journal_stream == f"{status.st_dev}:{status.st_ino}"
