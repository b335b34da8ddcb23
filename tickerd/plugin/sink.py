"""What a sink is: the contracts of plugins that hand ticks on, in two shapes."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, Self

import trio

from tickerd.plugin.auth import Principal, Request
from tickerd.plugin.batch import Batch
from tickerd.plugin.instrument import Instrument
from tickerd.plugin.options import Options
from tickerd.plugin.position import Position
from tickerd.plugin.ratelimit import Decision
from tickerd.plugin.source import Mode, Replace, UnitContext
from tickerd.plugin.tick import Tick

Overflow = Literal["conflate", "drop_oldest", "drop_newest", "disconnect"]
Delivery = Literal["live", "durable"]


class Reject(NamedTuple):
    """One record that a sink refused for good, so that offering it again would be useless."""

    position: Position
    reason: str


class SinkContext(UnitContext, Protocol):
    """What a running pushing sink works with."""


class Subscription(Protocol):
    """A bounded buffer between the hub and one consumer; the hub never waits for it."""

    async def receive(self, max_ticks: int = 10_000) -> Batch:
        """What has come since, waiting for at least one item; ``trio.EndOfChannel`` when it was closed.

        Raises:
            trio.BrokenResourceError: it overflowed and its policy is ``disconnect``.
        """
        ...

    async def receive_batches(self, max_ticks: int = 10_000) -> Sequence[Batch]:
        """The same as whole batches, as they were published: for a sink that hands on what others share.

        What the buffer dropped is told by a batch of records in front. With ``conflate`` it is one batch, as from
        `receive`.
        """
        ...


class History(Protocol):
    """What was recorded after a position, up to now; nothing needs closing."""

    @property
    def at(self) -> Position:
        """How far it has been read."""
        ...

    async def read(self, until: Position, max_ticks: int) -> Sequence[Batch]:
        """The next batches, none beyond ``until``; empty when there are none left before it."""
        ...


class Catalogue(Protocol):
    """All instruments that the daemon knows, of every namespace."""

    def find(self, key: str | int) -> Instrument | None:
        """By ``EXCHANGE:SYMBOL`` or token. While a dump is still missing, any token gives a nameless instrument."""
        ...

    def matching(self, pattern: str, most: int) -> Sequence[Instrument]:
        """At most so many of those whose symbols fit: ``*`` is any text, ``?`` any one character.

        Raises:
            ValueError: it is no pattern, such as ``NSE:NIFTY*``, or has too many wildcards.
        """
        ...

    def tables(self) -> Sequence[Mapping[str, Instrument]]:
        """By symbol, one table for each namespace. They are never changed, only replaced: compare them by ``is``.

        A table may have more than 100,000 rows; do not go through one without checkpoints.
        """
        ...


class ServingContext(UnitContext, Protocol):
    """What a running serving sink works with."""

    @property
    def stopping(self) -> trio.Event:
        """Set when the unit shall end: take no more clients, take leave of those there are, return from ``run``."""
        ...

    @property
    def position(self) -> Position:
        """Of the last tick or record that was published."""
        ...

    @property
    def instruments(self) -> Catalogue:
        """All instruments."""
        ...

    async def listen(self, address: str) -> trio.abc.Listener[trio.abc.HalfCloseableStream]:
        """Borrow the host's listening socket for ``HOST:PORT`` or ``unix:/PATH``; do not close it."""
        ...

    def subscribe(
        self,
        tokens: Callable[[], Collection[int]] | None = None,
        *,
        overflow: Overflow = "conflate",
        buffer: int = 2**23,
    ) -> AbstractContextManager[tuple[Position, Subscription]]:
        """Join the stream: the position of the last record and everything after it, in one step."""
        ...

    def latest(self, instruments: Iterable[Instrument]) -> Sequence[Tick]:
        """The newest tick of each of these that has had one; none is newer than `position`."""
        ...

    async def history(self, after: Position) -> History | None:
        """What was recorded after a position; None when there is no going on from there.

        That is: the journal is off, does not reach back that far, or never knew that position.
        """
        ...

    def want(self, changes: Mapping[str | int, Mode | None]) -> Mapping[str | int, str]:
        """Change what this sink wants of the sources: by symbol or token, None for no longer.

        Returns:
            What nobody can bring, each with a short word for the reason, such as ``over_capacity``.
        """
        ...

    async def authenticate(self, request: Request) -> Principal | None:
        """Who calls, or None when it cannot be told. Charges, logs and counts what is wrong."""
        ...

    def blocked(self, request: Request) -> Decision | None:
        """What refuses a caller whose address has used up its limit; None: he may go on. Costs nothing."""
        ...

    def authorize(self, principal: Principal, scope: str) -> bool:
        """Whether this scope was granted, and the credential still holds."""
        ...

    def limit(
        self, rate_class: str, request: Request, principal: Principal | None = None, cost: int = 1
    ) -> Decision:
        """Charge a call to its caller: the principal, or the address where there is none."""
        ...


