"""The exceptions that plugins raise on purpose and the host understands, and which others may pass."""

import trio


class Retry(Exception):
    """Raised by a sink's ``write``: nothing of this batch was taken, offer it again later.

    Args:
        reason: short words for logs and status, for example ``"disk full"``; never a secret.
        after: seconds to wait at least; None leaves it to the sink's ``retry`` option.
        weight: for how many failures it counts with the sink's breaker; 0 when the other side is not to blame.
        response: what the other side answered; its first bytes are kept with a dead letter.
    """

    def __init__(
        self, reason: str, after: float | None = None, *, weight: int = 1, response: bytes = b""
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after
        self.weight = weight
        self.response = response


class Rejected(Exception):
    """Raised by a source or sink when the other side refused it for good until a person acts."""


class OptionConflict(ValueError):
    """Raised by a sink's ``common``: one of the options that every sink has does not go with this sink's own.

    Args:
        option: its name, or its dotted path such as ``batch.max_ticks``.
        text: what is wrong; holds nothing that was written there.
        hint: what to do.
    """

    def __init__(self, option: str, text: str, hint: str | None = None) -> None:
        super().__init__(text)
        self.option = option
        self.text = text
        self.hint = hint


class Closed(RuntimeError):
    """A context was used after its unit had been stopped."""


MAY_PASS: tuple[type[Exception], ...] = (OSError, trio.BrokenResourceError, trio.TooSlowError, Retry)
"""What an outage raises: the unit is restarted for ever, with back-off. Anything else is taken for a bug."""


def may_pass(error: BaseException) -> bool:
    """Whether trying again can help; a group may pass when everything in it may."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(may_pass, error.exceptions))
    return isinstance(error, MAY_PASS)
