"""Webhooks over the API."""

from typing import Any

import pytest

NEW = {"name": "mine", "url": "https://x.example/hook?token=hush"}


async def test_an_endpoint_is_registered_and_its_secret_is_shown_this_once(api: Any) -> None:
    made = await api.post("/v1/webhooks", NEW)
    assert (made.status, made.json["secret"], made.json["webhook"]["created_by"]) == (
        201,
        "whsec_abc",
        "key all",
    )
    listed = await api.get("/v1/webhooks")
    assert [one["name"] for one in listed.json["items"]] == ["alerts", "mine"]
    assert b"whsec" not in listed.body
    assert b"hush" not in (await api.get("/v1/webhooks/mine")).body


async def test_a_secret_is_replaced_with_an_overlap(api: Any) -> None:
    await api.post("/v1/webhooks", NEW)
    assert (await api.post("/v1/webhooks/mine/rotate-secret", {})).json["secret"] == "whsec_86400"
    assert (await api.post("/v1/webhooks/mine/rotate-secret", {"overlap": 0})).json["secret"] == "whsec_0"
    assert (await api.post("/v1/webhooks/mine/rotate-secret", {"overlap": "1 year"})).status == 400


async def test_one_of_the_yaml_is_not_changed_here(api: Any) -> None:
    answer = await api.post("/v1/webhooks/alerts/rotate-secret", {})
    assert (answer.status, answer.json["detail"]) == (409, "'alerts' is of the YAML: change it there")


async def test_a_ping_tells_what_came_back(api: Any) -> None:
    answer = await api.raw("POST", "/v1/webhooks/alerts/test", Authorization="Bearer all")
    assert (answer.status, answer.json["ok"], answer.json["status"]) == (200, False, 500)


async def test_one_that_was_registered_can_be_removed(api: Any) -> None:
    await api.post("/v1/webhooks", NEW)
    assert (await api.delete("/v1/webhooks/mine")).json == {"name": "mine"}
    answer = await api.delete("/v1/webhooks/mine")
    assert (answer.status, answer.json["detail"]) == (404, "no webhook 'mine'; there is alerts")


async def test_a_name_is_given_once(api: Any) -> None:
    assert (await api.post("/v1/webhooks", {**NEW, "name": "alerts"})).status == 409


async def test_without_a_plugin_there_are_none(api: Any) -> None:
    api.steering.webhooks = None
    assert (await api.get("/v1/webhooks")).json["items"] == []
    assert (await api.get("/v1/webhooks/alerts")).status == 404
    answer = await api.post("/v1/webhooks", NEW)
    assert (answer.status, answer.json["detail"]) == (409, "no plugin that is installed can send webhooks")


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": "a/b"},
        {"name": "../x"},
        {"name": "a\n"},
        {"url": ""},
        {"url": "x" * 2049},
        {"secret": "a"},
    ],
)
async def test_what_makes_no_endpoint_is_told(change: dict[str, Any], api: Any) -> None:
    assert (await api.post("/v1/webhooks", {**NEW, **change})).status == 400
