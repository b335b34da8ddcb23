"""One dial at a time for all connections of a login, and none at all while its token is known to be refused."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import trio

from tickerd_plugins.kite.outage import REFUSED_WAIT, Outage

Explain = Callable[[Outage, str], Awaitable[Outage]]
"""Finds out more about why a token was refused, and says it in words."""


class _Refusal(NamedTuple):
    token: str
    until: float
    outage: Outage


class Gate:
    """Shared by the connections of a login: the broker sees at most one attempt a minute with a dead token.

    Args:
        explain: called once for each refusal; nobody dials meanwhile.
        accepted: called with each token that the broker has taken.
    """

    def __init__(
        self, explain: Explain | None = None, accepted: Callable[[str], None] = lambda _: None
    ) -> None:
        self._explain = explain
        self._accepted = accepted
        self._turn = trio.Lock()
        self._refusal: _Refusal | None = None
        self._opened = trio.Event()

    async def enter(self, token: str) -> None:
        """Wait for the dials of others; whoever comes in calls `leave` when his own is over.

        Raises:
            Outage: the token was refused less than a minute ago.
        """
        await self._turn.acquire()
        refusal = self._refusal
        if refusal is not None and refusal.token == token and trio.current_time() < refusal.until:
            self._turn.release()
            wait = refusal.until - trio.current_time()
            raise Outage(refusal.outage.reason, refusal.outage.detail, wait, at_least=0.0)

    def leave(self, token: str) -> None:
        """The dial has succeeded. Does nothing for whoever is not in."""
        if not self._mine():
            return
        self._turn.release()
        self._accepted(token)
        if self._refusal is not None:
            self._refusal = None
            self._opened.set()
            self._opened = trio.Event()

    async def failed(self, token: str, outage: Outage) -> Outage:
        """The dial has failed; returns the reason with what else could be found out. See `leave`."""
        if not self._mine():
            return outage
        try:
            if outage.reason == "auth":
                until = trio.current_time() + REFUSED_WAIT
                self._refusal = _Refusal(token, until, outage)
                if self._explain is not None:
                    outage = await self._explain(outage, token)
                self._refusal = _Refusal(token, until, outage)
        finally:
            self._turn.release()
        return outage

    def abandon(self) -> None:
        """Whoever is in was stopped."""
        if self._mine():
            self._turn.release()

    async def reopened(self) -> None:
        """Wait until a token that had been refused was taken."""
        await self._opened.wait()

    def _mine(self) -> bool:
        return self._turn.statistics().owner is trio.lowlevel.current_task()
