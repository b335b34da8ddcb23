"""What a rate limiter is: the contract of plugins that say how often somebody may do something."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from tickerd.plugin.options import Options

_PERIODS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_LONGEST = 7
_TEXT = re.compile(rf"\s*([1-9][0-9]{{0,{_LONGEST - 1}}})\s*/\s*({'|'.join(_PERIODS)})\s*", re.ASCII)
_NAMES = {seconds: name for name, seconds in _PERIODS.items()}


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in such a time; an option type, written ``10/minute``.

    Example:
        >>> Rate.parse("10/minute")
        Rate(count=10, period_s=60)
        >>> str(Rate(5, 3600))
        '5/hour'
    """

    count: int
    period_s: int

    @property
    def interval_s(self) -> float:
        """Seconds between two, where they are spread evenly."""
        return self.period_s / self.count

    @classmethod
    def parse(cls, text: str) -> Self:
        """From its text.

        Raises:
            ValueError: it is no rate.
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError("expected a rate such as '10/minute', per second, minute, hour or day")
        return cls(int(match[1]), _PERIODS[match[2]])

    def __str__(self) -> str:
        return f"{self.count}/{_NAMES.get(self.period_s, f'{self.period_s} s')}"

    @classmethod
    def _validated(cls, value: Any) -> Self:
        if isinstance(value, cls):
            return value
        try:
            return cls.parse(value if isinstance(value, str) else "")
        except ValueError as error:
            raise PydanticCustomError("rate", str(error)) from None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validated, serialization=core_schema.to_string_ser_schema(when_used="json")
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        pattern = rf"^\s*[1-9]\d{{0,{_LONGEST - 1}}}\s*/\s*({'|'.join(_PERIODS)})\s*$"
        return {"type": "string", "pattern": pattern, "examples": ["10/minute"]}


class RouteClass(NamedTuple):
    """Calls that share a limit."""

    rate: Rate
    """The default."""
    doc: str


RATE_CLASSES: Mapping[str, RouteClass] = {
    "addresses": RouteClass(
        Rate(300, 60),
        "Wrong credentials of one address: each costs 10.",
    ),
    "administration": RouteClass(Rate(5, 3600), "Changes of keys, and reloads."),
    "breakers": RouteClass(Rate(5, 60), "Resets of breakers."),
    "orders": RouteClass(Rate(10, 60), "Batches of orders."),
    "reads": RouteClass(Rate(1200, 60), "Everything that changes nothing."),
    "subscriptions": RouteClass(Rate(30, 60), "Changes of subscriptions."),
    "tickets": RouteClass(Rate(60, 60), "Tickets for streams."),
    "units": RouteClass(Rate(30, 60), "Pausing, resuming and flushing sinks, redriving, logging in."),
    "webhooks": RouteClass(Rate(20, 60), "Changes of webhooks."),
}
"""What is limited: the keys under ``rate_limits``, each with its default. All but ``addresses`` count one caller."""


class Decision(NamedTuple):
    """What a limiter says to one call."""

    allowed: bool
    remaining: int
    """How much more would be allowed at this moment."""
    reset_s: float
    """Seconds until everything is allowed again, if nothing is asked for until then."""
    retry_after_s: float
    """Seconds after which the same call is allowed, if nobody else comes before; 0 when it was."""


class RateLimiter(ABC):
    """Counts calls by key. One class per plugin, from ``tickerd_rate_limiters``; one instance per route class.

    It knows only what it is told: no clock, no I/O, no waiting. It keeps a bounded amount of state however many
    keys there are, since keys of unknown callers are of their making.
    """

    Options: ClassVar[type[Options]]

    @abstractmethod
    def __init__(self, options: Any) -> None: ...

    @abstractmethod
    def hit(self, key: str, rate: Rate, cost: int, now: float) -> Decision:
        """One call: what it says is charged if it is allowed, and only then.

        Args:
            key: who calls.
            rate: what this caller is granted.
            cost: how many calls this one counts as; 0 asks and charges nothing. One that is higher than what
                can be had at once counts as that much, or it would never be allowed.
            now: seconds of a clock that does not go back.
        """
