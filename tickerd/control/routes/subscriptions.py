"""Who wants what, and wanting more or less of it."""

import heapq
from typing import Annotated

import trio
from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from tickerd.control.facade import WantedShown
from tickerd.control.problem import Problem
from tickerd.control.route import Call, Input, Page, PageQuery, Route
from tickerd.control.routes.health import SCOPE
from tickerd.control.routes.quotes import MOST_IN_BODY, MOST_IN_QUERY, Key
from tickerd.control.steering import SubscriptionsChanged
from tickerd.plugin import Mode

WRITE = "subs:write"
OTHERS = "admin:config"
"""The scope that it takes to change what others want."""
_AT_ONCE = 64
"""Instruments that are looked at in one go, before other tasks have their turn."""
_BETWEEN = "/"
"""Between source and instrument in ``after``."""


def _printable(value: str) -> str:
    if value.isprintable() and value.strip():
        return value.strip()
    raise PydanticCustomError("name", "expected characters that print: no line breaks, no control characters")


Name = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_printable)]


class Whose(Input):
    """Common to all changes."""

    source: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """Of which source; by default the one that has the instrument already, or the first with room."""
    owner: Name | None = None
    """In whose name: the caller's own by default; another takes the scope ``admin:config``."""


class Subscribe(Whose):
    """What to want."""

    instruments: tuple[Key, ...] = Field(min_length=1, max_length=MOST_IN_BODY)
    """``EXCHANGE:SYMBOL`` or tokens."""
    mode: Mode = "full"
    """How much of each tick."""


class Unsubscribe(Whose):
    """What to want no more: ``instruments``, or all."""

    instruments: tuple[Key, ...] = Field((), max_length=MOST_IN_BODY)
    """``EXCHANGE:SYMBOL`` or tokens."""
    all: bool = False
    """Everything that is wanted in that name."""

    @model_validator(mode="after")
    def _either(self) -> "Unsubscribe":
        if self.all == bool(self.instruments):
            raise PydanticCustomError("either", "give either instruments or all=true")
        return self


class UnsubscribeQuery(Whose):
    """What to want no more, where it is little: ``i``, or all."""

    i: tuple[Key, ...] = Field((), max_length=MOST_IN_QUERY)
    """``EXCHANGE:SYMBOL`` or a token; given as often as there are instruments."""
    all: bool = False
    """Everything that is wanted in that name."""

    @model_validator(mode="after")
    def _either(self) -> "UnsubscribeQuery":
        if self.all == bool(self.i):
            raise PydanticCustomError("either", "give either i or all=true")
        return self


async def listing(call: Call) -> Page[WantedShown]:
    """By source and instrument; only those on the page are looked at more closely."""
    query: PageQuery = call.query
    source, between, instrument = query.after.partition(_BETWEEN)
    if query.after and not between:
        raise Problem(400, "query.after: take it from 'next' of the page before", code="invalid")
    after = (source, instrument)
    found = heapq.nsmallest(query.limit + 1, (pair for pair in call.facade.wanted() if pair > after))
    page = found[: query.limit]
    items: list[WantedShown] = []
    for index, pair in enumerate(page):
        if index % _AT_ONCE == 0:
            await trio.lowlevel.checkpoint()
        if (shown := call.facade.want(*pair)) is not None:
            items.append(shown)
    return Page(items=tuple(items), next=_BETWEEN.join(page[-1]) if len(found) > query.limit else None)


async def add(call: Call) -> SubscriptionsChanged:
    """What is wanted already stays."""
    body: Subscribe = call.body
    return await call.desk.steering.subscribe(
        owner_of(call, body.owner),
        dict.fromkeys(body.instruments, body.mode),
        call.by,
        source=body.source,
        caller=call.caller,
    )


async def remove(call: Call) -> SubscriptionsChanged:
    """Few."""
    query: UnsubscribeQuery = call.query
    return await _remove(call, query, query.i)


async def remove_many(call: Call) -> SubscriptionsChanged:
    """Many."""
    body: Unsubscribe = call.body
    return await _remove(call, body, body.instruments)


async def _remove(call: Call, whose: Whose, instruments: tuple[str, ...]) -> SubscriptionsChanged:
    owner = owner_of(call, whose.owner)
    unique = tuple(dict.fromkeys(instruments)) or None
    return await call.desk.steering.unsubscribe(owner, unique, call.by, source=whose.source)


def owner_of(call: Call, named: str | None) -> str:
    """In whose name it is done.

    Raises:
        Problem: the caller may not do it in that one.
    """
    if named is None or named == call.caller.id:
        return call.caller.id
    if not call.caller.may(OTHERS):
        raise Problem(
            403, f"changing what others want needs the scope {OTHERS!r} besides", code="scope-missing"
        )
    return named


ROUTES = (
    Route(
        method="GET",
        path="/v1/subscriptions",
        summary="Every instrument that somebody wants, and who does",
        handler=listing,
        scope=SCOPE,
        query=PageQuery,
        answer=Page[WantedShown],
    ),
    Route(
        method="POST",
        path="/v1/subscriptions",
        summary="Want instruments, also after a restart",
        description=(
            "An instrument is wanted while anybody wants it, at the highest mode that anybody wants. Some may be "
            "accepted while others are rejected, each with a code."
        ),
        handler=add,
        scope=WRITE,
        rate="subscriptions",
        changes=True,
        body=Subscribe,
        answer=SubscriptionsChanged,
    ),
    Route(
        method="DELETE",
        path="/v1/subscriptions",
        summary="Want some instruments no more",
        description="What others want goes on.",
        handler=remove,
        scope=WRITE,
        rate="subscriptions",
        changes=True,
        query=UnsubscribeQuery,
        answer=SubscriptionsChanged,
    ),
    Route(
        method="POST",
        path="/v1/subscriptions/remove",
        summary="Want many instruments no more",
        description="As `DELETE`: a body has room for more than an address.",
        handler=remove_many,
        scope=WRITE,
        rate="subscriptions",
        changes=True,
        body=Unsubscribe,
        answer=SubscriptionsChanged,
    ),
)