class Sink(ABC):
    """Pushes batches somewhere; a new instance at each start. One class per plugin, from ``tickerd_sinks``.

    The life of a pushing sink:

    1. ``__init__(options, ctx)``: must not wait or do I/O.
    2. ``async with sink``: opens what it needs, within the start deadline (10 s). What it raises is classified
       as for a source.
    3. ``write(batch)``, never twice at the same time, until the unit stops. Buffers, retries, batching and
       back-off belong to the host: ``write`` takes one batch, and either takes all of it (returning the
       records it refused for good) or raises `Retry` having taken none of it.
    4. With durable delivery, ``restore`` comes before the first write, and ``commit`` between writes.
    5. On leaving, it flushes and closes what it opened, even after a half-failed start, within the stop
       deadline (5 s).
    """

    Options: ClassVar[type[Options]]
    replace: ClassVar[Replace] = "beside"
    overflow: ClassVar[Overflow] = "drop_oldest"
    """Default of the ``overflow`` option."""
    delivery: ClassVar[Delivery] = "durable"
    """Default of the ``delivery`` option."""

    @abstractmethod
    def __init__(self, options: Any, ctx: SinkContext) -> None: ...

    async def __aenter__(self) -> Self:
        """Open."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Flush and close."""

    @abstractmethod
    async def write(self, batch: Batch) -> Sequence[Reject]:
        """Take one batch; see the class."""

    async def commit(self) -> bytes:
        """With durable delivery: make everything taken so far safe, and return what `restore` needs.

        Called between writes, about once a second while there is something to commit. What is returned (64 KiB
        are plenty, 16 MiB the limit) is stored with the position in one step. After a crash the next instance
        is restored to the last commit and given everything that came after it again.
        """
        await trio.lowlevel.checkpoint()
        return b""

    async def committed(self) -> None:
        """With durable delivery: what the last ``commit`` returned is stored now.

        Called after each commit that could be stored, before the next write. Until then `restore` may still be
        given an earlier one, should there be a crash.
        """
        await trio.lowlevel.checkpoint()

    async def restore(self, position: Position, kept: bytes) -> None:
        """With durable delivery: called once, after opening and before the first write.

        Args:
            position: of the last commit; what follows will be offered again.
            kept: what that commit returned; empty when there never was one.
        """
        await trio.lowlevel.checkpoint()

    @classmethod
    def common(cls, options: Any, written: Mapping[str, Any]) -> Mapping[str, Any]:
        """The options that every sink has, as this one needs them: defaults of its own, and what follows from others.

        Args:
            options: this sink's own, validated.
            written: those that every sink has, as the YAML says them and without those that it does not say.

        Returns:
            The same in the same form, changed as need be. What is not in it has the host's default.

        Raises:
            OptionConflict: what is written cannot be.
        """
        del options
        return written

    @classmethod
    def relocated(cls, options: Any, directory: Path) -> Any:
        """The same options, writing below another directory instead: what a replay runs with.

        None, the default, says that this sink does not write into a directory; a replay then runs it only when
        it is named.
        """
        del options, directory
        return None

    async def apply(self, options: Any) -> bool:
        """See `tickerd.plugin.Source.apply`."""
        del options
        await trio.lowlevel.checkpoint()
        return False

    def resume_from(self) -> Position | None:
        """The last position this sink holds safely, when its target knows better than the host's cursor."""
        return None


class ServingSink(ABC):
    """Serves clients that come and go (WebSocket).

    ``run`` opens its own nursery inside itself, calls ``task_status.started()`` when its listeners accept,
    and runs until it is cancelled, or until ``ctx.stopping`` is set and it has taken leave of its clients.
    """

    Options: ClassVar[type[Options]]
    replace: ClassVar[Replace] = "beside"
    overflow: ClassVar[Overflow] = "conflate"
    delivery: ClassVar[Delivery] = "live"

    @abstractmethod
    def __init__(self, options: Any) -> None: ...

    @abstractmethod
    async def run(self, ctx: ServingContext, *, task_status: trio.TaskStatus[None]) -> None:
        """Serve until cancelled, or ``ctx.stopping``."""

    async def apply(self, options: Any) -> bool:
        """See `tickerd.plugin.Source.apply`."""
        del options
        await trio.lowlevel.checkpoint()
        return False
