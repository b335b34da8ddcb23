"""Webhooks: a sink that posts signed events and batches of ticks, and a source that takes verified ones in."""

from tickerd.plugin import Sink, Source, hookimpl

TICKERD_API = 0

__all__ = ["TICKERD_API", "tickerd_sinks", "tickerd_sources"]


@hookimpl
def tickerd_sinks() -> type[Sink]:
    """The sink ``use: webhook``."""
    from tickerd_plugins.webhook.sink import WebhookSink  # noqa: PLC0415 - TLS, only when it is used

    return WebhookSink


@hookimpl
def tickerd_sources() -> type[Source]:
    """The source ``use: webhook``."""
    from tickerd_plugins.webhook.source import WebhookSource  # noqa: PLC0415 - without what the sink needs

    return WebhookSource
