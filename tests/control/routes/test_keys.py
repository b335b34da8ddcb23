"""Keys over the API: made, listed, rotated and revoked, and never more than the caller has."""

from typing import Any

import pytest

from tickerd.plugin import Limits, Principal, Rate
from tickerd.state import audit
from tickerd.state.keytext import parse_key


async def trail(api: Any) -> list[Any]:
    return list(await api.desk.db.read(audit.page))


async def test_a_key_is_shown_once_and_works(api: Any) -> None:
    answer = await api.post(
        "/v1/keys", {"label": "charts", "scopes": ["ticks:read:NSE"], "expires_in": "90 days"}
    )
    assert answer.status == 201
    made = answer.json
    assert api.desk.keys.verify(made["key"]).id == f"key {made['id']}"
    assert made["expires_ns"] == made["created_ns"] + 90 * 86_400 * 10**9
    listed = (await api.get("/v1/keys")).json["items"]
    assert [one["id"] for one in listed] == [made["id"]]
    assert "key" not in listed[0]
    assert made["key"].rpartition("_")[2] not in (await api.get("/v1/audit")).body.decode()


async def test_each_change_is_in_the_audit_trail_with_who_and_from_where(api: Any) -> None:
    made = (await api.post("/v1/keys", {"label": "a", "scopes": ["subs:write"]})).json
    successor = (await api.post(f"/v1/keys/{made['id']}/rotate", {})).json
    await api.delete(f"/v1/keys/{made['id']}")
    entries = (await api.get("/v1/audit")).json["items"]
    assert [one["what"] for one in entries] == ["keys.revoke", "keys.rotate", "keys.create"]
    assert {(one["who"], one["origin"]) for one in entries} == {("key all", "127.0.0.1")}
    assert (entries[0]["before"]["status"], entries[0]["after"]["status"]) == ("rotated", "revoked")
    assert entries[1]["after"]["id"] == successor["id"]


async def test_a_successor_works_beside_the_old_key_until_the_overlap_ends(api: Any) -> None:
    made = (await api.post("/v1/keys", {"label": "a", "scopes": ["subs:write"]})).json
    fresh = await api.post(f"/v1/keys/{made['id']}/rotate", {"overlap": "1h"})
    assert fresh.status == 201
    assert parse_key(fresh.json["key"]).id == fresh.json["id"] != made["id"]
    assert api.desk.keys.verify(made["key"]) is not None
    again = await api.post(f"/v1/keys/{made['id']}/rotate", {})
    assert (again.status, again.json["detail"]) == (
        409,
        f"key {made['id']} was rotated already; its successor is {fresh.json['id']}",
    )
    leaked = await api.post(f"/v1/keys/{fresh.json['id']}/rotate", {"overlap": 0})
    assert leaked.status == 201
    assert api.desk.keys.verify(fresh.json["key"]) is None


async def test_a_revoked_key_ends_and_is_listed_where_asked_for(api: Any) -> None:
    made = (await api.post("/v1/keys", {"label": "a", "scopes": ["subs:write"]})).json
    principal = api.desk.keys.verify(made["key"])
    revoked = await api.delete(f"/v1/keys/{made['id']}")
    assert (revoked.status, revoked.json["status"]) == (200, "revoked")
    assert principal.revoked.is_set()
    assert (await api.get("/v1/keys")).json["items"] == []
    assert [one["status"] for one in (await api.get("/v1/keys?all=true")).json["items"]] == ["revoked"]
    assert (await api.delete(f"/v1/keys/{made['id']}")).status == 409


async def test_keys_that_are_not_there_are_told_without_repeating_a_whole_one(api: Any) -> None:
    made = (await api.post("/v1/keys", {"label": "a", "scopes": ["subs:write"]})).json
    assert (await api.delete("/v1/keys/abcdefghijkl")).json["detail"] == "there is no key 'abcdefghijkl'"
    whole = await api.delete(f"/v1/keys/{made['key']}")
    assert (whole.status, whole.json["detail"]) == (404, "there is no such key id")
    assert (await api.post("/v1/keys/..%2f..%2fetc/rotate", {})).status in (400, 404)


