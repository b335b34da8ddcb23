"""What the faces of one sink share while it runs."""

from collections.abc import Callable
from dataclasses import dataclass

from tickerd.plugin import Position, Principal, ServingContext
from tickerd_plugins.websocket.demand import Wants
from tickerd_plugins.websocket.options import WebsocketOptions


def _no_farewell(principal: Principal) -> str | None:
    del principal
    return None


@dataclass(frozen=True)
class Shared:
    """Made at the start of a run."""

    ctx: ServingContext
    wants: Wants
    options: WebsocketOptions
    joined: Position = Position(0, 0)  # noqa: RUF009 - a NamedTuple is immutable
    """Everything that is published after it is distributed."""
    farewell: Callable[[Principal], str | None] = _no_farewell
    """How somebody's last connection ended, if that is not long ago."""
