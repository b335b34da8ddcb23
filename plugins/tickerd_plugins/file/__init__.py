"""The file sink: ticks as JSON lines or CSV, one file per day and whatever else the path names."""

from tickerd.plugin import hookimpl
from tickerd_plugins.file.sink import FileSink

TICKERD_API = 0

__all__ = ["TICKERD_API", "FileSink", "tickerd_sinks"]


@hookimpl
def tickerd_sinks() -> type[FileSink]:
    """The sink type of this plugin."""
    return FileSink
