"""What can go wrong on the way to an endpoint, in two texts: one for the log, one for whoever may not know more."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import trio

Kind = Literal["refused_by_policy", "dns", "connect", "tls", "timeout", "protocol", "too_large"]

PUBLIC_TEXT = "the endpoint could not be reached, or is not one that may be posted to"
"""The only text for callers without the admin scope: the reason would make tickerd a port scanner for them."""


class BadUrl(ValueError):
    """A URL that no policy admits; its text is the same for every reason.

    Args:
        detail: what is wrong, for the log, the command line and administrators.
    """

    public_text = PUBLIC_TEXT

    def __init__(self, detail: str) -> None:
        super().__init__(PUBLIC_TEXT)
        self.detail = detail


class Unreachable(Exception):
    """No usable answer came; its text is the same for every reason.

    Args:
        kind: how it failed. ``refused_by_policy`` does not pass by waiting, all others may.
        detail: where and why, for the log and administrators; holds no path and no header.
    """

    public_text = PUBLIC_TEXT

    def __init__(self, kind: Kind, detail: str) -> None:
        super().__init__(PUBLIC_TEXT)
        self.kind = kind
        self.detail = detail


@asynccontextmanager
async def evenly(seconds: float) -> AsyncIterator[None]:
    """Let a refusal out only after so many seconds, so that time does not tell refused from denied from lost.

    For requests made for a caller without the admin scope. What goes well is not held up.
    """
    due = trio.current_time() + seconds
    refusal: BadUrl | Unreachable | None = None
    try:
        yield
    except (BadUrl, Unreachable) as error:
        refusal = error
    if refusal is not None:
        await trio.sleep_until(due)
        raise refusal
