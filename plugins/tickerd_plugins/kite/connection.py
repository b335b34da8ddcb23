"""One upstream connection: dialled, kept up, dialled again, and the records that tell of its outages."""

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple

import trio

from tickerd.plugin import Batch, Gap, Mode, SourceContext, Status
from tickerd_plugins.kite.backoff import BackOff
from tickerd_plugins.kite.credentials import Credentials
from tickerd_plugins.kite.options import KiteOptions
from tickerd_plugins.kite.outage import Outage, Reason, State, outages
from tickerd_plugins.kite.session import Session, Socket, Wanted

HEALTHY_AFTER = 30.0
"""Seconds of frames after which a connection counts as good, so that the back-off begins anew."""

Dial = Callable[[str], AbstractAsyncContextManager[Socket]]
"""Opens a socket with an access token; raises `Outage` (perhaps in an exception group) when it cannot."""


class Hole(NamedTuple):
    """An outage that is not over yet."""

    reason: Reason
    since_ns: int
    after: tuple[int, int] | None


class Connection:
    """Carries a set of {token: mode} over one upstream socket at a time, for ever.

    Args:
        number: which of the source's connections it is, from 0.
        changed: called when its state or detail is another.
        draw: see `BackOff`.
    """

    def __init__(
        self,
        number: int,
        *,
        options: KiteOptions,
        ctx: SourceContext,
        dial: Dial,
        credentials: Credentials,
        changed: Callable[[], None],
        backoff: BackOff | None = None,
    ) -> None:
        self.number = number
        self.state: State = "connecting"
        self.detail = ""
        self.reconnects: Counter[str] = Counter()
        self.last_frame_ns: int | None = None
        self._options = options
        self._ctx = ctx
        self._dial = dial
        self._credentials = credentials
        self._changed = changed
        self._backoff = backoff or BackOff(options.backoff_initial, options.backoff_cap)
        self._wanted = Wanted()
        self._session: Session | None = None
        self._hole: Hole | None = None
        self._last: Batch | None = None
        self._frames: tuple[float, float] | None = None
        """When the first and the last frame of this socket came."""

    # -- what the source asks and says ---------------------------------------------------------------------

    def want(self, tokens: Mapping[int, Mode]) -> None:
        """Replace what it should carry; only the difference is sent on an open socket."""
        self._wanted.set(tokens)

    @property
    def wanted(self) -> Mapping[int, Mode]:
        """What it should carry."""
        return self._wanted.tokens

    @property
    def up(self) -> bool:
        """A socket is open."""
        return self._session is not None

    @property
    def subscribed(self) -> int:
        """Tokens subscribed on the open socket."""
        return len(self._session.have) if self._session else 0

    @property
    def unconfirmed(self) -> list[int]:
        """Tokens subscribed on the open socket that have not sent anything yet."""
        return self._session.unconfirmed if self._session else []

    # -- the life ------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep it up until cancelled."""
        while True:
            token = await self._token()
            outage = await self._attempt(token)
            if self._frames and self._frames[1] - self._frames[0] >= HEALTHY_AFTER:
                self._backoff.reset()
            self._frames = None
            wait = outage.wait(self._backoff.next())
            self._ctx.log.warning(
                "connection lost" if self._hole else "cannot connect",
                connection=self.number, reason=outage.reason, detail=outage.detail, retry_in=round(wait, 2),
            )  # fmt: skip
            await self._pause(wait, token, outage)

    async def _token(self) -> str:
        token = await self._credentials.access_token()
        if token is None:
            self._enter("auth_required", self._credentials.problem)
            token = await self._credentials.changed(None)
        return token

    async def _pause(self, wait: float, token: str, outage: Outage) -> None:
        """Wait; a new access token ends the wait for one."""
        with trio.move_on_after(wait):
            if outage.reason == "auth":
                await self._credentials.changed(token)
            else:
                await trio.sleep_forever()

    async def _attempt(self, token: str) -> Outage:
        """One socket from dialling to its end; says why it ended."""
        outage = Outage("protocol", "the connection ended without a reason")
        try:
            async with self._dial(token) as socket:
                self._opened(socket)
                assert self._session is not None
                try:
                    await self._session.run()
                except BaseExceptionGroup as group:
                    # told before the socket is closed, which may take a while
                    if ended := next(outages(group), None):
                        self._ended(ended)
                    raise
        except* Outage as group:
            outage = next(outages(group), outage)
        finally:
            self._session = None
        self._ended(outage)
        return outage

    def _opened(self, socket: Socket) -> None:
        self._session = Session(
            socket,
            number=self.number,
            wanted=self._wanted,
            options=self._options,
            ctx=self._ctx,
            listener=self,
        )
        self._ctx.log.info("connected", connection=self.number)
        self._enter("connected", "")

    def _ended(self, outage: Outage) -> None:
        """Declare the outage, once for each socket or failed attempt."""
        if self._session is not None:
            self._session = None
            self.reconnects[outage.reason] += 1
            self._ctx.count(f"reconnect_{outage.reason}")
            if self._hole is None and self.last_frame_ns is not None:
                self._hole = Hole(outage.reason, self.last_frame_ns, self._position())
            self._last = None
        elif self.state == outage.state and self.detail == outage.detail:
            return
        self._enter(outage.state, outage.detail)

    def _position(self) -> tuple[int, int] | None:
        """Where the last thing that came over this connection stands in the stream."""
        last = self._last.last if self._last is not None else (0, 0)
        return (last[0], last[1]) if last > (0, 0) else None

    def _enter(self, state: State, detail: str) -> None:
        """Change the state; a change is a record in the stream."""
        if (state, detail) == (self.state, self.detail):
            return
        changed = state != self.state
        self.state, self.detail = state, detail
        if changed and state != "connecting":
            self._ctx.publish(
                Batch.control(
                    Status(
                        state=state, detail=detail, connection=self.number, ts_recv=self._ctx.clock.now_ns()
                    )
                )
            )
        self._changed()

    # -- what the session sees -----------------------------------------------------------------------------

    def alive(self, ts_recv: int, *, feed: bool) -> None:
        """See `session.Listener`: ends a stale time and, once all is subscribed again, a hole."""
        now = trio.current_time()
        self._frames = (self._frames[0] if self._frames else now, now)
        if self.state != "connected":
            self._enter("connected", "")
        if feed and self._hole is not None and self._session is not None and self._session.synced:
            reason, since_ns, after = self._hole
            self._hole = None
            gap = Gap(
                reason=reason, since_ns=since_ns, until_ns=ts_recv, after=after,
                connection=self.number, ts_recv=ts_recv,
            )  # fmt: skip
            self._ctx.publish(Batch.control(gap))
            self._ctx.count("gaps")
        self.last_frame_ns = ts_recv

    def stale(self, silence: float) -> None:
        """See `session.Listener`."""
        self._ctx.log.warning("no frames", connection=self.number, silent_for=round(silence, 1))
        self._enter("stale", f"no frame for {self._options.stale_after:g} s")

    def publish(self, batch: Batch) -> None:
        """See `session.Listener`."""
        self._ctx.publish(batch)
        self._last = batch
