"""How a plugin declares its options: a pydantic model whose fields say what they mean and how a reload applies them."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, SecretStr, WithJsonSchema
from pydantic_core import PydanticCustomError

ReloadClass = Literal["live", "unit", "daemon"]
"""``live``: applied in place. ``unit``: the unit is restarted. ``daemon``: needs a restart of the daemon."""


class Options(BaseModel):
    """Base of every plugin's option model: unknown keys are errors, values are frozen and compare by value."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=True)


def option(default: Any = ..., *, doc: str, reload: ReloadClass = "unit", **constraints: Any) -> Any:
    """One option. ``doc`` is a sentence for the reference; ``constraints`` are pydantic's (``ge``, ``pattern``…)."""
    return Field(default, description=doc, json_schema_extra={"reload": reload}, **constraints)


@dataclass(frozen=True)
class NotSecret:
    """Says of an option's type that its values may be shown, although the option's name sounds like a secret.

    Example:
        >>> from typing import Annotated
        >>> class Settings(Options):
        ...     keys: Annotated[int, NotSecret()] = option(100, doc="How many are remembered.")
    """


_NUMBER = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[A-Za-z%]*)", re.ASCII)
_DURATIONS = {
    "ms": 0.001,
    "s": 1.0, "second": 1.0, "seconds": 1.0,
    "m": 60.0, "min": 60.0, "minute": 60.0, "minutes": 60.0,
    "h": 3600.0, "hour": 3600.0, "hours": 3600.0,
    "d": 86400.0, "day": 86400.0, "days": 86400.0,
}  # fmt: skip
_SIZES = {
    "B": 1,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
}


def _quantity(value: Any, units: dict[str, Any], what: str, example: str, hint: str) -> float:
    """The one parser of a number with a unit; the message names the units and never the input."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise PydanticCustomError("quantity", f"expected {what} such as {example!r}")
    if isinstance(value, int | float):
        if value == 0:
            return 0.0
        raise PydanticCustomError("quantity", f"{what} needs a unit: write it as {example!r}")
    match = _NUMBER.fullmatch(value.strip())
    if match is None:
        raise PydanticCustomError("quantity", f"expected {what} such as {example!r}")
    factor = units.get(match["unit"])
    if factor is None:
        raise PydanticCustomError("quantity", f"unknown unit; {hint}")
    return float(match["number"]) * float(factor)


def _duration(value: Any) -> float:
    return _quantity(value, _DURATIONS, "a duration", "30s", "a duration ends in ms, s, m, h or days")


def _size(value: Any) -> int:
    return int(_quantity(value, _SIZES, "a size", "16MiB", "a size ends in KiB, MiB, GiB, KB, MB or GB"))


def _written_duration(seconds: float) -> str:
    """As YAML writes it: exact, in the largest unit that leaves a whole number, never with an exponent."""
    for factor, unit in ((86400, " days"), (3600, "h"), (60, "m"), (1, "s")):
        if seconds >= factor and seconds % factor == 0:
            return f"{int(seconds // factor)}{unit}"
    if (thousandths := round(seconds * 1000)) * _DURATIONS["ms"] == seconds:
        return f"{thousandths}ms" if thousandths else "0s"
    return f"{format(Decimal(str(seconds)).normalize(), 'f')}s"


def _written_size(count: int) -> str:
    """As YAML writes it, in the largest unit that leaves a whole number."""
    for unit in ("TiB", "GiB", "MiB", "KiB", "TB", "GB", "MB", "KB"):
        if count >= _SIZES[unit] and count % _SIZES[unit] == 0:
            return f"{count // _SIZES[unit]}{unit}"
    return f"{count}B"


Duration = Annotated[
    float,
    BeforeValidator(_duration),
    WithJsonSchema(
        {
            "type": ["string", "integer"],
            "pattern": r"^\s*\d+(\.\d+)?\s*(ms|s|m|min|h|d|seconds?|minutes?|hours?|days?)\s*$",
            "examples": ["30s"],
        }
    ),
    PlainSerializer(_written_duration, return_type=str, when_used="json"),
]
"""Seconds as a float; written ``200ms``, ``30s``, ``5m``, ``2h`` or ``7 days``; 0 needs no unit."""

Size = Annotated[
    int,
    BeforeValidator(_size),
    WithJsonSchema(
        {
            "type": ["string", "integer"],
            "pattern": r"^\s*\d+(\.\d+)?\s*([KMGT]iB|[KMGT]B|B)\s*$",
            "examples": ["16MiB"],
        }
    ),
    PlainSerializer(_written_size, return_type=str, when_used="json"),
]
"""Bytes as an integer; written ``64KiB``, ``16MiB``, ``1GiB`` or ``500MB``; 0 needs no unit."""

Secret = SecretStr
"""A value that never prints: not in logs, errors, tracebacks, metrics or dumps. Read it with ``get_secret_value()``."""
