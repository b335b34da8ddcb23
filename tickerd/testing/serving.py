"""A context to run a serving sink in, without a daemon."""

import fnmatch
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import trio

from tickerd.plugin import (
    Batch,
    Clock,
    Decision,
    Instrument,
    Mode,
    Overflow,
    Position,
    Principal,
    Request,
    Subscription,
    Tick,
)
from tickerd.testing.fakes import FakeContext, FakeInstruments, stamped

ALLOWED = Decision(allowed=True, remaining=100, reset_s=0, retry_after_s=0)


class FakeSubscription:
    """What a serving sink reads from; a test feeds it with `push` and ends it with `close`."""

    def __init__(self, bound: int = 1000) -> None:
        self._in, self._out = trio.open_memory_channel[Batch](bound)

    def push(self, batch: Batch) -> None:
        """Hand over one batch; ``trio.WouldBlock`` when nobody reads."""
        self._in.send_nowait(batch)

    def close(self) -> None:
        """The stream ends."""
        self._in.close()

    async def receive(self, max_ticks: int = 10_000) -> Batch:
        """See `tickerd.plugin.Subscription`."""
        del max_ticks
        return await self._out.receive()

    async def receive_batches(self, max_ticks: int = 10_000) -> list[Batch]:
        """See `tickerd.plugin.Subscription`."""
        found = [await self._out.receive()]
        ticks = len(found[0])
        while ticks < max_ticks:
            try:
                found.append(self._out.receive_nowait())
            except (trio.WouldBlock, trio.EndOfChannel):
                break
            ticks += len(found[-1])
        return found


class FakeCatalogue(FakeInstruments):
    """All instruments of one namespace, which a test loads."""

    def find(self, key: str | int) -> Instrument | None:
        """See `tickerd.plugin.Catalogue`; nothing is ever nameless."""
        return self.table.get(key) if isinstance(key, int) else self.by_symbol.get(key)

    def matching(self, pattern: str, most: int) -> list[Instrument]:
        """See `tickerd.plugin.Catalogue`."""
        if ":" not in pattern:
            raise ValueError("expected a pattern such as 'NSE:NIFTY*'")
        fitting = (self.by_symbol[one] for one in sorted(self.by_symbol) if fnmatch.fnmatchcase(one, pattern))
        return list(islice(fitting, most))

    def tables(self) -> list[Mapping[str, Instrument]]:
        """See `tickerd.plugin.Catalogue`."""
        return [self.by_symbol]


class FakeHistory:
    """What a test publishes after a position, also what it publishes later."""

    def __init__(self, published: Sequence[Batch], at: Position) -> None:
        self.at = at
        self._published = published
        self._next = 0

    async def read(self, until: Position, max_ticks: int) -> list[Batch]:
        """See `tickerd.plugin.History`."""
        await trio.lowlevel.checkpoint()
        found: list[Batch] = []
        ticks = 0
        for batch in islice(self._published, self._next, None):
            if batch.last > until or ticks >= max_ticks:
                break
            self._next += 1
            if batch.last > self.at:
                found.append(batch.bare())
                ticks += len(batch)
        self.at = found[-1].last if found else max(self.at, until)
        return found


