"""Subscriptions over the API."""

from typing import Any

import pytest

from tickerd.plugin import Principal

BY = ("key all", "127.0.0.1")


async def test_instruments_are_wanted_in_the_callers_name(api: Any) -> None:
    answer = await api.post(
        "/v1/subscriptions", {"instruments": ["NSE:INFY", "408065", "NSE:INFY"], "mode": "ltp"}
    )
    assert answer.status == 200
    assert [one["instrument"] for one in answer.json["accepted"]] == ["NSE:INFY", "408065"]
    wants = {"NSE:INFY": "ltp", "408065": "ltp"}
    assert api.steering.asked == [("subscribe", "key all", wants, BY, None)]


async def test_they_are_wanted_no_more_by_query_or_by_body(api: Any) -> None:
    await api.delete("/v1/subscriptions?i=NSE:INFY&i=NSE:M%26M&source=kite")
    await api.delete("/v1/subscriptions?all=true")
    await api.post("/v1/subscriptions/remove", {"instruments": ["NSE:INFY"]})
    assert [one[:3] for one in api.steering.asked] == [
        ("unsubscribe", "key all", ("NSE:INFY", "NSE:M&M")),
        ("unsubscribe", "key all", None),
        ("unsubscribe", "key all", ("NSE:INFY",)),
    ]
    assert api.steering.asked[0][4] == "kite"


async def test_what_others_want_takes_one_scope_more(api: Any) -> None:
    api.access.keys["some"] = Principal(id="key some", scopes=frozenset({"subs:write"}))
    body = {"instruments": ["NSE:INFY"], "owner": "key all"}
    for answer in (
        await api.post("/v1/subscriptions", body, key="some"),
        await api.post("/v1/subscriptions/remove", body, key="some"),
        await api.delete("/v1/subscriptions?all=true&owner=key%20all", key="some"),
    ):
        assert (answer.status, answer.json["type"]) == (403, "urn:tickerd:problem:scope-missing")
    assert api.steering.asked == []
    assert (await api.post("/v1/subscriptions", {**body, "owner": "key some"}, key="some")).status == 200
    assert (await api.post("/v1/subscriptions", {**body, "owner": "desk"})).json["owner"] == "desk"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"instruments": []},
        {"instruments": ["x" * 65]},
        {"instruments": [""]},
        {"instruments": ["NSE:INFY"], "mode": "fast"},
        {"instruments": ["NSE:INFY"], "owner": "a\nb"},
        {"instruments": ["NSE:INFY"], "owner": " "},
        {"instruments": ["NSE:INFY"] * 3001},
        {"instruments": ["NSE:INFY"], "more": 1},
    ],
)
async def test_what_makes_no_subscription_is_told(body: dict[str, Any], api: Any) -> None:
    assert (await api.post("/v1/subscriptions", body)).status == 400
    assert api.steering.asked == []


async def test_it_has_to_be_said_what_is_wanted_no_more(api: Any) -> None:
    for query in ("", "?i=NSE:INFY&all=true", "?all=false", "?all=maybe"):
        assert (await api.delete(f"/v1/subscriptions{query}")).status == 400
    for body in ({}, {"all": True, "instruments": ["NSE:INFY"]}):
        assert (await api.post("/v1/subscriptions/remove", body)).status == 400
    assert api.steering.asked == []
