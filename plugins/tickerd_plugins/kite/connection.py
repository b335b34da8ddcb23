"""One upstream connection: dialled, kept up, dialled again, and the records that tell of its outages."""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, NamedTuple

import trio

from tickerd.plugin import Batch, Gap, Mode, SourceContext, Status
from tickerd_plugins.kite.backoff import BackOff
from tickerd_plugins.kite.credentials import Credentials
from tickerd_plugins.kite.gate import Gate
from tickerd_plugins.kite.options import KiteOptions
from tickerd_plugins.kite.outage import Outage, Reason, State, outages
from tickerd_plugins.kite.session import Beside, Session, Socket, Wanted

HEALTHY_AFTER = 30.0
"""Seconds of frames after which a connection counts as good, so that the back-off begins anew."""

STANDSTILL = 3.0
"""Seconds. A pause between frames that no healthy pair of ends makes: the broker sends a heartbeat a second. Where
this end stood still, what it reads next had been waiting, and the broker may have thrown away what came after."""

Dial = Callable[[str], AbstractAsyncContextManager[Socket]]
"""Opens a socket with an access token; raises `Outage` (perhaps in an exception group) when it cannot."""
Named = Literal["all"] | Sequence[str]
"""Instruments as a gap record names them."""
Name = Callable[[Collection[int]], Named]


class Hole(NamedTuple):
    """An outage that is not over yet."""

    reason: Reason
    since_ns: int
    after: tuple[int, int] | None
    tokens: frozenset[int]
    """What the connection carried."""


