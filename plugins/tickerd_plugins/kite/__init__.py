"""The kite source: market data from Zerodha's Kite Connect over its WebSocket."""

from collections.abc import Sequence

from tickerd.plugin import Codec, Source, hookimpl
from tickerd.wire.kite import KITE
from tickerd_plugins.kite.source import KiteSource

TICKERD_API = 0

__all__ = ["TICKERD_API", "KiteSource", "tickerd_codecs", "tickerd_sources"]


@hookimpl
def tickerd_sources() -> type[Source]:
    """The source ``use: kite``."""
    return KiteSource


@hookimpl
def tickerd_codecs() -> Sequence[Codec]:
    """Kite's binary frames."""
    return [KITE]
