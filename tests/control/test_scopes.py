"""Every route, by everybody: nobody does what he was not granted, and who was granted it does it."""

from dataclasses import replace
from typing import Any, NamedTuple

import msgspec
import pytest
import trio

from tickerd.control.route import Route
from tickerd.control.routes import ROUTES
from tickerd.plugin import Instrument, Position, Principal
from tickerd.plugin.scopes import ALL_SCOPES
from tickerd.state import deadletters
from tickerd.state.deadletters import Letter
from tickerd.state.keys import By, NewKey


class Example(NamedTuple):
    """A call of a route that does what it is for."""

    query: str = ""
    body: Any = None
    status: int = 200


LETTERS = {"letters": [{"first": 1, "last": 9}]}
EXAMPLES = {
    "get_v1_quotes": Example("?i=NSE:INFY"),
    "post_v1_instruments_refresh": Example(body={}, status=202),
    "post_v1_quotes": Example(body={"instruments": ["NSE:INFY"]}),
    "post_v1_subscriptions": Example(body={"instruments": ["NSE:INFY"]}),
    "delete_v1_subscriptions": Example("?i=NSE:INFY"),
    "post_v1_subscriptions_remove": Example(body={"all": True}),
    "post_v1_dead_letters_sink_redrive": Example(body=LETTERS),
    "post_v1_dead_letters_sink_drop": Example(body=LETTERS),
    "post_v1_sources_name_login": Example(body={}),
    "post_v1_webhooks": Example(body={"name": "new", "url": "https://x.example/"}, status=201),
    "post_v1_webhooks_name_rotate_secret": Example(body={}),
    "post_v1_config_validate": Example(body=b"sources: {}"),
    "post_v1_keys": Example(body={"label": "a", "scopes": ["admin:keys"]}, status=201),
    "post_v1_keys_id_rotate": Example(body={"overlap": "1h"}, status=201),
    "post_v1_tickets": Example(body={}, status=201),
    "get_v1_tap": Example("?limit=1"),
}
ENDLESS = {"get_v1_events", "get_v1_tap"}


async def target(route: Route, api: Any) -> str:
    """A path that leads to something."""
    path = route.path
    if "/keys/<id>" in path:
        made = await api.desk.keys.create(NewKey(label="a", scopes=("admin:keys",)), By("test", "test"))
        path = path.replace("<id>", made.key.id)
    if "/webhooks/<name>" in path:
        path = path.replace("<name>", "run")
        shown = api.steering.webhooks.shown
        shown["run"] = replace(shown["alerts"], name="run", registered="runtime")
    if "/dead-letters/<sink>" in path:
        await api.desk.db.run(deadletters.add, [_letter()])
        path = path.replace("<sink>", "archive").replace("<id>", "1")
    return (
        path.replace("/sinks/<name>", "/sinks/archive").replace("<name>", "kite").replace("<key>", "NSE:INFY")
    )


def _letter() -> Letter:
    return Letter(
        sink="archive",
        position=Position(1, 1),
        instrument=Instrument("kite", 408065, "NSE", "INFY"),
        reason="no",
        first_ns=1,
        last_ns=1,
        payload=b"{}",
    )


async def call(route: Route, api: Any, headers: dict[str, str]) -> Any:
    """One call; of an endless answer its head."""
    example = EXAMPLES.get(route.operation, Example())
    body = b"" if example.body is None else example.body
    if not isinstance(body, bytes):
        body = msgspec.json.encode(body)
    elif body:
        headers = {"Content_Type": "application/yaml", **headers}
    path = await target(route, api) + example.query
    if route.operation not in ENDLESS:
        return await api.raw(route.method, path, body, **headers)
    return await api.raw("HEAD", path, **headers)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation)
async def test_each_route_wants_a_credential_with_exactly_its_scope(route: Route, open_api: Any) -> None:
    expected = EXAMPLES.get(route.operation, Example()).status
    async with open_api() as api:
        others = sorted(ALL_SCOPES - {route.scope})
        api.access.keys["others"] = Principal(id="key others", scopes=frozenset(others))
        api.access.keys["just"] = Principal(id="key just", scopes=frozenset({route.scope} - {None}))
        is_open = route.scope is None
        assert (await call(route, api, {})).status == (expected if is_open else 401)
        for key, status in [("none", 403), ("others", 403), ("just", expected)]:
            answer = await call(route, api, {"Authorization": f"Bearer {key}"})
            assert answer.status == (expected if is_open else status), (key, answer.body)
        if not is_open and route.operation not in ENDLESS:
            denied = await call(route, api, {"Authorization": "Bearer others"})
            assert denied.json["detail"] == f"this needs the scope {route.scope!r}"


@pytest.mark.parametrize("may", [True, False])
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation)
async def test_a_unix_socket_may_do_what_its_scopes_say(route: Route, open_api: Any, may: bool) -> None:
    expected = EXAMPLES.get(route.operation, Example()).status
    scopes = frozenset({route.scope} - {None}) if may else ALL_SCOPES - {route.scope}
    async with open_api(unix=True, scopes=scopes) as api:
        answer = await call(route, api, {})
        assert answer.status == (expected if may or route.scope is None else 403)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation)
async def test_each_call_is_charged_to_its_class(route: Route, open_api: Any) -> None:
    async with open_api() as api:
        await call(route, api, {"Authorization": "Bearer all"})
        assert api.access.hits == [(route.rate, "key all")]
        api.access.left[route.rate] = 0
        assert (await call(route, api, {"Authorization": "Bearer all"})).status == 429


def test_whatever_changes_something_is_no_read() -> None:
    """New routes have to say what they are: a POST that is a read is known by name."""
    for route in ROUTES:
        if route.changes:
            assert route.method != "GET"
            assert route.rate != "reads"
            assert route.scope is not None
            assert route.scope not in ("status:read", "ticks:read", "history:read", "metrics:read")
    reads = {route.operation for route in ROUTES if route.method != "GET" and not route.changes}
    assert reads == {"post_v1_quotes", "post_v1_config_validate", "post_v1_tickets"}


def test_changes_are_counted_in_the_class_that_is_meant_for_them() -> None:
    for route in ROUTES:
        if not route.changes:
            continue
        noun = route.path.split("/")[2]
        meant = {
            "keys": "administration",
            "reload": "administration",
            "subscriptions": "subscriptions",
            "webhooks": "webhooks",
        }.get(noun, "breakers" if "breaker" in route.path else "units")
        assert route.rate == meant, route.path


async def test_a_key_that_was_refused_changed_nothing(open_api: Any) -> None:
    async with open_api() as api:
        with trio.fail_after(10):
            for route in ROUTES:
                if route.changes:
                    await call(route, api, {"Authorization": "Bearer none"})
        assert api.steering.asked == []
