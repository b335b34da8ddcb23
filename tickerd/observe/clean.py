"""Makes any value fit to be logged: plain, short, without secrets or control characters."""

import datetime as dt
import enum
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import PurePath
from typing import Any
from uuid import UUID

from tickerd.observe.redact import HIDDEN, SECRET_NAMES, Redactor

LONGEST = 8 * 1024
"""Characters of one value."""
LONGEST_TRACE = 16 * 1024
"""Characters of a traceback; cut in its middle, since both the first and the last lines tell most."""
MOST_ITEMS = 64
DEEPEST = 5
TRACES = frozenset({"exception", "stack"})
"""Fields of several lines, which we wrote ourselves."""

_PRECUT = 8 * LONGEST
# C0 and C1 controls, separators that some viewers take for a new line, marks that turn the direction of text,
# and lone surrogates, which no encoder takes
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_UNSAFE_IN_TRACE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)

_SPOKEN = (int, float, PurePath, dt.datetime, dt.date, dt.time, dt.timedelta, UUID)
"""Types whose ``str`` says all that there is to say."""

Plain = None | bool | int | float | str | list[Any] | dict[str, Any]


def escape(text: str) -> str:
    """Text on one line that moves no cursor: controls become ``\\n``, ``\\x1b``, ``\\u202e``."""
    return _UNSAFE.sub(_escaped, text)


def shorten(text: str, longest: int = LONGEST) -> str:
    """The beginning of a long text, and how much is missing."""
    if len(text) <= longest:
        return text
    return f"{text[:longest]}… [{len(text) - longest} more characters]"


def shorten_middle(text: str, longest: int = LONGEST_TRACE) -> str:
    """A quarter from the beginning and the rest from the end of a long text."""
    if len(text) <= longest:
        return text
    head, tail = longest // 4, longest - longest // 4
    return f"{text[:head]}\n… [{len(text) - longest} characters left out] …\n{text[-tail:]}"


class Cleaner:
    """Turns the values of a log line into plain ones; it never raises, whatever they are."""

    def __init__(self, redactor: Redactor) -> None:
        self._redact = redactor

    def text(self, text: str) -> str:
        """Redacted, on one line, at most `LONGEST` characters and a note."""
        if len(text) > _PRECUT:
            # a secret that the cut went through would not be recognised: leave its possible length out too
            text = self._redact(text[:_PRECUT])[: -self._redact.longest or None] + "…"
        else:
            text = self._redact(text)
        return escape(shorten(text))

    def trace(self, text: str) -> str:
        """Redacted, lines kept, at most `LONGEST_TRACE` characters and a note."""
        return _UNSAFE_IN_TRACE.sub(_escaped, shorten_middle(self._redact(text)))

    def field(self, name: str, value: object) -> Plain:
        """The value of a field, hidden if the name says that it is a secret."""
        if value is None or isinstance(value, bool):
            return value
        if name.lower() in SECRET_NAMES:
            return HIDDEN
        if name in TRACES and isinstance(value, str):
            return self.trace(value)
        return self.value(value)

    def value(self, value: object, depth: int = 0) -> Plain:
        """Any object as plain data; what is not plain becomes its ``repr``."""
        if isinstance(value, str):
            return self.text(str.__str__(value))
        if value is None or isinstance(value, bool):
            return value
        kind = type(value)
        if kind is float or (kind is int and -(2**63) <= value < 2**64):  # type: ignore[operator]
            return value  # type: ignore[return-value]
        if depth < DEEPEST:
            if isinstance(value, Mapping):
                return self._mapping(value, depth)
            if isinstance(value, list | tuple | AbstractSet):
                return self._items(value, depth)
        return self.text(_described(value))

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> Plain:
        plain: dict[str, Any] = {}
        try:
            for key, item in value.items():
                if len(plain) >= MOST_ITEMS:
                    plain["…"] = f"{len(value) - MOST_ITEMS} more"
                    break
                name = key if isinstance(key, str) else _described(key)
                plain[self.text(name)] = (
                    HIDDEN if name.lower() in SECRET_NAMES else self.value(item, depth + 1)
                )
        except Exception as error:  # noqa: BLE001 - somebody else's mapping, and it may change under us
            plain["…"] = f"unreadable: {type(error).__name__}"
        return plain

    def _items(self, value: "list[Any] | tuple[Any, ...] | AbstractSet[Any]", depth: int) -> Plain:
        plain: list[Any] = []
        try:
            for item in value:
                if len(plain) >= MOST_ITEMS:
                    plain.append(f"… {len(value) - MOST_ITEMS} more")
                    break
                plain.append(self.value(item, depth + 1))
        except Exception as error:  # noqa: BLE001
            plain.append(f"… unreadable: {type(error).__name__}")
        return plain


def _escaped(match: re.Match[str]) -> str:
    return ascii(match[0])[1:-1]


def _described(value: object) -> str:
    if isinstance(value, bytes | bytearray | memoryview) and len(value) > LONGEST:
        return f"{bytes(value[:LONGEST])!r}… [{len(value)} bytes]"
    try:
        if isinstance(value, _SPOKEN) and not isinstance(value, enum.Enum):
            return str(value)
        return repr(value)
    except Exception as error:  # noqa: BLE001 - a bad __repr__ must not take the line with it
        return f"<{type(value).__name__}: unprintable, {type(error).__name__}>"
