"""Figures for Prometheus."""

from prometheus_client.exposition import choose_encoder

from tickerd.control.metrics import exposition
from tickerd.control.route import Call, Reply, Route


async def metrics(call: Call) -> Reply:
    """In the text format or OpenMetrics, as the scraper likes."""
    encode, content_type = choose_encoder(call.headers.get("accept", ""))
    body = exposition(call.facade.picture(), call.registries, encode)
    return Reply(body=body, content_type=content_type)


ROUTES = (
    Route(
        method="GET",
        path="/metrics",
        summary="Figures for Prometheus",
        handler=metrics,
        scope="metrics:read",
        content_type="text/plain",
        is_probe=True,
    ),
)
