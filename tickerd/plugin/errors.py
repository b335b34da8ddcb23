"""The exceptions that plugins raise on purpose and the host understands, and which others may pass."""

import trio


class Retry(Exception):
    """Raised by a sink's ``write``: nothing of this batch was taken, offer it again later.

    Args:
        reason: short words for logs and status, for example ``"disk full"``; never a secret.
        after: seconds to wait at least; None leaves it to the sink's ``retry`` option.
    """

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after


class Rejected(Exception):
    """Raised by a source or sink when the other side refused it for good until a person acts."""


class Closed(RuntimeError):
    """A context was used after its unit had been stopped."""


MAY_PASS: tuple[type[Exception], ...] = (OSError, trio.BrokenResourceError, trio.TooSlowError, Retry)
"""What an outage raises: the unit is restarted for ever, with back-off. Anything else is taken for a bug."""


def may_pass(error: BaseException) -> bool:
    """Whether trying again can help; a group may pass when everything in it may."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(may_pass, error.exceptions))
    return isinstance(error, MAY_PASS)
