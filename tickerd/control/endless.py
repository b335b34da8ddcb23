"""Answers that go on until the client leaves, the server stops, or the credential ends."""

from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Self

import trio
from quart.wrappers.response import ResponseBody

from tickerd.control.route import Call

HEARTBEAT_S = 15.0
"""Between two signs of life; a client that has gone is noticed by then at the latest."""


class Endless(ResponseBody):
    """The body of one such answer, piece by piece."""

    first = b""
    """Sent at once, so that the client knows that it was let in."""
    alive = b""
    """A sign of life."""
    bye = b""
    """The last piece, where it is not the client who ends it."""

    def __init__(self, call: Call, *, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._principal = call.principal
        self._clock = call.facade.clock
        self._stopping = call.stopping
        self._heartbeat_s = heartbeat_s
        self._leaving = ExitStack()
        self._said_first = self._said_bye = False

    @abstractmethod
    def join(self, leaving: ExitStack) -> None:
        """Begin to listen, and register how to end it."""

    @abstractmethod
    async def wait(self) -> None:
        """Until `take` has something, or the stream has ended."""

    @abstractmethod
    def take(self) -> bytes:
        """What there is; may be nothing."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return False

    async def __aenter__(self) -> Self:
        self.join(self._leaving)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.close()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """What has come, or a sign of life."""
        if not self._said_first and self.first:
            self._said_first = True
            return self.first
        if self._said_bye or self.is_over:
            raise StopAsyncIteration
        if self._may_go_on():
            with trio.move_on_after(self._heartbeat_s):
                await self._wait()
        if not self._may_go_on():
            self._said_bye = True
            if self.bye:
                return self.bye
            raise StopAsyncIteration
        piece = self.take()
        if not piece and self.is_over:
            raise StopAsyncIteration
        return piece or self.alive

    def _may_go_on(self) -> bool:
        principal = self._principal
        valid = principal is None or principal.validity.holds(self._clock.now_ns())
        return valid and not self._stopping.is_set()

    async def _wait(self) -> None:
        """Until something happens that concerns this stream."""
        async with trio.open_nursery() as nursery:

            async def first(wait: Callable[[], Awaitable[object]]) -> None:
                await wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(first, self.wait)
            nursery.start_soon(first, self._stopping.wait)
            if self._principal is not None:
                nursery.start_soon(first, partial(self._principal.until_ended, self._clock))
