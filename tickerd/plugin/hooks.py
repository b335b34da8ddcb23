"""Every hook a plugin can implement. They declare types and observe; none lies on the path of a tick."""

from collections.abc import Sequence
from typing import Any

import click
import pluggy

from tickerd.plugin.auth import Authenticator
from tickerd.plugin.codec import Codec
from tickerd.plugin.ratelimit import RateLimiter
from tickerd.plugin.sink import ServingSink, Sink
from tickerd.plugin.source import Source

API_VERSION = 0
"""Version of this plugin API. A plugin module says which one it was written for: ``TICKERD_API = 0``."""

PROJECT = "tickerd"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a plugin's function as the implementation of the hook of that name."""


@hookspec
def tickerd_sources() -> type[Source] | None:
    """The source type of this plugin."""


@hookspec
def tickerd_sinks() -> type[Sink] | type[ServingSink] | None:
    """The sink type of this plugin."""


@hookspec
def tickerd_codecs() -> Sequence[Codec]:  # type: ignore[empty-body]
    """Codecs for the wire formats that this plugin publishes."""


@hookspec
def tickerd_authenticators() -> type[Authenticator] | None:
    """The authenticator type of this plugin."""


@hookspec
def tickerd_rate_limiters() -> type[RateLimiter] | None:
    """The rate limiter type of this plugin."""


@hookspec
def tickerd_commands() -> Sequence[click.Command]:  # type: ignore[empty-body]
    """Commands to add to ``tickerd``'s command line."""


@hookspec
def tickerd_settings_applied(settings: Any) -> None:
    """A configuration has been applied. ``settings`` is frozen, its secrets do not print."""


@hookspec
def tickerd_unit_changed(unit: str, state: str, detail: str) -> None:
    """A unit (``source.kite``) is in another state. Must return at once."""