@pytest.mark.parametrize(
    ("held", "instruments", "wanted", "status"),
    [
        ({"admin:keys"}, None, ["admin:keys"], 201),
        ({"admin:keys"}, None, ["admin:config"], 403),
        ({"admin:keys"}, None, ["admin:keys", "ticks:read"], 403),
        ({"admin:keys", "ticks:read"}, None, ["ticks:read:NSE"], 201),
        ({"admin:keys", "ticks:read:NSE"}, None, ["ticks:read"], 403),
        ({"admin:keys", "ticks:read:NSE"}, None, ["ticks:read:BSE"], 403),
        ({"admin:keys", "ticks:read:NSE"}, None, ["ticks:read:NSE"], 201),
        ({"admin:keys", "ticks:read"}, {"NSE:INFY"}, ["ticks:read"], 403),
        ({"admin:keys", "ticks:read"}, {"NSE:INFY"}, ["ticks:read:NSE"], 403),
    ],
)
async def test_nobody_grants_more_than_he_has(
    held: set[str], instruments: set[str] | None, wanted: list[str], status: int, api: Any
) -> None:
    seen = None if instruments is None else frozenset(instruments)
    api.access.keys["some"] = Principal(id="key some", scopes=frozenset(held), instruments=seen)
    answer = await api.post("/v1/keys", {"label": "a", "scopes": wanted}, key="some")
    assert answer.status == status, answer.body
    if status == 403:
        assert answer.json["type"] == "urn:tickerd:problem:beyond-own-scopes"
        assert await trail(api) == []


async def test_nobody_is_shown_the_successor_of_a_key_that_may_do_more(api: Any) -> None:
    made = (await api.post("/v1/keys", {"label": "a", "scopes": ["admin:config"]})).json
    api.access.keys["some"] = Principal(id="key some", scopes=frozenset({"admin:keys"}))
    answer = await api.post(f"/v1/keys/{made['id']}/rotate", {}, key="some")
    assert (answer.status, answer.json["detail"]) == (403, "you do not have admin:config yourself")
    assert api.desk.keys.verify(made["key"]) is not None
    assert (
        await api.delete(f"/v1/keys/{made['id']}", key="some")
    ).status == 200  # taking away grants nothing


@pytest.mark.parametrize(
    ("limits", "status"),
    [
        ({}, 403),
        ({"rates": {"reads": "10/minute"}, "connections": 3}, 201),
        ({"rates": {"reads": "600/minute"}, "connections": 3}, 403),
        ({"rates": {"reads": "1/minute", "units": "1/second"}, "connections": 4}, 403),
        ({"rates": {"reads": "1/minute"}}, 403),
    ],
)
async def test_who_is_limited_hands_his_limits_on(limits: dict[str, Any], status: int, api: Any) -> None:
    own = Limits(rates={"reads": Rate(10, 60)}, connections=3)
    api.access.keys["some"] = Principal(id="key some", scopes=frozenset({"admin:keys"}), limits=own)
    body = {"label": "a", "scopes": ["admin:keys"], "limits": limits}
    assert (await api.post("/v1/keys", body, key="some")).status == status


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"label": "a"},
        {"label": "a", "scopes": []},
        {"label": "a", "scopes": ["nope"]},
        {"label": "a\nb", "scopes": ["subs:write"]},
        {"label": "a" * 65, "scopes": ["subs:write"]},
        {"label": "a", "scopes": ["subs:write"], "networks": ["x"]},
        {"label": "a", "scopes": ["subs:write"], "expires_in": 5},
        {"label": "a", "scopes": ["subs:write"], "kind": "boot"},
        {"label": "a", "scopes": ["subs:write"], "more": 1},
    ],
)
async def test_what_makes_no_key_is_told(body: dict[str, Any], api: Any) -> None:
    answer = await api.post("/v1/keys", body)
    assert (answer.status, answer.json["type"]) == (400, "urn:tickerd:problem:invalid")
    assert await api.desk.keys.every() == []


async def test_keys_are_paged(api: Any) -> None:
    for number in range(3):
        await api.post("/v1/keys", {"label": f"{number}", "scopes": ["subs:write"]})
    first = (await api.get("/v1/keys?limit=2")).json
    rest = (await api.get(f"/v1/keys?limit=2&after={first['next']}")).json
    assert sorted(one["label"] for one in first["items"] + rest["items"]) == ["0", "1", "2"]
    assert rest["next"] is None
