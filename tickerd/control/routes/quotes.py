"""The newest tick of any instruments, many at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import trio
from pydantic import Field, WithJsonSchema

from tickerd.control.route import Call, Input, Reply, Route
from tickerd.control.routes.instruments import is_token
from tickerd.observe.picture import Shown
from tickerd.plugin.scopes import TICKS

MOST_IN_QUERY = 500
MOST_IN_BODY = 3000
_AT_ONCE = 64
"""Ticks that are decoded in one go, before other tasks have their turn."""

Key = Annotated[str, Field(min_length=1, max_length=64)]


class QuotesQuery(Input):
    """Which instruments."""

    i: tuple[Key, ...] = Field(min_length=1, max_length=MOST_IN_QUERY)
    """``EXCHANGE:SYMBOL`` or a token; given as often as there are instruments."""


class QuotesBody(Input):
    """Which instruments, where they are too many for an address."""

    instruments: tuple[Key, ...] = Field(min_length=1, max_length=MOST_IN_BODY)
    """``EXCHANGE:SYMBOL`` or tokens."""


@dataclass(frozen=True, kw_only=True)
class Quotes(Shown):
    """What is known of each."""

    quotes: dict[
        str,
        Annotated[Any, WithJsonSchema({"anyOf": [{"$ref": "#/components/schemas/Row"}, {"type": "null"}]})],
    ]
    """By the text that was asked for; null where there has been no tick."""
    unknown: tuple[str, ...]
    """What no table has."""
    denied: tuple[str, ...]
    """What this key may not see."""


async def by_query(call: Call) -> Reply:
    """Some."""
    return await _quotes(call, call.query.i)


async def by_body(call: Call) -> Reply:
    """Many."""
    return await _quotes(call, call.body.instruments)


async def _quotes(call: Call, keys: Sequence[str]) -> Reply:
    quotes: dict[str, msgspec.Raw | None] = {}
    unknown: list[str] = []
    denied: list[str] = []
    for index, text in enumerate(dict.fromkeys(keys)):
        if index % _AT_ONCE == _AT_ONCE - 1:
            await trio.lowlevel.checkpoint()
        instrument = call.facade.find(int(text) if is_token(text) else text)
        if instrument is None:
            unknown.append(text)
        elif call.principal is not None and not call.principal.may_see(instrument):
            denied.append(text)
        else:
            tick = call.facade.latest(instrument)
            quotes[text] = None if tick is None else msgspec.Raw(tick.json)
    return Reply(body=msgspec.json.encode({"quotes": quotes, "unknown": unknown, "denied": denied}))


ROUTES = (
    Route(
        method="GET",
        path="/v1/quotes",
        summary="The newest ticks of some instruments",
        handler=by_query,
        scope=TICKS,
        query=QuotesQuery,
        answer=Quotes,
    ),
    Route(
        method="POST",
        path="/v1/quotes",
        summary="The newest ticks of many instruments",
        description="Changes nothing: a body has room for more than an address.",
        handler=by_body,
        scope=TICKS,
        body=QuotesBody,
        answer=Quotes,
    ),
)
