"""What is installed."""

from operator import attrgetter

from tickerd.control.facade import PluginShown
from tickerd.control.route import Call, Page, PageQuery, Route, page_of
from tickerd.control.routes.health import SCOPE


async def listing(call: Call) -> Page[PluginShown]:
    """All, by name."""
    return page_of(list(call.facade.plugins()), attrgetter("name"), call.query)


ROUTES = (
    Route(
        method="GET",
        path="/v1/plugins",
        summary="All installed plugins",
        handler=listing,
        scope=SCOPE,
        query=PageQuery,
        answer=Page[PluginShown],
    ),
)
