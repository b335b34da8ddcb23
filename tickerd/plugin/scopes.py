"""What a caller may be allowed to do: every scope, with a sentence each. Nothing is allowed that is not granted."""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

TICKS = "ticks:read"
"""The one scope that can be narrowed to an exchange: ``ticks:read:NSE``."""

SCOPES: Mapping[str, str] = {
    "admin:audit": "See who changed what, when and from where.",
    "admin:config": "See the configuration in force, have a file checked, and reload.",
    "admin:keys": "List, make, rotate and revoke API keys, none of which may do more than its maker.",
    "history:read": "Read what was recorded: resume after an outage, replay, tap.",
    "metrics:read": "Read the metrics.",
    "sinks:write": "Pause, resume and flush sinks, reset breakers, offer dead letters again or drop them.",
    "sources:write": "Log a source in.",
    "status:read": "See health in detail, sources, sinks, plugins, subscriptions and dead letters.",
    "subs:write": "Add and remove subscriptions that last.",
    TICKS: f"Receive ticks and look up quotes and instruments; `{TICKS}:NSE` those of one exchange only.",
    "webhooks:read": "List webhooks.",
    "webhooks:write": "Register, change, test and remove webhooks, and rotate their secrets.",
}
"""Scope → what it allows."""

ALL_SCOPES = frozenset(SCOPES)
"""Everything that there is to allow."""

_EXCHANGE = r"[A-Z][A-Z0-9_-]{0,31}"
_NARROWED = re.compile(rf"{TICKS}:({_EXCHANGE})")


def is_scope(text: str) -> bool:
    """Whether it is one of `SCOPES`, or ``ticks:read:EXCHANGE``."""
    return text in SCOPES or _NARROWED.fullmatch(text) is not None


def split_scopes(scopes: Iterable[str]) -> tuple[frozenset[str], frozenset[str] | None]:
    """The plain scopes, and the exchanges to which ``ticks:read`` is narrowed: None where it is not.

    Example:
        >>> split_scopes(["subs:write", "ticks:read:NSE"]) == ({"subs:write", "ticks:read"}, {"NSE"})
        True
    """
    given = frozenset(scopes)
    narrowed = {scope: match[1] for scope in given if (match := _NARROWED.fullmatch(scope))}
    if not narrowed:
        return given, None
    plain = given - narrowed.keys()
    return plain | {TICKS}, None if TICKS in plain else frozenset(narrowed.values())


def exceeding(wanted: Iterable[str], held: Iterable[str]) -> tuple[str, ...]:
    """Which of the wanted scopes go beyond those held: what a holder may not hand on."""
    have = frozenset(held)
    return tuple(
        sorted(
            scope
            for scope in set(wanted)
            if scope not in have and not (TICKS in have and _NARROWED.fullmatch(scope))
        )
    )


def _scope(value: Any) -> str:
    if isinstance(value, str) and is_scope(value):
        return value
    # the text never holds what was written; the list of all is short enough to show
    raise PydanticCustomError("scope", f"expected a scope: one of {', '.join(SCOPES)}, or {TICKS}:EXCHANGE")


Scope = Annotated[
    str,
    BeforeValidator(_scope),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "enum": list(SCOPES)},
                {"type": "string", "pattern": f"^{TICKS}:{_EXCHANGE}$"},
            ]
        }
    ),
]
"""Option type: the name of a scope."""
