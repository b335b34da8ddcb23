"""Who changed what, when, from where, before and after."""

from dataclasses import asdict, dataclass
from typing import Any

from tickerd.control.route import Call, NumberedQuery, Page, Route, number_in
from tickerd.observe.picture import Shown
from tickerd.state import audit


@dataclass(frozen=True, kw_only=True)
class EntryShown(Shown):
    """One change. Secrets are not in it."""

    id: int
    """Grows with time."""
    when_ns: int
    """In nanoseconds since 1970 UTC."""
    who: str
    """``key 3kTMd5lGqkYh``, ``uid 1000``; ``uid unmapped`` for a user that the daemon's own namespace does not know."""
    what: str
    """``keys.create``, ``subscriptions.add`` and the like."""
    origin: str
    """An address, a socket, or ``cli``."""
    before: Any
    after: Any


async def listing(call: Call) -> Page[EntryShown]:
    """The newest first."""
    query: NumberedQuery = call.query
    before = number_in(query.after, "query.after") if query.after else None
    found = await call.desk.db.read(audit.page, before=before, limit=query.limit)
    items = tuple(EntryShown(**asdict(entry)) for entry in found)
    return Page(items=items, next=str(items[-1].id) if len(items) == query.limit else None)


ROUTES = (
    Route(
        method="GET",
        path="/v1/audit",
        summary="Who changed what, the newest first",
        handler=listing,
        scope="admin:audit",
        query=NumberedQuery,
        answer=Page[EntryShown],
    ),
)
