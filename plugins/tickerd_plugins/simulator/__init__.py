"""A fake Kite Connect: ``tickerd simulate``, a source for trying sinks, `open_simulator` for tests."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from tickerd.plugin import Codec, Source, hookimpl
from tickerd_plugins.simulator.command import simulate

if TYPE_CHECKING:
    from tickerd_plugins.simulator.connection import Connection
    from tickerd_plugins.simulator.numbered import Sent, read_numbered
    from tickerd_plugins.simulator.options import SimulatorOptions
    from tickerd_plugins.simulator.server import open_simulator
    from tickerd_plugins.simulator.simulator import Simulator
    from tickerd_plugins.simulator.universe import Universe

TICKERD_API = 0

_LAZY = {
    "Connection": "connection",
    "Sent": "numbered",
    "Simulator": "simulator",
    "SimulatorOptions": "options",
    "Universe": "universe",
    "open_simulator": "server",
    "read_numbered": "numbered",
}
"""Loaded at the first use, so that a daemon which only names the plugin does not load a web server."""

__all__ = [
    "TICKERD_API",
    "Connection",
    "Sent",
    "Simulator",
    "SimulatorOptions",
    "Universe",
    "open_simulator",
    "read_numbered",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)


@hookimpl
def tickerd_commands() -> Sequence[click.Command]:
    """Adds ``tickerd simulate``."""
    return (simulate,)


@hookimpl
def tickerd_sources() -> type[Source]:
    """Adds ``use: simulator``."""
    from tickerd_plugins.simulator.source import SimulatorSource  # noqa: PLC0415

    return SimulatorSource


@hookimpl
def tickerd_codecs() -> Sequence[Codec]:
    """The source publishes Kite's binary frames."""
    from tickerd.wire.kite import KITE  # noqa: PLC0415

    return (KITE,)