class FakeServingContext(FakeContext):
    """Stands in for a serving sink's context: real sockets on loopback, a stream and callers that a test makes.

    Must be made inside ``trio.run``, as a clock must.
    """

    instruments: FakeCatalogue

    def __init__(self, state_dir: Path, name: str = "unit", clock: Clock | None = None) -> None:
        super().__init__(state_dir, name, clock)
        self.instruments = FakeCatalogue()
        self.stopping = trio.Event()
        self.listening: dict[str, trio.SocketListener] = {}
        """By the address that was asked for; the port is one that was free."""
        self.subscriptions: list[FakeSubscription] = []
        """Those that are open now, oldest first."""
        self.principals: dict[str, Principal] = {}
        """Who shows which text as credential."""
        self.local: Principal | None = None
        """Who connects to a Unix socket and shows nothing."""
        self.requests: list[Request] = []
        """Those that were authenticated, in order."""
        self.blocks: Decision | None = None
        """What `blocked` says."""
        self.wanted: dict[str | int, Mode] = {}
        """What the sink wants of sources."""
        self.cannot: dict[str | int, str] = {}
        """What no source can bring, and why."""
        self.recorded: Position | None = Position(1, 0)
        """How far back the journal goes; None: it is off."""
        self._newest: dict[tuple[str, int], Tick] = {}

    @property
    def position(self) -> Position:
        """See `tickerd.plugin.ServingContext`."""
        return Position(1, self.seq)

    def publish(self, batch: Batch) -> None:
        """What a source would publish: stamped, kept as the newest, and pushed to every open subscription."""
        table = self.instruments.table
        stamped(
            batch, self.seq + 1, source=(batch.origin and batch.origin.source) or "fake", instruments=table
        )
        if batch.origin is not None:
            batch.origin.namespace = next((one.namespace for one in table.values()), "")
        self.published.append(batch)
        self.seq += len(batch)
        for tick in batch.bare().ticks:
            self._newest[tick.origin.namespace, tick.instrument_token] = tick
        for subscription in self.subscriptions:
            subscription.push(batch)

    async def listen(self, address: str) -> trio.SocketListener:
        """See `tickerd.plugin.ServingContext`; always some free port of 127.0.0.1, or the path of a Unix socket."""
        self._use()
        if address not in self.listening:
            self.listening[address] = await _open(address)
        return self.listening[address]

    @contextmanager
    def subscribe(
        self,
        tokens: Callable[[], Collection[int]] | None = None,
        *,
        overflow: Overflow = "conflate",
        buffer: int = 2**23,
    ) -> Iterator[tuple[Position, Subscription]]:
        """See `tickerd.plugin.ServingContext`."""
        del tokens, overflow, buffer
        self._use()
        subscription = FakeSubscription()
        self.subscriptions.append(subscription)
        try:
            yield Position(1, self.seq), subscription
        finally:
            self.subscriptions.remove(subscription)

    def latest(self, instruments: Iterable[Instrument]) -> Sequence[Tick]:
        """See `tickerd.plugin.ServingContext`."""
        self._use()
        found = (self._newest.get((one.namespace, one.token)) for one in instruments)
        return [tick.bare() for tick in found if tick is not None]

    async def history(self, after: Position) -> FakeHistory | None:
        """See `tickerd.plugin.ServingContext`: what was published, from `recorded` on."""
        await trio.lowlevel.checkpoint()
        self._use()
        if self.recorded is None or not self.recorded <= after <= self.position:
            return None
        return FakeHistory(self.published, after)

    def want(self, changes: Mapping[str | int, Mode | None]) -> Mapping[str | int, str]:
        """See `tickerd.plugin.ServingContext`."""
        self._use()
        refused = {key: self.cannot[key] for key, mode in changes.items() if mode and key in self.cannot}
        for key, mode in changes.items():
            if mode is None:
                self.wanted.pop(key, None)
            elif key not in refused:
                self.wanted[key] = mode
        return refused

    async def authenticate(self, request: Request) -> Principal | None:
        """See `tickerd.plugin.ServingContext`."""
        await trio.lowlevel.checkpoint()
        self._use()
        self.requests.append(request)
        if request.credential is None:
            return self.local if request.is_local else None
        return self.principals.get(request.credential.text)

    def blocked(self, request: Request) -> Decision | None:
        """See `tickerd.plugin.ServingContext`."""
        del request
        return self.blocks

    def authorize(self, principal: Principal, scope: str) -> bool:
        """See `tickerd.plugin.ServingContext`."""
        return principal.may(scope) and principal.validity.holds(self.clock.now_ns())

    def limit(
        self, rate_class: str, request: Request, principal: Principal | None = None, cost: int = 1
    ) -> Decision:
        """See `tickerd.plugin.ServingContext`; there always is enough."""
        del rate_class, request, principal, cost
        return ALLOWED

    async def aclose(self) -> None:
        """Close what the host would close: the listening sockets."""
        self.close()
        for listener in self.listening.values():
            await listener.aclose()


async def _open(address: str) -> trio.SocketListener:
    if not address.startswith("unix:"):
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        return listener
    sock = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
    await sock.bind(address.removeprefix("unix:"))
    sock.listen()
    return trio.SocketListener(sock)
