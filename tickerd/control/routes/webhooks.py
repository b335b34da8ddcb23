"""Webhook endpoints: those of the YAML are shown, those of run time are also registered, changed and removed."""

from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Any

from pydantic import Field

from tickerd.control.problem import Problem
from tickerd.control.route import Call, Input, Page, PageQuery, Route, page_of
from tickerd.control.routes.quotes import MOST_IN_BODY, Key
from tickerd.control.steering import (
    NewWebhook,
    Refused,
    WebhookMade,
    Webhooks,
    WebhookShown,
    WebhookTested,
)
from tickerd.control.wording import unknown
from tickerd.observe.picture import Shown
from tickerd.plugin import Duration

READ, WRITE = "webhooks:read", "webhooks:write"
OVERLAP_S = 86_400.0
LONGEST_OVERLAP_S = 30 * 86_400
TEST_S = 30.0
_NAME = r"^[A-Za-z][A-Za-z0-9_-]{0,63}$"


class Register(Input):
    """A new endpoint."""

    name: str = Field(pattern=_NAME)
    """By which it is known from then on; no sink may have it already."""
    url: str = Field(min_length=1, max_length=2048)
    """Where deliveries are posted to; it has to be ``https`` and to lead to a public address."""
    events: tuple[Annotated[str, Field(max_length=64)], ...] = Field((), max_length=32)
    """Kinds of control records; the plugin's default when it is empty."""
    instruments: tuple[Key, ...] | None = Field(None, max_length=MOST_IN_BODY)
    """Those that it gets ticks of; all by default."""
    options: Mapping[str, Any] = Field({}, max_length=64)
    """Further options of the sink, as the YAML would have them."""


class RotateSecret(Input):
    """How to replace a secret."""

    overlap: Duration = Field(OVERLAP_S, ge=0, le=LONGEST_OVERLAP_S)
    """How long the old one signs beside the new one; 0 after a leak."""


@dataclass(frozen=True, kw_only=True)
class Removed(Shown):
    """An endpoint that is gone."""

    name: str


async def listing(call: Call) -> Page[WebhookShown]:
    """All, by name."""
    webhooks = call.desk.steering.webhooks
    return page_of([] if webhooks is None else list(webhooks.every()), attrgetter("name"), call.query)


async def one(call: Call) -> WebhookShown:
    """By name."""
    webhooks = call.desk.steering.webhooks
    endpoints = {} if webhooks is None else {endpoint.name: endpoint for endpoint in webhooks.every()}
    name = call.path["name"]
    if name not in endpoints:
        raise Problem(404, unknown("webhook", name, endpoints))
    return endpoints[name]


async def register(call: Call) -> WebhookMade:
    """Its secret is shown this once."""
    body: Register = call.body
    new = NewWebhook(
        name=body.name,
        url=body.url,
        events=body.events,
        instruments=body.instruments,
        options=body.options,
    )
    return await _webhooks(call).register(new, call.by, caller=call.caller)


async def rotate_secret(call: Call) -> WebhookMade:
    """The new one is shown this once."""
    endpoint = await one(call)
    return await _webhooks(call).rotate_secret(endpoint.name, call.by, overlap_s=call.body.overlap)


async def test(call: Call) -> WebhookTested:
    """Whatever comes back is an answer."""
    endpoint = await one(call)
    return await _webhooks(call).test(endpoint.name, call.by, caller=call.caller)


async def remove(call: Call) -> Removed:
    """What waits for it is given up."""
    endpoint = await one(call)
    await _webhooks(call).remove(endpoint.name, call.by)
    return Removed(name=endpoint.name)


def _webhooks(call: Call) -> Webhooks:
    found = call.desk.steering.webhooks
    if found is None:
        raise Refused("conflict", "no plugin that is installed can send webhooks")
    return found


_UNKNOWN = {404: "No such webhook."}
_OF_YAML = {404: "No such webhook.", 409: "It is of the YAML: change it there."}

ROUTES = (
    Route(
        method="GET",
        path="/v1/webhooks",
        summary="All webhooks",
        handler=listing,
        scope=READ,
        query=PageQuery,
        answer=Page[WebhookShown],
    ),
    Route(
        method="GET",
        path="/v1/webhooks/<name>",
        summary="One webhook",
        handler=one,
        scope=READ,
        answer=WebhookShown,
        statuses=_UNKNOWN,
    ),
    Route(
        method="POST",
        path="/v1/webhooks",
        summary="Register a webhook, also after a restart",
        description="Its secret is shown this once.",
        handler=register,
        scope=WRITE,
        rate="webhooks",
        changes=True,
        body=Register,
        answer=WebhookMade,
        status=201,
        statuses={409: "The name is taken.", 422: "Its address or an option cannot be used."},
    ),
    Route(
        method="POST",
        path="/v1/webhooks/<name>/rotate-secret",
        summary="Give a webhook a new secret, shown this once",
        description="Both sign until the overlap ends, the new one first.",
        handler=rotate_secret,
        scope=WRITE,
        rate="webhooks",
        changes=True,
        body=RotateSecret,
        answer=WebhookMade,
        statuses=_OF_YAML,
    ),
    Route(
        method="POST",
        path="/v1/webhooks/<name>/test",
        summary="Send a webhook a signed ping, and tell what came back",
        handler=test,
        scope=WRITE,
        rate="webhooks",
        changes=True,
        seconds=TEST_S,
        answer=WebhookTested,
        statuses=_UNKNOWN,
    ),
    Route(
        method="DELETE",
        path="/v1/webhooks/<name>",
        summary="Remove a webhook that was registered at run time",
        handler=remove,
        scope=WRITE,
        rate="webhooks",
        changes=True,
        answer=Removed,
        statuses=_OF_YAML,
    ),
)
