"""Contexts to run a source or a sink in, without a daemon."""

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import structlog
import trio

from tickerd.plugin import (
    Batch,
    Clock,
    Closed,
    Instrument,
    Listing,
    Mode,
    Origin,
    Position,
)


class FakeDemand:
    """What a test wants from a source; `want` replaces parts of it at any time."""

    def __init__(self) -> None:
        self._wanted: dict[Instrument, Mode] = {}
        self._changed = trio.Event()

    def want(self, change: Mapping[Instrument, Mode | None]) -> None:
        """Add, change, or (None) remove."""
        for instrument, mode in change.items():
            if mode is None:
                self._wanted.pop(instrument, None)
            else:
                self._wanted[instrument] = mode
        self._changed.set()

    def wanted(self) -> Mapping[Instrument, Mode]:
        """See `tickerd.plugin.Demand`."""
        return dict(self._wanted)

    async def changes(self) -> AsyncGenerator[Mapping[Instrument, Mode | None], None]:  # noqa: ASYNC900
        """See `tickerd.plugin.Demand`."""
        sent: dict[Instrument, Mode] = {}
        while True:
            self._changed = trio.Event()
            now = dict(self._wanted)
            change: dict[Instrument, Mode | None] = {i: m for i, m in now.items() if sent.get(i) != m}
            change |= dict.fromkeys(sent.keys() - now.keys())
            sent = now
            yield change
            await self._changed.wait()


class FakeInstruments:
    """An instrument table for one namespace."""

    def __init__(self) -> None:
        self.table: dict[int, Instrument] = {}
        self.by_symbol: dict[str, Instrument] = {}

    def load(self, instruments: Iterable[Instrument] | Listing) -> None:
        """See `tickerd.plugin.Instruments`."""
        rows = instruments.values() if isinstance(instruments, Listing) else instruments
        self.table = {instrument.token: instrument for instrument in rows}
        self.by_symbol = {instrument.symbol: instrument for instrument in self.table.values()}

    def get(self, token: int) -> Instrument | None:
        """See `tickerd.plugin.Instruments`."""
        return self.table.get(token)

    def __len__(self) -> int:
        return len(self.table)


class FakeContext:
    """Stands in for a source's or a sink's context and remembers everything it was told.

    Must be made inside ``trio.run``, as a clock must.

    Args:
        state_dir: an existing directory.
        name: the unit's name.
        clock: the host's by default; give one with a fixed start for times that do not vary.
    """

    def __init__(self, state_dir: Path, name: str = "unit", clock: Clock | None = None) -> None:
        self.name = name
        self.log = structlog.get_logger()
        self.clock = clock or Clock()
        self.state_dir = state_dir
        self.demand = FakeDemand()
        self.instruments = FakeInstruments()
        self.published: list[Batch] = []
        self.counts: Counter[str] = Counter()
        self.reports: list[tuple[str, str, dict[str, Any]]] = []
        self.hidden: list[str] = []
        self.seq = 0
        self._closed = False
        self._changed = trio.Event()

    def publish(self, batch: Batch) -> None:
        """See `tickerd.plugin.SourceContext`; stamps the batch as the hub does."""
        self._use()
        self.published.append(
            stamped(batch, self.seq + 1, source=self.name, instruments=self.instruments.table)
        )
        self.seq += len(batch)

    def count(self, reason: str, n: int = 1) -> None:
        """See `tickerd.plugin.UnitContext`."""
        self._use()
        self.counts[reason] += n

    def hide(self, secret: str) -> None:
        """See `tickerd.plugin.UnitContext`."""
        self._use()
        self.hidden.append(secret)

    def report(self, state: str, detail: str = "", **facts: Any) -> None:
        """See `tickerd.plugin.UnitContext`."""
        self._use()
        self.reports.append((state, detail, facts))

    def close(self) -> None:
        """The unit has stopped: every further call raises `Closed`."""
        self._closed = True

    async def until(self, happened: Callable[[], object]) -> None:
        """Wait until what the unit told this context makes ``happened()`` true; the caller sets a limit."""
        while not happened():
            self._changed = trio.Event()
            await self._changed.wait()

    def _use(self) -> None:
        if self._closed:
            raise Closed(f"unit {self.name!r} has stopped and still uses its context")
        self._changed.set()


def stamped(
    batch: Batch,
    seq: int = 1,
    *,
    epoch: int = 1,
    source: str = "fake",
    instruments: Mapping[int, Instrument] | None = None,
) -> Batch:
    """Give a batch its position, as the hub does when it is published."""
    origin: Origin | None = batch.origin
    if origin is not None:
        origin.source, origin.epoch, origin.seq = source, epoch, seq
        origin.instruments = instruments or {}
    for at, record in enumerate(batch.records, seq + len(batch) - len(batch.records)):  # after its ticks
        record.epoch, record.seq = epoch, at
        record.source = record.source or source
    batch.last = Position(epoch, seq + len(batch) - 1)
    return batch
