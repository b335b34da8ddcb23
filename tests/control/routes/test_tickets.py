"""Tickets over the API."""

from typing import Any

import pytest

from tickerd.plugin import Principal


async def test_a_ticket_opens_one_stream(api: Any) -> None:
    answer = await api.post("/v1/tickets", {"scopes": ["ticks:read"]})
    assert answer.status == 201
    assert answer.json["scopes"] == ["ticks:read"]
    principal = api.desk.tickets.redeem(answer.json["ticket"])
    assert (principal.id, principal.scopes) == ("key all", frozenset({"ticks:read"}))
    assert api.desk.tickets.redeem(answer.json["ticket"]) is None


async def test_a_ticket_is_good_for_no_more_than_its_maker(api: Any) -> None:
    api.access.keys["some"] = Principal(id="key some", scopes=frozenset({"ticks:read", "admin:keys"}))
    assert (await api.post("/v1/tickets", {}, key="some")).json["scopes"] == ["ticks:read"]
    for scope in ("history:read", "admin:keys"):
        answer = await api.post("/v1/tickets", {"scopes": [scope]}, key="some")
        assert (answer.status, answer.json["type"]) == (403, "urn:tickerd:problem:beyond-own-scopes")


async def test_when_there_are_too_many_it_says_when_to_come_back(
    api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tickerd.control.tickets.MOST", 0)
    answer = await api.post("/v1/tickets", {})
    assert (answer.status, answer.headers["retry-after"]) == (503, "30")
