"""Posting to an address that somebody else has chosen: what may be posted to, and a client that gives nothing away."""

from tickerd_plugins.webhook.outbound.connect import tls_context
from tickerd_plugins.webhook.outbound.errors import PUBLIC_TEXT, BadUrl, Kind, Unreachable, evenly
from tickerd_plugins.webhook.outbound.limits import Limits
from tickerd_plugins.webhook.outbound.options import AllowPrivate, Port
from tickerd_plugins.webhook.outbound.policy import Own, Policy
from tickerd_plugins.webhook.outbound.poster import Poster, Response
from tickerd_plugins.webhook.outbound.retry_after import seconds as retry_after_s
from tickerd_plugins.webhook.outbound.target import Target

__all__ = [
    "PUBLIC_TEXT",
    "AllowPrivate",
    "BadUrl",
    "Kind",
    "Limits",
    "Own",
    "Policy",
    "Port",
    "Poster",
    "Response",
    "Target",
    "Unreachable",
    "evenly",
    "retry_after_s",
    "tls_context",
]
