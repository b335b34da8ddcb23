"""Figures for Prometheus."""

from tickerd.control.metrics import exposition
from tickerd.control.route import Call, Reply, Route
from tickerd.observe.health import assess


async def metrics(call: Call) -> Reply:
    """In the text format or OpenMetrics, as the scraper likes."""
    picture = call.facade.picture()
    verdict = assess(picture, call.facade.thresholds)
    body, content_type = exposition(picture, verdict, call.collectors, call.headers.get("accept", ""))
    return Reply(body=body, content_type=content_type)


ROUTES = (
    Route(
        method="GET",
        path="/metrics",
        summary="Figures for Prometheus",
        handler=metrics,
        scope="metrics:read",
        content_type="text/plain",
        is_scrape=True,
    ),
)