class Connection:
    """Carries a set of {token: mode} over one upstream socket at a time, for ever.

    While nothing is wanted of it there is no socket; only the first one is kept, for order updates.

    Args:
        number: which of the source's connections it is, from 0.
        changed: called when its state or detail is another.
        gate: shared with the other connections of the login.
        name: names instruments by their tokens, ``all`` where these are all that the source brings.
        take: called with what it reads; publishes it.
        opened: called when a socket has been opened.
        fill: run beside each socket that ends an outage; see `fill.Fill`.
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
        gate: Gate | None = None,
        backoff: BackOff | None = None,
        name: Name = lambda _: "all",
        take: Callable[[Batch], None] | None = None,
        opened: Callable[[], None] = lambda: None,
        fill: Beside | None = None,
    ) -> None:
        self.number = number
        self.state: State = "connecting" if number == 0 else "idle"
        self.detail = ""
        self.since_ns = ctx.clock.now_ns()
        """When it came into this state."""
        self.reconnects: Counter[str] = Counter()
        self.last_frame_ns: int | None = None
        self._options = options
        self._ctx = ctx
        self._dial = dial
        self._credentials = credentials
        self._changed = changed
        self._gate = gate or Gate()
        self._name = name
        self._take = take or ctx.publish
        self._told_opened = opened
        self._fill_quotes = fill
        self._token = ""
        """What the newest attempt was made with."""
        self._retired = ""
        """What no socket shall be open with any more."""
        self._reopened = trio.Event()
        self._backoff = backoff or BackOff(options.backoff_initial, options.backoff_cap)
        self._wanted = Wanted()
        self._session: Session | None = None
        self._hole: Hole | None = None
        self._last: Batch | None = None
        self._frames: tuple[float, float] | None = None
        """When the first and the last frame of this socket came."""
        self._standstill: tuple[int, int] | None = None
        """The last pause between frames that was too long: the times of the frames before and after it."""

    # -- what the source asks and says ---------------------------------------------------------------------

    def want(self, tokens: Mapping[int, Mode]) -> None:
        """Replace what it should carry; only the difference is sent on an open socket."""
        self._wanted.set(tokens)
        if self._session is not None and not self.is_needed:
            self._session.end(Outage("unneeded", ""))

    async def renew(self, token: str) -> None:
        """Be connected with this access token; returns when an open socket has been made anew with it."""
        if self._token == token:
            return
        self._retired = self._token
        if self._session is not None:
            self._reopened = trio.Event()
            self._session.end(_new_login())
            await self._reopened.wait()

    @property
    def is_needed(self) -> bool:
        """There is something to carry."""
        return self.number == 0 or bool(self._wanted.tokens)

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
            while not self.is_needed:
                self._rest()
                await self._wanted.changed()
            token = self._token = await self._access_token()
            outage = await self._attempt(token)
            if self._frames and self._frames[1] - self._frames[0] >= HEALTHY_AFTER:
                self._backoff.reset()
            self._frames = None
            if outage.reason == "unneeded":
                continue
            wait = outage.wait(self._backoff.next())
            log = self._ctx.log.info if outage.reason == "login" else self._ctx.log.warning
            log(
                "connection lost" if self._hole else "cannot connect",
                connection=self.number, reason=outage.reason, detail=outage.detail, retry_in=round(wait, 2),
            )  # fmt: skip
            await self._pause(wait, token, outage)

    async def _access_token(self) -> str:
        token = await self._credentials.access_token()
        if token is None:
            self._enter("auth_required", self._credentials.problem)
            token = await self._credentials.changed(None)
        return token

    async def _pause(self, wait: float, token: str, outage: Outage) -> None:
        """Wait; after a refusal a new access token ends the wait, and so does the old one once it is taken."""
        with trio.move_on_after(wait):
            if outage.reason != "auth":
                await trio.sleep_forever()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_after, self._gate.reopened, nursery.cancel_scope)
                await self._credentials.changed(token)
                nursery.cancel_scope.cancel()

    async def _attempt(self, token: str) -> Outage:
        """One socket from dialling to its end; says why it ended."""
        outage = Outage("protocol", "the connection ended without a reason")
        try:
            await self._gate.enter(token)
            async with self._dial(token) as socket:
                self._gate.leave(token)
                self._opened(socket)
                assert self._session is not None
                try:
                    await self._session.run(None if self._hole is None else self._fill_quotes)
                except BaseExceptionGroup as group:
                    # told before the socket is closed, which may take a while
                    if ended := next(outages(group), None):
                        self._ended(ended)
                    raise
        except* Outage as group:
            outage = await self._gate.failed(token, next(outages(group), outage))
        finally:
            self._gate.abandon()
            self._session = None
        self._ended(outage)
        return outage

    def _rest(self) -> None:
        """Nothing is wanted: what was missed until now is all that there is to tell."""
        if self._hole is not None:
            self._fill(self._ctx.clock.now_ns())
        self._enter("idle", "")

    def _opened(self, socket: Socket) -> None:
        self._standstill = None
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
        if not self.is_needed:
            self._session.end(Outage("unneeded", ""))
        elif self._token == self._retired:
            self._retired = ""  # once: where it is all that there is, it is better than nothing
            self._session.end(_new_login())
        else:
            self._reopened.set()
            self._told_opened()

    def _ended(self, outage: Outage) -> None:
        """Declare the outage, once for each socket or failed attempt."""
        if self._session is not None:
            self._session = None
            if outage.reason != "unneeded":
                self._lost(outage)
            self._last = None
        elif self.state == outage.state and self.detail == outage.detail:
            return
        self._enter(outage.state, outage.detail)

    def _lost(self, outage: Outage) -> None:
        """An open socket has ended while there was something to carry: ticks are missing from here on."""
        self.reconnects[outage.reason] += 1
        self._ctx.count(f"reconnect_{outage.reason}")
        if self._hole is None and self.last_frame_ns is not None:
            tokens = frozenset(self._wanted.tokens)
            self._hole = Hole(
                outage.reason, self._complete_until(self.last_frame_ns), self._position(), tokens
            )

    def _complete_until(self, last_ns: int) -> int:
        """Until when nothing is missing: the last frame, or the one before a pause that it soon followed."""
        if self._standstill is None:
            return last_ns
        before, after = self._standstill
        return before if last_ns - after < self._options.reconnect_after * 1e9 else last_ns

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
        if changed:
            self._tell(state, detail)
        self._changed()

    def _tell(self, state: State, detail: str) -> None:
        now = self.since_ns = self._ctx.clock.now_ns()
        if state == "connecting":
            return
        if state == "idle":
            told = Status(state="stopped", detail="nothing is left for it to carry")
        else:
            told = Status(state=state, detail=detail)
        told.connection, told.ts_recv = self.number, now
        self._ctx.publish(Batch.control(told))

    # -- what the session sees -----------------------------------------------------------------------------

    def alive(self, ts_recv: int, *, feed: bool) -> None:
        """See `session.Listener`: ends a stale time and, once all is subscribed again, a hole."""
        now = trio.current_time()
        if self._frames and self.last_frame_ns is not None and now - self._frames[1] > STANDSTILL:
            self._standstill = (self.last_frame_ns, ts_recv)
        self._frames = (self._frames[0] if self._frames else now, now)
        if self.state != "connected":
            self._enter("connected", "")
        if feed and self._hole is not None and self._session is not None and self._session.synced:
            self._fill(ts_recv)
        self.last_frame_ns = ts_recv

    def _fill(self, until_ns: int) -> None:
        """The outage is over: tell it."""
        assert self._hole is not None
        reason, since_ns, after, tokens = self._hole
        self._hole = None
        gap = Gap(
            reason=reason, since_ns=since_ns, until_ns=until_ns, after=after,
            instruments=self._name(tokens.union(self._wanted.tokens)),
            connection=self.number, ts_recv=until_ns,
        )  # fmt: skip
        self._ctx.publish(Batch.control(gap))
        self._ctx.count("gaps")

    def stale(self, silence: float) -> None:
        """See `session.Listener`."""
        self._ctx.log.warning("no frames", connection=self.number, silent_for=round(silence, 1))
        self._enter("stale", f"no frame for {self._options.stale_after:g} s")

    def publish(self, batch: Batch) -> None:
        """See `session.Listener`."""
        self._take(batch)
        self._last = batch


def _new_login() -> Outage:
    return Outage("login", "connecting with the new access token")


async def _cancel_after(wait: Callable[[], Awaitable[None]], scope: trio.CancelScope) -> None:
    await wait()
    scope.cancel()
