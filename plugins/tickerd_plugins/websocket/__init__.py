"""The WebSocket sink: one feed for any number of clients, and for programs on Kite's own clients."""

from tickerd.plugin import hookimpl
from tickerd_plugins.websocket.sink import WebsocketSink

TICKERD_API = 0

__all__ = ["TICKERD_API", "WebsocketSink", "tickerd_sinks"]


@hookimpl
def tickerd_sinks() -> type[WebsocketSink]:
    """The sink type of this plugin."""
    return WebsocketSink
