"""Every route of the control API, by noun."""

from tickerd.control.route import Route
from tickerd.control.routes import (
    config,
    description,
    events,
    health,
    instruments,
    metrics,
    plugins,
    quotes,
    sinks,
    sources,
    status,
    subscriptions,
)

ROUTES: tuple[Route, ...] = (
    *health.ROUTES,
    *metrics.ROUTES,
    *description.ROUTES,
    *status.ROUTES,
    *sources.ROUTES,
    *sinks.ROUTES,
    *plugins.ROUTES,
    *instruments.ROUTES,
    *quotes.ROUTES,
    *subscriptions.ROUTES,
    *config.ROUTES,
    *events.ROUTES,
)
"""Health and description first; then what stands under ``/v1``."""
