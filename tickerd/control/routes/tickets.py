"""Tickets for browsers, which can send no header when they open a stream."""

from dataclasses import dataclass, field

from pydantic import Field

from tickerd.control.problem import Problem
from tickerd.control.route import Call, Input, Route
from tickerd.control.tickets import LIFE_S, TicketsFull
from tickerd.observe.picture import Shown
from tickerd.plugin import Scope
from tickerd.plugin.scopes import TICKS


class Mint(Input):
    """What the ticket shall be good for."""

    scopes: tuple[Scope, ...] | None = Field(None, max_length=16)
    """By default all that the caller may do on a stream."""


@dataclass(frozen=True, kw_only=True)
class TicketShown(Shown):
    """A ticket: it opens one stream, once."""

    ticket: str = field(repr=False)
    expires_ns: int
    """In nanoseconds since 1970 UTC."""
    scopes: tuple[str, ...]


async def mint(call: Call) -> TicketShown:
    """In memory only: it is no change that anybody would look for in the audit trail."""
    try:
        made = call.desk.tickets.mint(call.caller, call.body.scopes)
    except PermissionError as error:
        raise Problem(403, str(error), code="beyond-own-scopes") from None
    except TicketsFull as error:
        raise Problem(503, str(error), headers={"Retry-After": f"{LIFE_S:g}"}) from None
    return TicketShown(ticket=made.text, expires_ns=made.expires_at, scopes=tuple(sorted(made.scopes)))


ROUTES = (
    Route(
        method="POST",
        path="/v1/tickets",
        summary="Make a ticket that opens one stream, once",
        description=f"It has to be used within {LIFE_S:g} s, and ends with the credential that it was made with.",
        handler=mint,
        scope=TICKS,
        rate="tickets",
        body=Mint,
        answer=TicketShown,
        status=201,
    ),
)
