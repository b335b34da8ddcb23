"""A plugin for tickerd: the hooks that its entry point leads to, and nothing else.

The imports stand inside the hooks: a configuration that uses only the sink does not import the source.
"""

from collections.abc import Sequence

import click
from tickerd.plugin import Authenticator, ServingSink, Sink, Source, hookimpl

TICKERD_API = 0
"""The version of the plugin API that this was written for."""


@hookimpl
def tickerd_sources() -> type[Source]:
    """The source type of this plugin."""
    from tickerd_example.source import ExampleSource

    return ExampleSource


@hookimpl
def tickerd_sinks() -> type[Sink] | type[ServingSink]:
    """The sink type of this plugin."""
    from tickerd_example.sink import LatestSink

    return LatestSink


@hookimpl
def tickerd_authenticators() -> type[Authenticator]:
    """The authenticator type of this plugin."""
    from tickerd_example.auth import TokenFile

    return TokenFile


@hookimpl
def tickerd_commands() -> Sequence[click.Command]:
    """Commands to add to ``tickerd``'s command line."""
    from tickerd_example.feed import example_feed

    return [example_feed]
