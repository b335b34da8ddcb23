"""Exceptions as text for the log: tracebacks without the values of variables, groups as a tree."""

import sys
import traceback
from collections.abc import Iterator
from typing import Any

MOST_LEAVES = 8


def as_exception(exc_info: object) -> BaseException | None:
    """What ``exc_info=`` means: an exception, a triple, or something true for the current one."""
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple) and len(exc_info) == 3:
        return exc_info[1] if isinstance(exc_info[1], BaseException) else None
    return sys.exc_info()[1] if exc_info else None


def brief(error: BaseException) -> str:
    """One line: the type and text of the exception, or of those that a group holds."""
    leaves = [_named(leaf) for _, leaf in zip(range(MOST_LEAVES + 1), _leaves(error), strict=False)]
    more = "; …" if len(leaves) > MOST_LEAVES else ""
    return "; ".join(leaves[:MOST_LEAVES]) + more


def full(error: BaseException) -> str:
    """The traceback with causes and groups."""
    try:
        return "".join(traceback.TracebackException.from_exception(error, compact=True).format())
    except Exception as failure:  # noqa: BLE001 - an exception that cannot be shown must not hide that it was raised
        return f"{_named(error)}\n(its traceback cannot be shown: {type(failure).__name__})"


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error


def _named(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001
        text = "<unprintable>"
    return f"{type(error).__qualname__}: {text}" if text else type(error).__qualname__


def add_exception(_logger: Any, _method: str, event: Any) -> Any:
    """structlog processor: ``exc_info`` becomes ``error`` (one line) and ``exception`` (the traceback)."""
    error = as_exception(event.pop("exc_info", None))
    if error is not None:
        event.setdefault("error", brief(error))
        event["exception"] = full(error)
    return event
