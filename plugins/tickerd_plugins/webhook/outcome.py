"""What an answer, or its absence, means for a delivery. Pure."""

from urllib.parse import urlsplit

from tickerd.plugin import Rejected, Retry
from tickerd_plugins.webhook.outbound import Response, Unreachable, retry_after_s

GONE = 410
BUSY = frozenset((429, 503))
"""What may say when to come again."""
PASSING = frozenset((408, 425))
"""Of those below 500, what may be different next time."""


def failure(response: Response, now_s: float) -> Retry | Rejected | None:
    """Why this answer is no delivery; None when it is one.

    Args:
        now_s: seconds since 1970 UTC.
    """
    status = response.status
    if 200 <= status < 300:
        return None
    if status == GONE:
        return Rejected("disabled: the endpoint answered 410, that it is gone for good")
    after = None
    if status in BUSY and response.retry_after is not None:
        after = retry_after_s(response.retry_after, now_s)
    refused = 400 <= status < 500 and status not in BUSY | PASSING
    reason = f"status {status}"
    if 300 <= status < 400:
        reason += f", which is not followed{_place(response.location)}"
    return Retry(reason, after, weight=2 if refused else 1, response=response.body)


def unreached(error: Unreachable) -> Retry | Rejected:
    """Why there was no answer, in the words for everybody; the reason is for the log."""
    if error.kind == "refused_by_policy":
        return Rejected(f"blocked: {error.public_text}; the log says why")
    return Retry(error.public_text)


def _place(location: str | None) -> str:
    """Where a redirect leads, without what may be a secret."""
    try:
        parts = urlsplit(location or "")
        host = parts.hostname
    except ValueError:
        return ""
    return f" (to {host[:100]!r})" if host else ""
