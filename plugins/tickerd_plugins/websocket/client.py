"""One client of the stream protocol: what it holds, and how it is told things."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tickerd.plugin import Instrument, Mode, Principal
from tickerd_plugins.websocket.connection import Connection
from tickerd_plugins.websocket.encoding import Body, Encoding
from tickerd_plugins.websocket.groups import Groups, Ident, Kind
from tickerd_plugins.websocket.lane import Backpressure, Lane

SLOW = 4008


@dataclass(frozen=True, slots=True)
class Held:
    """One instrument that a client has subscribed to."""

    instrument: Instrument
    mode: Mode
    lane: Lane


class Client:
    """See `tickerd_plugins.websocket.lane.Outlet`."""

    def __init__(
        self,
        connection: Connection,
        encoding: Encoding,
        groups: Groups,
        limit: Backpressure,
        count: Callable[[str, int], None],
    ) -> None:
        self.connection = connection
        self.encoding = encoding
        self.principal: Principal | None = None
        self.held: dict[Ident, Held] = {}
        self.fs = 0
        """Number of the last frame with rows."""
        self._groups = groups
        self._limit = limit
        self._count = count
        self._lanes: dict[Kind, Lane] = {}
        connection.cleared = self._catch_up

    # -- telling -----------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """See `Outlet.is_open`."""
        return self.connection.is_open

    @property
    def waits(self) -> bool:
        """Whether rows wait for it."""
        return any(lane.waits for lane in self._lanes.values())

    def tell(self, t: str, **members: Any) -> None:
        """Send a message."""
        self.connection.send(self.encoding.frame({"t": t, **members}))

    def offer(self, body: Body) -> bool:
        """See `Outlet.offer`."""
        connection = self.connection
        if not connection.offer(*self.encoding.ticks(self.fs + 1, body, compress=connection.deflates)):
            return False
        self.fs += 1
        return True

    def show(self, t: str, body: Body, **members: Any) -> None:
        """Send a message with rows, behind whatever waits."""
        self.fs += 1
        message = {"t": t, **members, "fs": self.fs, "n": body.rows}
        self.connection.send(*self.encoding.rows(message, body, compress=self.connection.deflates))

    def tell_gap(self, **about: Any) -> None:
        """See `Outlet.tell_gap`."""
        self.tell("gap", **about)

    def fail(self, code: str, text: str, *, id: Any = None, **members: Any) -> None:  # noqa: A002
        """Say that something cannot be done."""
        self._count(f"errors_{code}", 1)
        temporary = members.pop("temporary", False)
        self.tell("error", id=id, code=code, message=text, temporary=temporary, **members)

    def evict(self) -> None:
        """See `Outlet.evict`: where nothing can be written, no farewell can be either."""
        if self.connection.clogged:
            self.connection.abort("slow_client")
        else:
            self.connection.close(SLOW, "slow_client")

    def _catch_up(self) -> None:
        for lane in self._lanes.values():
            if self.connection.clogged:
                return
            lane.catch_up()

    # -- holding -----------------------------------------------------------------------------------------

    def lane(self, kind: Kind) -> Lane:
        """The lane for this kind of delivery."""
        found = self._lanes.get(kind)
        if found is None:
            found = self._lanes[kind] = Lane(kind, self, self._limit, self._count)
        return found

    def take(self, lane: Lane, items: Iterable[tuple[Ident, Held]], floor: int | None = None) -> None:
        """Send these from now on, in their mode; those of another lane leave it.

        Args:
            lane: on which.
            items: what.
            floor: rows up to this seq have been sent.
        """
        taken = dict(items)
        moved: dict[Lane, list[Ident]] = {}
        for ident in taken:
            before = self.held.get(ident)
            if before is not None and before.lane is not lane:
                moved.setdefault(before.lane, []).append(ident)
        for other, idents in moved.items():
            self._part(other, idents)
        self.held.update(taken)
        self._groups.change(lane, {ident: one.mode for ident, one in taken.items()}, floor)

    def drop(self, idents: Iterable[Ident]) -> None:
        """Send these no longer."""
        lanes: dict[Lane, list[Ident]] = {}
        for ident in idents:
            lanes.setdefault(self.held.pop(ident).lane, []).append(ident)
        for lane, part in lanes.items():
            self._part(lane, part)

    def _part(self, lane: Lane, idents: list[Ident]) -> None:
        self._groups.change(lane, dict.fromkeys(idents))
        lane.forget(set(idents))

    def leave(self) -> None:
        """It is gone."""
        for lane in self._lanes.values():
            self._groups.leave(lane)
        self.held.clear()
