"""Where ticks come from."""

from operator import attrgetter

from tickerd.control.problem import Problem
from tickerd.control.route import Call, Page, PageQuery, Route, page_of
from tickerd.control.routes.health import SCOPE
from tickerd.control.wording import unknown
from tickerd.observe.picture import SourcePicture


async def listing(call: Call) -> Page[SourcePicture]:
    """All, by name."""
    return page_of(list(call.facade.picture().sources), attrgetter("name"), call.query)


async def one(call: Call) -> SourcePicture:
    """By name."""
    sources = {source.name: source for source in call.facade.picture().sources}
    found = sources.get(call.path["name"])
    if found is None:
        raise Problem(404, unknown("source", call.path["name"], sources))
    return found


ROUTES = (
    Route(
        method="GET",
        path="/v1/sources",
        summary="All sources",
        handler=listing,
        scope=SCOPE,
        query=PageQuery,
        answer=Page[SourcePicture],
    ),
    Route(
        method="GET",
        path="/v1/sources/<name>",
        summary="One source",
        handler=one,
        scope=SCOPE,
        answer=SourcePicture,
        statuses={404: "No such source."},
    ),
)
