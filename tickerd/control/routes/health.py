"""Is it alive, is it ready, how does it stand: for load balancers, probes and people."""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from tickerd.control.problem import Problem
from tickerd.control.reception import unauthenticated
from tickerd.control.route import Call, Input, Reply, Route
from tickerd.observe.health import Health, Reason, assess, components
from tickerd.observe.picture import Picture, Shown

SCOPE = "status:read"
KINDS = frozenset({"daemon", "sources", "sinks", "registry", "journal", "config", "clock", "loop"})
"""Components that every daemon has, so that asking for them tells nothing."""

UpOrDown = Literal["up", "down"]


@dataclass(frozen=True, kw_only=True)
class Probe(Shown):
    """All that callers learn who have not been granted more."""

    status: UpOrDown


@dataclass(frozen=True, kw_only=True)
class DetailedProbe(Probe):
    """The verdict with its reasons."""

    reasons: tuple[Reason, ...]
    """What is failing first, then warnings."""


@dataclass(frozen=True, kw_only=True)
class Overview(DetailedProbe):
    """The verdict with its reasons, and the whole picture."""

    picture: Picture


class ReadyQuery(Input):
    """Which part to judge."""

    component: str | None = Field(None, max_length=128)
    """daemon, sources, sinks, registry, journal, config, clock, loop, or one of them such as source.kite."""


def may_see(call: Call) -> bool:
    """Whether the caller is told more than up or down."""
    return call.principal is not None and call.principal.may(SCOPE)


async def livez(call: Call) -> Reply:
    """That this is answered at all is the answer."""
    del call
    return Reply(body=Probe(status="up"))


async def readyz(call: Call) -> Reply:
    """The verdict of `tickerd.observe.health.assess`."""
    component: str | None = call.query.component
    detailed = may_see(call)
    if component is not None and component not in KINDS and not detailed:
        raise unauthenticated(f"this component is shown to callers with the scope {SCOPE!r}")
    picture = call.facade.picture()
    if component is not None and component not in components(picture):
        known = ", ".join(sorted(components(picture)))
        raise Problem(404, f"no such component; there are {known}")
    verdict = assess(picture, call.facade.thresholds, component)
    body = DetailedProbe(status=word(verdict), reasons=verdict.reasons) if detailed else _probe(verdict)
    return Reply(body=body, status=200 if verdict.ready else 503)


async def health(call: Call) -> Reply:
    """Everything at once."""
    picture = call.facade.picture()
    verdict = assess(picture, call.facade.thresholds)
    if not may_see(call):
        return Reply(body=_probe(verdict))
    return Reply(body=Overview(status=word(verdict), reasons=verdict.reasons, picture=picture))


def word(verdict: Health) -> UpOrDown:
    """The verdict in a word."""
    return "up" if verdict.ready else "down"


def _probe(verdict: Health) -> Probe:
    return Probe(status=word(verdict))


ROUTES = (
    Route(
        method="GET",
        path="/livez",
        summary="Whether the event loop moves",
        handler=livez,
        scope=None,
        answer=Probe,
        is_probe=True,
    ),
    Route(
        method="GET",
        path="/readyz",
        summary="Whether ticks flow as they should",
        description="Units up, logged in, data fresh, journal writing. Reasons need the scope `status:read`.",
        handler=readyz,
        scope=None,
        query=ReadyQuery,
        answer=DetailedProbe | Probe,
        statuses={503: "Not ready.", 404: "No such component."},
        is_probe=True,
    ),
    Route(
        method="GET",
        path="/health",
        summary="The verdict, its reasons and the whole picture",
        description="Always 200. Callers without the scope `status:read` see only up or down.",
        handler=health,
        scope=None,
        answer=Overview | Probe,
    ),
)
