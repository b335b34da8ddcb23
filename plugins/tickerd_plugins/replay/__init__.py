"""The replay source: plays what the file sink has recorded, at its pace, faster, or flat out."""

from tickerd.plugin import hookimpl
from tickerd_plugins.replay.source import ReplaySource

TICKERD_API = 0

__all__ = ["TICKERD_API", "ReplaySource", "tickerd_sources"]


@hookimpl
def tickerd_sources() -> type[ReplaySource]:
    """The source type of this plugin."""
    return ReplaySource
