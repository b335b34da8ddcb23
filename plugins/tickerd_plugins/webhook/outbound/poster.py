"""Posts to one endpoint: connections are kept for the next request, and everything has an end."""

from collections import deque
from dataclasses import dataclass
from ssl import SSLContext
from types import TracebackType
from typing import Self

import trio

from tickerd_plugins.webhook.outbound import headers as header
from tickerd_plugins.webhook.outbound.connect import Connector, Dialer
from tickerd_plugins.webhook.outbound.errors import Unreachable
from tickerd_plugins.webhook.outbound.exchange import Answer, Exchange, RawHeaders, Stale
from tickerd_plugins.webhook.outbound.limits import Limits
from tickerd_plugins.webhook.outbound.policy import Own, Policy
from tickerd_plugins.webhook.outbound.resolve import Resolver
from tickerd_plugins.webhook.outbound.target import Target

_CLOSE_WITHIN = 2.0
"""For all kept connections together."""


@dataclass(frozen=True, slots=True)
class Response:
    """What came of one request."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """Names in lower case."""
    body: bytes
    """The first bytes, as they came: never decompressed, and nothing to be trusted in a log."""
    took_s: float
    reused: bool
    """Whether it went over a connection that was open already."""

    def header(self, name: str) -> str | None:
        """The first header of this name in lower case."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def retry_after(self) -> str | None:
        """As sent; see `retry_after.seconds`."""
        return self.header("retry-after")

    @property
    def location(self) -> str | None:
        """Where a redirect points. Nothing follows it."""
        return self.header("location")


class _Progress:
    """What a request is at, for the text of a timeout."""

    doing = "connecting"


class Poster:
    """Posts to one endpoint. An async context manager: leaving it closes the kept connections.

    `post` may be called by several tasks at once; each request has a connection to itself. Nothing is retried, except
    once at once when a kept connection turns out to have been closed meanwhile. Redirects are not followed; proxies,
    ``.netrc`` and cookies do not exist here.

    Args:
        policy: what may be posted to; checked at every connect.
        resolver: see `Connector`, as the three behind it.
    """

    def __init__(
        self,
        policy: Policy | None = None,
        limits: Limits | None = None,
        *,
        resolver: Resolver | None = None,
        dialer: Dialer | None = None,
        own: Own | None = None,
        tls: SSLContext | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._connector = Connector(
            policy or Policy(), self._limits, resolver=resolver, dialer=dialer, own=own, tls=tls
        )
        self._kept: deque[tuple[Target, Exchange]] = deque()
        """The longest unused first."""
        self._something_kept = trio.Event()
        self._era = 0
        """Grows when all connections of before are to be given up."""
        self._closed = False

    async def __aenter__(self) -> Self:
        self._manager = trio.open_nursery()
        self._nursery = await self._manager.__aenter__()
        self._nursery.start_soon(self._close_expired)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        self._nursery.cancel_scope.cancel()
        try:
            # without the exception, which would come out wrapped in a group: it has nothing to do with the nursery
            await self._manager.__aexit__(None, None, None)  # noqa: ASYNC102  (cancelled, and closes in bounded time)
        finally:
            with trio.move_on_after(_CLOSE_WITHIN, shield=True):
                await self.forget()

    async def check(self, target: Target) -> None:
        """Look the target's name up and check its addresses, without a connection: a courtesy, not the control.

        Raises:
            Unreachable: ``dns`` or ``refused_by_policy``.
        """
        await self._connector.admitted(target)

    async def forget(self) -> None:
        """Give up all connections: kept ones now, busy ones after their request. For a changed URL or policy."""
        self._era += 1
        while self._kept:
            await self._kept.popleft()[1].aclose()

    async def post(self, target: Target, headers: header.Headers, body: bytes) -> Response:
        """Send one request and read its answer, whatever its status.

        Args:
            headers: all but those that concern the connection and the body's length.

        Raises:
            Unreachable: no usable answer.
            ValueError: a header that cannot be sent.
        """
        lines = _lines(target, headers, len(body))
        started = trio.current_time()
        progress = _Progress()
        with trio.move_on_after(self._limits.total):
            answer, reused = await self._post(target, lines, body, progress)
            return Response(answer.status, answer.headers, answer.body, trio.current_time() - started, reused)
        raise Unreachable(
            "timeout",
            f"{target.origin}: no complete answer within {self._limits.total:g} s (while {progress.doing})",
        )

    async def _post(
        self, target: Target, lines: RawHeaders, body: bytes, progress: _Progress
    ) -> tuple[Answer, bool]:
        if kept := await self._take(target):
            progress.doing = "waiting for the answer"
            try:
                return await self._use(target, kept, lines, body), True
            except Stale:
                progress.doing = "connecting"
        link = await self._connector.connect(target)
        progress.doing = "waiting for the answer"
        return await self._use(target, Exchange(link, self._limits), lines, body), False

    async def _use(self, target: Target, exchange: Exchange, lines: RawHeaders, body: bytes) -> Answer:
        era = self._era
        try:
            answer = await exchange.post(target.resource, lines, body)
        except BaseException:
            await trio.aclose_forcefully(exchange)
            raise
        if exchange.end_request() and era == self._era and self._has_room():
            self._kept.append((target, exchange))
            self._something_kept.set()
        else:
            await exchange.aclose()
        return answer

    def _has_room(self) -> bool:
        return len(self._kept) < self._limits.idle_connections and not self._closed

    async def _take(self, target: Target) -> Exchange | None:
        """A kept connection to the same place, the one used last."""
        now = trio.current_time()
        while self._kept:
            where, exchange = self._kept.pop()
            if where.origin == target.origin and exchange.fresh(now):
                return exchange
            await trio.aclose_forcefully(exchange)
        return None

    async def _close_expired(self) -> None:
        """Close what nobody has used for a while, so that it does not wait for the next request."""
        while True:
            await self._something_kept.wait()
            self._something_kept = trio.Event()
            while self._kept:
                _, oldest = self._kept[0]
                due = oldest.idle_since + self._limits.idle
                if due > trio.current_time():
                    await trio.sleep_until(due)
                else:
                    self._kept.popleft()
                    await oldest.aclose()


def _lines(target: Target, headers: header.Headers, length: int) -> list[tuple[bytes, bytes]]:
    for name, value in headers:
        if why := header.trouble(name, value):
            raise ValueError(why)
    return [
        (b"host", target.authority.encode()),
        *((name.encode(), value.encode()) for name, value in headers),
        (b"content-length", b"%d" % length),
        (b"accept-encoding", b"identity"),
    ]
