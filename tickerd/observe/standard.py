"""Leads what others log (the standard library's logging, warnings, uncaught exceptions) into our lines."""

import logging
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from tickerd.observe.exceptions import full
from tickerd.observe.levels import LEVELS

Emit = Callable[[str, str, str, dict[str, Any]], None]
"""Level, event, what makes it a repeat, fields."""


def foreign_level(level: int) -> int:
    """The least level at which other libraries are heard: a warning, or at debug level an information."""
    return logging.INFO if level <= logging.DEBUG else max(level, logging.WARNING)


class StandardHandler(logging.Handler):
    """Hands the records of the standard library's loggers on as our events."""

    def __init__(self, emit: Emit) -> None:
        super().__init__()
        self._emit = emit

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        fields: dict[str, Any] = {"logger": record.name}
        try:
            event = record.getMessage()
        except Exception:  # noqa: BLE001 - arguments that do not fit the format
            event, fields["args"] = str(record.msg), record.args
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        if record.stack_info:
            fields["stack"] = record.stack_info
        self._emit(_name(record.levelno), event, f"{record.name}: {record.msg}", fields)


def _name(number: int) -> str:
    fitting = [name for name, least in LEVELS.items() if least <= number]
    return fitting[-1] if fitting else "debug"


class Takeover:
    """Our handler on the root logger, warnings captured, and the hooks for uncaught exceptions.

    Args:
        emit: takes each event.
        redact: for the traceback of a crash after logging was closed.
        flush: brings out what was logged before the process ends.
    """

    def __init__(self, emit: Emit, *, redact: Callable[[str], str], flush: Callable[[], object]) -> None:
        self._emit = emit
        self._redact = redact
        self._flush = flush
        self._released = False
        root = logging.getLogger()
        self._before = (root.handlers[:], root.level, threading.excepthook, sys.unraisablehook)
        root.handlers[:] = [StandardHandler(emit)]
        logging.captureWarnings(capture=True)
        sys.excepthook = self._crashed
        threading.excepthook = self._thread_crashed
        sys.unraisablehook = self._unraisable

    def set_level(self, level: int) -> None:
        """Our own level; see `foreign_level`."""
        logging.getLogger().setLevel(foreign_level(level))

    def release(self) -> None:
        """Put everything back, but for the hook of the main thread: a late crash is to be redacted too."""
        if self._released:
            return
        self._released = True
        logging.captureWarnings(capture=False)
        root = logging.getLogger()
        root.handlers[:], level, threading.excepthook, sys.unraisablehook = self._before
        root.setLevel(level)

    def _crashed(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            return
        if self._released:
            sys.stderr.write(self._redact(full(error)))
            return
        self._emit("critical", "crashed", "crashed", {"exc_info": error.with_traceback(trace)})
        self._flush()

    def _thread_crashed(self, args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
            name = args.thread.name if args.thread else ""
            self._emit(
                "error", "thread crashed", "thread crashed", {"thread": name, "exc_info": args.exc_value}
            )

    def _unraisable(self, args: Any) -> None:
        fields = {"object": args.object, "exc_info": args.exc_value}
        self._emit("error", args.err_msg or "exception in a destructor", "unraisable", fields)
