"""Where ticks go to: how each sink stands, and steering it."""

from collections.abc import Awaitable, Callable
from operator import attrgetter
from typing import Any

from tickerd.control.problem import Problem
from tickerd.control.route import Call, Handler, Method, Page, PageQuery, Route, page_of
from tickerd.control.routes.health import SCOPE
from tickerd.control.steering import Steering
from tickerd.control.wording import unknown
from tickerd.observe.picture import SinkPicture
from tickerd.state.keys import By

WRITE = "sinks:write"
FLUSH_S = 60.0
"""A sink that is slow takes its time."""
_UNKNOWN = {404: "No such sink."}


async def listing(call: Call) -> Page[SinkPicture]:
    """All, by name."""
    return page_of(list(call.facade.picture().sinks), attrgetter("name"), call.query)


async def one(call: Call) -> SinkPicture:
    """By name."""
    return sink_of(call, call.path["name"])


def sink_of(call: Call, name: str) -> SinkPicture:
    """A sink as it stands.

    Raises:
        Problem: there is none of that name.
    """
    sinks = {sink.name: sink for sink in call.facade.picture().sinks}
    found = sinks.get(name)
    if found is None:
        raise Problem(404, unknown("sink", name, sinks))
    return found


def steered(verb: Callable[[Steering, str, By], Awaitable[None]]) -> Handler:
    """A handler that does this to a sink and answers how it stands then."""

    async def handler(call: Call) -> SinkPicture:
        name = sink_of(call, call.path["name"]).name
        await verb(call.desk.steering, name, call.by)
        return sink_of(call, name)

    return handler


def _verb(path: str, summary: str, handler: Handler, **more: Any) -> Route:
    method: Method = "POST"
    return Route(
        method=method,
        path=f"/v1/sinks/<name>/{path}",
        summary=summary,
        handler=handler,
        scope=WRITE,
        changes=True,
        answer=SinkPicture,
        **{"rate": "units", **more},
    )


ROUTES = (
    Route(
        method="GET",
        path="/v1/sinks",
        summary="All sinks",
        handler=listing,
        scope=SCOPE,
        query=PageQuery,
        answer=Page[SinkPicture],
    ),
    Route(
        method="GET",
        path="/v1/sinks/<name>",
        summary="One sink",
        handler=one,
        scope=SCOPE,
        answer=SinkPicture,
        statuses=_UNKNOWN,
    ),
    _verb(
        "pause",
        "Hand a sink nothing until it is resumed",
        steered(lambda steering, name, by: steering.pause(name, by)),
        description="Also after a restart. What waits is kept as far as its buffer or the journal goes.",
        statuses=_UNKNOWN,
    ),
    _verb(
        "resume",
        "Go on handing a sink what waits for it",
        steered(lambda steering, name, by: steering.resume(name, by)),
        statuses=_UNKNOWN,
    ),
    _verb(
        "flush",
        "Hand a sink what waits for it now",
        steered(lambda steering, name, by: steering.flush(name, by)),
        description="Answers when it has been taken and made safe.",
        seconds=FLUSH_S,
        statuses={**_UNKNOWN, 409: "The sink is paused or does not run."},
    ),
    _verb(
        "breaker/reset",
        "Try a sink again that is held back after failures",
        steered(lambda steering, name, by: steering.reset_breaker(name, by)),
        rate="breakers",
        statuses={**_UNKNOWN, 409: "The sink has no breaker."},
    ),
)
