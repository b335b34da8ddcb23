"""Who wants what."""

import heapq

from tickerd.control.facade import WantedShown
from tickerd.control.problem import Problem
from tickerd.control.route import Call, Page, PageQuery, Route
from tickerd.control.routes.health import SCOPE

_BETWEEN = "/"
"""Between source and instrument in ``after``."""


async def listing(call: Call) -> Page[WantedShown]:
    """By source and instrument; only those on the page are looked at more closely."""
    query: PageQuery = call.query
    source, between, instrument = query.after.partition(_BETWEEN)
    if query.after and not between:
        raise Problem(400, "query.after: take it from 'next' of the page before", code="invalid")
    after = (source, instrument)
    found = heapq.nsmallest(query.limit + 1, (pair for pair in call.facade.wanted() if pair > after))
    page = found[: query.limit]
    items = tuple(shown for pair in page if (shown := call.facade.want(*pair)) is not None)
    return Page(items=items, next=_BETWEEN.join(page[-1]) if len(found) > query.limit else None)


ROUTES = (
    Route(
        method="GET",
        path="/v1/subscriptions",
        summary="Every instrument that somebody wants, and who does",
        handler=listing,
        scope=SCOPE,
        query=PageQuery,
        answer=Page[WantedShown],
    ),
)
