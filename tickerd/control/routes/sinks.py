"""Where ticks go to."""

from operator import attrgetter

from tickerd.control.problem import Problem
from tickerd.control.route import Call, Page, PageQuery, Route, page_of
from tickerd.control.routes.health import SCOPE
from tickerd.control.wording import unknown
from tickerd.observe.picture import SinkPicture


async def listing(call: Call) -> Page[SinkPicture]:
    """All, by name."""
    return page_of(list(call.facade.picture().sinks), attrgetter("name"), call.query)


async def one(call: Call) -> SinkPicture:
    """By name."""
    sinks = {sink.name: sink for sink in call.facade.picture().sinks}
    found = sinks.get(call.path["name"])
    if found is None:
        raise Problem(404, unknown("sink", call.path["name"], sinks))
    return found


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
        statuses={404: "No such sink."},
    ),
)
