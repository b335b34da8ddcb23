"""API keys: made, listed, rotated and revoked. Nobody hands on more than he has."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from tickerd.control.problem import Problem
from tickerd.control.route import Call, Input, Page, PageQuery, Route, page_of
from tickerd.control.wording import quoted
from tickerd.observe.picture import Shown
from tickerd.plugin import Duration, Principal, exceeding
from tickerd.plugin.scopes import TICKS
from tickerd.state.keys import OVERLAP_S, Key, KeyLimits, KeyRefused, Made, NewKey
from tickerd.state.keytext import parse_id

SCOPE = "admin:keys"
LONGEST_OVERLAP_S = 30 * 86_400
_STATUSES = {"unknown": 404, "ended": 409, "rotated": 409, "full": 409}


@dataclass(frozen=True, kw_only=True)
class KeyShown(Shown):
    """A key; never its text."""

    id: str
    """The 12 characters after its prefix: by them it is named everywhere."""
    kind: str
    """live, test, or boot for the key of the first start."""
    label: str
    """What it is for."""
    status: str
    """active, rotated (it has a successor and still works), expired or revoked."""
    scopes: tuple[str, ...]
    """What its holder may do."""
    networks: tuple[str, ...]
    """Where it may be used from; empty is everywhere."""
    limits: Mapping[str, Any]
    """Where it differs from all others."""
    created_ns: int
    """In nanoseconds since 1970 UTC, like the times below."""
    expires_ns: int | None
    """When it ends; null for never."""
    revoked_ns: int | None
    last_used_ns: int | None
    """To the minute, and up to a minute late."""
    successor: str | None
    """Id of the key that replaces it."""


@dataclass(frozen=True, kw_only=True)
class KeyMade(KeyShown):
    """A key that was just made: the only time that it is shown."""

    key: str = field(repr=False)
    """To be sent as ``Authorization: Bearer …``."""


class KeysQuery(PageQuery):
    """Which keys."""

    all: bool = False
    """Those that have ended, too."""


class Rotate(Input):
    """How to replace a key."""

    overlap: Duration = Field(OVERLAP_S, ge=0, le=LONGEST_OVERLAP_S)
    """How long the old one works beside its successor; 0 after a leak."""


async def listing(call: Call) -> Page[KeyShown]:
    """By id."""
    now_ns = call.facade.clock.now_ns()
    found = [
        key
        for key in await call.desk.keys.every()
        if call.query.all or key.status(now_ns) in ("active", "rotated")
    ]
    page = page_of(found, lambda key: key.id, call.query)
    return Page(items=tuple(_shown(key, now_ns) for key in page.items), next=page.next)


async def create(call: Call) -> KeyMade:
    """With no more than the caller has."""
    new: NewKey = call.body
    check_granted(call.caller, new.scopes, new.limits)
    try:
        return _made(await call.desk.keys.create(new, call.by), call)
    except KeyRefused as refused:
        raise _problem(refused) from None


async def rotate(call: Call) -> KeyMade:
    """Whoever is shown the successor holds what the old key may do: he must have it himself."""
    key = await _find(call)
    check_granted(call.caller, key.scopes, key.limits)
    try:
        return _made(await call.desk.keys.rotate(key.id, call.by, overlap_s=call.body.overlap), call)
    except KeyRefused as refused:
        raise _problem(refused) from None


async def revoke(call: Call) -> KeyShown:
    """Streams that were opened with it are closed within a second."""
    key = await _find(call)
    try:
        ended = await call.desk.keys.revoke(key.id, call.by)
    except KeyRefused as refused:
        raise _problem(refused) from None
    return _shown(ended, call.facade.clock.now_ns())


def check_granted(caller: Principal, scopes: tuple[str, ...], limits: KeyLimits) -> None:
    """That he may hand on these.

    Raises:
        Problem: they go beyond what he has.
    """
    if beyond := exceeding(scopes, held(caller)):
        raise Problem(403, f"you do not have {', '.join(beyond)} yourself", code="beyond-own-scopes")
    own = caller.limits
    faster = [
        name
        for name, rate in limits.rates.items()
        if name in own.rates and rate.interval_s < own.rates[name].interval_s
    ]
    if own.connections is not None and (limits.connections or own.connections + 1) > own.connections:
        faster.append("connections")
    faster += [name for name in own.rates if name not in limits.rates]
    if faster:
        text = f"your own limit is lower: give it limits for {', '.join(sorted(faster))} within yours"
        raise Problem(403, text, code="beyond-own-limits")


def held(caller: Principal) -> frozenset[str]:
    """His scopes as they would be granted: ``ticks:read`` narrowed to the exchanges that he may see."""
    if caller.instruments is None:
        return caller.scopes
    exchanges = {name for name in caller.instruments if ":" not in name}
    return (caller.scopes - {TICKS}) | {f"{TICKS}:{name}" for name in exchanges if TICKS in caller.scopes}


async def _find(call: Call) -> Key:
    text = call.path["id"]
    public = parse_id(text)
    keys = {key.id: key for key in await call.desk.keys.every()} if public is not None else {}
    found = keys.get(public or "")
    if found is None:
        # a whole key in an address would be in somebody's log by now: do not repeat it
        raise Problem(404, f"there is no key {quoted(text)}" if public else "there is no such key id")
    return found


def _problem(refused: KeyRefused) -> Problem:
    return Problem(_STATUSES[refused.problem], str(refused))


def _fields(key: Key, now_ns: int) -> dict[str, Any]:
    shown = key.shown(now_ns)
    return shown | {name: tuple(shown[name]) for name in ("scopes", "networks")}


def _shown(key: Key, now_ns: int) -> KeyShown:
    return KeyShown(**_fields(key, now_ns))


def _made(made: Made, call: Call) -> KeyMade:
    return KeyMade(key=made.text.text, **_fields(made.key, call.facade.clock.now_ns()))


ROUTES = (
    Route(
        method="GET",
        path="/v1/keys",
        summary="All API keys, never their texts",
        handler=listing,
        scope=SCOPE,
        query=KeysQuery,
        answer=Page[KeyShown],
    ),
    Route(
        method="POST",
        path="/v1/keys",
        summary="Make an API key, which is shown this once",
        description="It may do no more than its maker.",
        handler=create,
        scope=SCOPE,
        rate="administration",
        changes=True,
        body=NewKey,
        answer=KeyMade,
        status=201,
        statuses={403: "Not allowed, or the key would be able to do more than its maker."},
    ),
    Route(
        method="POST",
        path="/v1/keys/<id>/rotate",
        summary="Replace a key by a successor with the same rights",
        description="Both work until the overlap ends. The successor is shown this once.",
        handler=rotate,
        scope=SCOPE,
        rate="administration",
        changes=True,
        body=Rotate,
        answer=KeyMade,
        status=201,
        statuses={404: "No such key.", 409: "It has ended, or was rotated already."},
    ),
    Route(
        method="DELETE",
        path="/v1/keys/<id>",
        summary="Revoke a key at once",
        description="It stays in the list of those that have ended for 90 days.",
        handler=revoke,
        scope=SCOPE,
        rate="administration",
        changes=True,
        answer=KeyShown,
        statuses={404: "No such key.", 409: "It has ended already."},
    ),
)
