"""What a running plugin holds of us: its context, which refuses every call once the unit has ended."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
import trio

from tickerd.dataflow.demand import Demand
from tickerd.dataflow.subscription import Filter, Subscription
from tickerd.instruments import Namespace
from tickerd.plugin import Batch, Closed, Overflow, Position
from tickerd.runtime.house import House
from tickerd.runtime.unit import Unit


class Context:
    """`tickerd.plugin.UnitContext`: one per attempt."""

    def __init__(self, unit: Unit, name: str, house: House) -> None:
        self._unit = unit
        self._house = house
        self._open = True
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

    async def listen(self, address: str) -> trio.SocketListener:
        """See `tickerd.plugin.ServingContext`."""
        self.check()
        return await self._house.listeners.lend(address)

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
