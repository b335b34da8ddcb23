"""Every route of the control API, by noun."""

from tickerd.control.route import Route
from tickerd.control.routes.config import ROUTES as CONFIG
from tickerd.control.routes.description import ROUTES as DESCRIPTION
from tickerd.control.routes.events import ROUTES as EVENTS
from tickerd.control.routes.health import ROUTES as HEALTH
from tickerd.control.routes.instruments import ROUTES as INSTRUMENTS
from tickerd.control.routes.metrics import ROUTES as METRICS
from tickerd.control.routes.plugins import ROUTES as PLUGINS
from tickerd.control.routes.quotes import ROUTES as QUOTES
from tickerd.control.routes.sinks import ROUTES as SINKS
from tickerd.control.routes.sources import ROUTES as SOURCES
from tickerd.control.routes.status import ROUTES as STATUS
from tickerd.control.routes.subscriptions import ROUTES as SUBSCRIPTIONS

ROUTES: tuple[Route, ...] = (
    *HEALTH,
    *METRICS,
    *DESCRIPTION,
    *STATUS,
    *SOURCES,
    *SINKS,
    *PLUGINS,
    *INSTRUMENTS,
    *QUOTES,
    *SUBSCRIPTIONS,
    *CONFIG,
    *EVENTS,
)
"""Health and description first; then what stands under ``/v1``."""
