"""What a running plugin holds of us: its context, which refuses every call once the unit has ended."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import structlog
import trio

from tickerd.dataflow.demand import Demand
from tickerd.dataflow.subscription import Filter, Subscription
from tickerd.instruments import Namespace
from tickerd.instruments.selectors import matching
from tickerd.instruments.table import is_expired
from tickerd.journal.cursor import Cursor
from tickerd.plugin import (
    Batch,
    Closed,
    Decision,
    Instrument,
    Mode,
    Overflow,
    Position,
    Principal,
    Request,
    Tick,
)
from tickerd.plugin.selectors import Key, parse_key
from tickerd.runtime.house import House
from tickerd.runtime.unit import Unit
from tickerd.wire.day import day_of


class Context:
    """`tickerd.plugin.UnitContext`: one per attempt."""

    def __init__(self, unit: Unit, name: str, house: House) -> None:
        self._unit = unit
        self._house = house
        self._open = True
        self.borrowed: dict[str, trio.SocketListener] = {}
        """Listeners that it was lent, by address."""
        self.name = name
        self.clock = unit.clock
        self.log = structlog.get_logger().bind(unit=unit.name)

    @property
    def state_dir(self) -> Path:
        """See `tickerd.plugin.UnitContext`."""
        self.check()
        return self._house.state.unit(self._unit.kind, self.name)

    def count(self, reason: str, n: int = 1) -> None:
        """See `tickerd.plugin.UnitContext`."""
        self.check()
        self._unit.counts[reason] += n

    def report(self, state: str, detail: str = "", **facts: Any) -> None:
        """See `tickerd.plugin.UnitContext`."""
        self.check()
        report = self._unit.report
        if (report.state, report.detail) != (state, detail):
            self.log.info("unit reports", state=state, detail=detail)
        report.state, report.detail, report.facts = state, detail, facts

    def hide(self, secret: str) -> None:
        """See `tickerd.plugin.UnitContext`."""
        self.check()
        self._house.hide(secret)

    def close(self) -> None:
        """From now on every call raises `Closed`."""
        self._open = False
        for loan in self.borrowed.values():
            self._house.listeners.give_back(loan)

    def check(self) -> None:
        """Raise `Closed` when the unit has ended."""
        if not self._open:
            raise Closed(f"{self._unit.name} has been stopped; its context can no longer be used")


class SourceContext(Context):
    """`tickerd.plugin.SourceContext`."""

    def __init__(self, unit: Unit, name: str, house: House, namespace: Namespace, demand: Demand) -> None:
        super().__init__(unit, name, house)
        self.instruments = namespace
        self.demand = demand

    def publish(self, batch: Batch) -> None:
        """See `tickerd.plugin.SourceContext`."""
        if not self._open:
            self.check()
        self._house.hub.publish(batch, self.name, self.instruments)


class ServingContext(Context):
    """`tickerd.plugin.ServingContext`."""

    def __init__(self, unit: Unit, name: str, house: House, stopping: trio.Event) -> None:
        super().__init__(unit, name, house)
        self.stopping = stopping
        self.instruments = Catalogue(house)
        self._owner = f"{unit.name} {id(self)}"  # in a reload the next one wants before this one lets go

    @property
    def position(self) -> Position:
        """See `tickerd.plugin.ServingContext`."""
        return self._house.hub.position

    async def listen(self, address: str) -> trio.SocketListener:
        """See `tickerd.plugin.ServingContext`."""
        self.check()
        if address not in self.borrowed:
            self.borrowed[address] = await self._house.listeners.lend(address)
        return self.borrowed[address]

    @contextmanager
    def subscribe(
        self,
        tokens: Callable[[], Collection[int] | None] | None = None,
        *,
        overflow: Overflow = "conflate",
        buffer: int = 2**23,
    ) -> Iterator[tuple[Position, Subscription]]:
        """See `tickerd.plugin.ServingContext`."""
        self.check()
        wanted = Filter() if tokens is None else Filter(tokens=tokens)
        position, subscription = self._house.hub.subscribe(self._unit.name, overflow, buffer, wanted)
        try:
            yield position, subscription
        finally:
            subscription.close()

    def latest(self, instruments: Iterable[Instrument]) -> list[Tick]:
        """See `tickerd.plugin.ServingContext`."""
        self.check()
        by_namespace: dict[str, list[int]] = {}
        for instrument in instruments:
            by_namespace.setdefault(instrument.namespace, []).append(instrument.token)
        hub = self._house.hub
        return [tick for name, tokens in by_namespace.items() for tick in hub.latest(name, tokens)]

    async def history(self, after: Position) -> Cursor | None:
        """See `tickerd.plugin.ServingContext`."""
        self.check()
        recorder = self._house.recorder
        if recorder is None or not await recorder.reaches(after):
            return None
        return recorder.open_cursor(after)

    def want(self, changes: Mapping[str | int, Mode | None]) -> dict[str | int, str]:
        """See `tickerd.plugin.ServingContext`."""
        self.check()
        wanted: dict[Key, Mode | None] = dict(changes.items())
        answer = self._house.wants.change(self._owner, wanted)
        return {one.item: one.code for one in answer.rejected if isinstance(one.item, str | int)}

    async def authenticate(self, request: Request) -> Principal | None:
        """See `tickerd.plugin.ServingContext`."""
        self.check()
        return None if self._house.access is None else await self._house.access.authenticate(request)

    def blocked(self, request: Request) -> Decision | None:
        """See `tickerd.plugin.ServingContext`."""
        self.check()
        charge = None if self._house.access is None else self._house.access.blocked(request)
        return None if charge is None else charge.decision

    def authorize(self, principal: Principal, scope: str) -> bool:
        """See `tickerd.plugin.ServingContext`."""
        self.check()
        return self._house.access is not None and self._house.access.authorize(principal, scope)

    def limit(
        self, rate_class: str, request: Request, principal: Principal | None = None, cost: int = 1
    ) -> Decision:
        """See `tickerd.plugin.ServingContext`."""
        self.check()
        if self._house.access is None:
            return Decision(allowed=False, remaining=0, reset_s=1, retry_after_s=1)
        return self._house.access.hit(rate_class, request, principal, cost).decision

    def close(self) -> None:
        """From now on every call raises `Closed`; what it wanted is released."""
        if self._open:
            self._house.wants.release(self._owner)
        super().close()


class Catalogue:
    """`tickerd.plugin.Catalogue`."""

    def __init__(self, house: House) -> None:
        self._house = house

    def find(self, key: str | int) -> Instrument | None:
        """See `tickerd.plugin.Catalogue`."""
        namespaces = self._house.table.namespaces()
        for namespace in namespaces:
            found = namespace.by_symbol.get(key) if isinstance(key, str) else namespace.get(key)
            if found is not None:
                return found
        nameless = (one.find(key) for one in namespaces if not one.loaded and isinstance(key, int))
        return next(nameless, None)

    def matching(self, pattern: str, most: int) -> list[Instrument]:
        """See `tickerd.plugin.Catalogue`."""
        parse_key(pattern)
        today = day_of(self._house.clock.now_ns()).isoformat()
        listings = [namespace.listing for namespace in self._house.table.namespaces()]
        found = (one.at(row) for one in listings for row in matching(one, pattern))
        return list(islice((one for one in found if not is_expired(one, today)), most))

    def tables(self) -> list[Mapping[str, Instrument]]:
        """See `tickerd.plugin.Catalogue`."""
        return [namespace.by_symbol for namespace in self._house.table.namespaces()]
