"""What a route is: everything that the application, its description and the tests need to know of it, in one place."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Generic, Literal, TypeVar

import trio
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from tickerd.control.desk import Desk
from tickerd.control.facade import Facade
from tickerd.control.problem import Problem
from tickerd.observe.picture import Shown
from tickerd.plugin.auth import Principal
from tickerd.state.keys import By

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Item = TypeVar("Item")

PAGE = 100
LONGEST_PAGE = 1000


class Input(BaseModel):
    """Base of what a route takes: unknown fields are refused, and no error quotes what was sent."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )


class PageQuery(Input):
    """Which part of a list."""

    after: str = Field("", max_length=256)
    """The ``next`` of the page before; the list begins there."""
    limit: int = Field(PAGE, ge=1, le=LONGEST_PAGE)
    """Items on one page, at most."""


class NumberedQuery(PageQuery):
    """Which part of a list that is told by numbers."""

    after: str = Field("", max_length=19, pattern=r"^\d*$")
    """The ``next`` of the page before; the list begins there."""


@dataclass(frozen=True, kw_only=True)
class Page(Shown, Generic[Item]):
    """Part of a list."""

    items: tuple[Item, ...]
    next: str | None = None
    """What to give as ``after`` for the rest; null on the last page."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request to a route, checked."""

    facade: Facade
    desk: Desk
    principal: Principal | None
    """None on routes without a scope, for callers who showed nothing."""
    by: By
    """Who calls and from where, for the audit trail."""
    request_id: str
    path: Mapping[str, str]
    query: Any
    """Of the route's ``query`` model, or None."""
    body: Any
    """Of the route's ``body`` model, or bytes as they came, or None."""
    headers: Mapping[str, str]
    """Names in lower case."""
    description: Callable[[], Awaitable[bytes]]
    """The API's own description, as JSON."""
    collectors: Sequence[Any]
    """What the API counts of itself, for `prometheus_client`."""
    searches: trio.CapacityLimiter
    """For threads that go through whole tables: one at a time, since the feed shares the interpreter with them."""
    taps: list[object]
    """Those that are open."""
    stopping: trio.Event
    """Set when the server stops: answers without an end come to theirs."""

    @property
    def caller(self) -> Principal:
        """Who calls, on a route with a scope."""
        assert self.principal is not None
        return self.principal


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer that is no plain JSON made from the route's ``answer`` type."""

    body: Any
    """Bytes, or a Quart response body, or a value of the ``answer`` type."""
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    endless: bool = False
    """It goes on until the client leaves: no time limit for the whole."""


Handler = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True, kw_only=True)
class Route:
    """One method of one path."""

    method: Method
    path: str
    """As Quart writes it: ``/v1/sources/<name>``."""
    summary: str
    """One line, for the list of routes."""
    handler: Handler
    scope: str | None
    """What a caller must have been granted; None: anybody may call."""
    rate: str = "reads"
    """The class of calls that it is counted in."""
    cost: int = 1
    """How many calls of that class it counts as."""
    changes: bool = False
    """It changes something: it is carried out to its end even if its caller leaves, and once for each
    ``Idempotency-Key``."""
    seconds: float | None = None
    """How long it may take, where that is more than other routes have."""
    description: str = ""
    query: type[Input] | None = None
    body: type[BaseModel] | type[bytes] | None = None
    """A model of JSON, or ``bytes`` for what is handed on as it came."""
    body_types: Sequence[str] = ("application/json",)
    """Content types of a body that it takes."""
    answer: Any = None
    """The type of what it answers; None where it is not JSON."""
    status: int = 200
    """Of an answer that is no error."""
    content_type: str = "application/json"
    statuses: Mapping[int, str] = field(default_factory=dict)
    """Further answers of its own: status → when."""
    is_probe: bool = False
    """Probes come by address and often: the Host header is not checked, and calls that succeed are not logged."""
    is_scrape: bool = False
    """Called often: calls that succeed are not logged."""

    @property
    def operation(self) -> str:
        """Its name in the description, unique: ``get_v1_sources_name``."""
        words = self.path.replace("<", "").replace(">", "").replace(".", "_").strip("/").split("/")
        return "_".join([self.method.lower(), *filter(None, words)]).replace("-", "_")


@cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    """pydantic's view of a type; made at the first use, since making it takes a while."""
    return TypeAdapter(kind)


def page_of(items: list[Item], key: Callable[[Item], str], query: PageQuery) -> Page[Item]:
    """The part of a list that was asked for, sorted by a key that is unique."""
    rest = sorted((item for item in items if key(item) > query.after), key=key)
    shown = rest[: query.limit]
    more = len(rest) > len(shown)
    return Page(items=tuple(shown), next=key(shown[-1]) if more else None)


def number_in(text: str, what: str, *, most: int = 2**63 - 1) -> int:
    """A whole number out of a path or an ``after``.

    Raises:
        Problem: it is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= most):
        raise Problem(400, f"{what}: expected a number", code="invalid")
    return int(text)
