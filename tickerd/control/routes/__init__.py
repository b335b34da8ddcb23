"""Every route of the control API, by noun."""

from tickerd.control.route import Route
from tickerd.control.routes.audit import ROUTES as AUDIT
from tickerd.control.routes.config import ROUTES as CONFIG
from tickerd.control.routes.dead_letters import ROUTES as DEAD_LETTERS
from tickerd.control.routes.description import ROUTES as DESCRIPTION
from tickerd.control.routes.events import ROUTES as EVENTS
from tickerd.control.routes.health import ROUTES as HEALTH
from tickerd.control.routes.instruments import ROUTES as INSTRUMENTS
from tickerd.control.routes.keys import ROUTES as KEYS
from tickerd.control.routes.login import ROUTES as LOGIN
from tickerd.control.routes.metrics import ROUTES as METRICS
from tickerd.control.routes.plugins import ROUTES as PLUGINS
from tickerd.control.routes.quotes import ROUTES as QUOTES
from tickerd.control.routes.sinks import ROUTES as SINKS
from tickerd.control.routes.sources import ROUTES as SOURCES
from tickerd.control.routes.status import ROUTES as STATUS
from tickerd.control.routes.subscriptions import ROUTES as SUBSCRIPTIONS
from tickerd.control.routes.tap import ROUTES as TAP
from tickerd.control.routes.tickets import ROUTES as TICKETS
from tickerd.control.routes.webhooks import ROUTES as WEBHOOKS

ROUTES: tuple[Route, ...] = (
    *HEALTH,
    *METRICS,
    *DESCRIPTION,
    *STATUS,
    *SOURCES,
    *LOGIN,
    *SINKS,
    *PLUGINS,
    *INSTRUMENTS,
    *QUOTES,
    *SUBSCRIPTIONS,
    *DEAD_LETTERS,
    *WEBHOOKS,
    *CONFIG,
    *KEYS,
    *AUDIT,
    *TICKETS,
    *EVENTS,
    *TAP,
)
"""Health and description first; then what stands under ``/v1``."""
