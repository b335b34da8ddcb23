"""What all connections of a simulator have in common."""

from collections import Counter
from typing import Any

import trio

from tickerd.plugin import Clock
from tickerd_plugins.simulator.faults import Reject
from tickerd_plugins.simulator.market import Market
from tickerd_plugins.simulator.numbered import NumberedLog
from tickerd_plugins.simulator.options import SimulatorOptions


class Shared:
    """The market, the time, the limits, the faults that hold for everyone, and what was counted."""

    def __init__(
        self, options: SimulatorOptions, market: Market, clock: Clock, numbered: NumberedLog | None = None
    ) -> None:
        self.options = options
        self.market = market
        self.clock = clock
        self.numbered = numbered
        self.muted_until = 0.0
        """On trio's clock; infinity is until cleared."""
        self.muted_tokens: set[int] = set()
        self.rate: float | None = None
        """Bytes a second that new connections may send."""
        self.reject: Reject | None = None
        self.rejects_left = 0
        self.counters: Counter[str] = Counter()
        self._changed = trio.Event()

    def clear(self) -> None:
        """Lift the faults that last."""
        self.muted_until = 0.0
        self.muted_tokens.clear()
        self.rate = self.reject = None

    def faults(self) -> dict[str, Any]:
        """Those that hold now."""
        return {
            "muted": self.muted_until > trio.current_time(),
            "muted_instruments": sorted(self.muted_tokens),
            "bytes_per_second": self.rate,
            "reject": self.reject.status if self.reject else None,
        }

    def rejection(self) -> int | None:
        """The HTTP status to refuse the next upgrade with, as the reject fault asks; counts it."""
        fault = self.reject
        if fault is None:
            return None
        if fault.count is not None:
            self.rejects_left -= 1
            if self.rejects_left <= 0:
                self.reject = None
        return fault.status

    def now(self) -> int:
        """Seconds since 1970 UTC."""
        return self.clock.now_ns() // 1_000_000_000

    def notify(self) -> None:
        """Something that a test may wait for has changed: wake whoever is in `change`."""
        self._changed.set()
        self._changed = trio.Event()

    async def change(self) -> None:
        """Wait for the next `notify`."""
        await self._changed.wait()
