"""What one Kite client has asked for: its tokens and their modes, changed by the broker's three actions."""

from collections.abc import Iterable
from typing import NamedTuple

from tickerd.plugin import Mode
from tickerd.wire.kite import text

DEFAULT_MODE: Mode = "quote"
"""Of a bare ``subscribe``."""


class Change(NamedTuple):
    """What a message changed."""

    fresh: dict[int, Mode]
    """New, or in another mode now: their newest packets are due."""
    gone: tuple[int, ...] = ()
    """No longer wanted."""
    surplus: int = 0
    """Left out because they are more than a connection may have."""


NOTHING = Change({})


class Wants:
    """The subscriptions of one connection.

    Args:
        limit: the most tokens.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.modes: dict[int, Mode] = {}
        """Token → mode."""

    def ask(self, message: str | bytes) -> Change:
        """Do what a message asks. As with the broker nothing is acknowledged, and what asks nothing is ignored.

        ``mode`` subscribes what was not subscribed. Asking again for what is held changes nothing.
        """
        try:
            request = text.request(message, numerals=True)
        except ValueError:
            return NOTHING
        if request.action == "unsubscribe":
            return self._drop(request.tokens)
        return self._add(request.tokens, request.mode)

    def _add(self, tokens: Iterable[int], mode: Mode | None) -> Change:
        fresh: dict[int, Mode] = {}
        refused: set[int] = set()
        for token in tokens:
            held = self.modes.get(token)
            wanted = mode or held or DEFAULT_MODE
            if held is None and len(self.modes) >= self.limit:
                refused.add(token)
            elif held != wanted:
                self.modes[token] = fresh[token] = wanted
        return Change(fresh, surplus=len(refused))

    def _drop(self, tokens: Iterable[int]) -> Change:
        return Change({}, gone=tuple(token for token in tokens if self.modes.pop(token, None) is not None))
