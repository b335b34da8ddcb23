"""``use: simulator``: the simulated market as a source, without a network, for trying sinks."""

from datetime import UTC, datetime
from functools import partial
from typing import Any

import trio

from tickerd.plugin import Batch, Options, Source, SourceContext, option
from tickerd.wire.kite import KITE, frame
from tickerd_plugins.simulator.market import Market
from tickerd_plugins.simulator.universe import Universe

TICK_S = 0.01


class Feed:
    """Collects the packets that one step of the market makes."""

    def __init__(self) -> None:
        self.pending: list[bytes] = []


class SimulatorSource(Source):
    """Publishes generated ticks of whatever is wanted."""

    class Options(Options):
        """Options of ``use: simulator``."""

        rate: int = option(1_000, doc="Ticks a second over all wanted instruments.", ge=1, le=100_000)
        instruments: int = option(12_000, doc="How many instruments there are.", ge=1, le=200_000)
        seed: int | None = option(None, doc="Makes names, prices and moves the same each time.")

    namespace = "simulator"

    def __init__(self, options: Any) -> None:
        self._options: SimulatorSource.Options = options

    async def run(self, ctx: SourceContext, *, task_status: trio.TaskStatus[None]) -> None:
        """See `tickerd.plugin.Source`."""
        today = datetime.fromtimestamp(ctx.clock.now_ns() // 10**9, UTC).date()
        rows, seed = self._options.instruments, self._options.seed
        # many rows take longer than the loop may be held up
        universe = await trio.to_thread.run_sync(
            partial(Universe, today, rows, seed=seed, namespace=self.namespace)
        )
        market, feed = Market(universe, seed=self._options.seed), Feed()
        ctx.instruments.load(universe.instruments)
        task_status.started()
        ctx.report("connected", "generating ticks", instruments=len(universe))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow, ctx, market, feed)
            await self._tick(ctx, market, feed)

    async def _follow(self, ctx: SourceContext, market: Market, feed: Feed) -> None:
        """Watch what is wanted."""
        async for change in ctx.demand.changes():
            for instrument, mode in change.items():
                line = market.line(instrument.token, ctx.clock.now_ns() // 10**9)
                if line is None:
                    ctx.count("unknown_instrument")
                elif mode is None:
                    market.unwatch(line, feed)
                else:
                    market.watch(line, feed, mode)

    async def _tick(self, ctx: SourceContext, market: Market, feed: Feed) -> None:
        """Publish one batch every few milliseconds, as many ticks as are due."""
        start, done = trio.current_time(), 0
        while True:
            await trio.sleep(TICK_S)
            due = int((trio.current_time() - start) * self._options.rate)
            now = ctx.clock.now_ns()
            market.run(min(due - done, self._options.rate), now // 10**9)
            done = due
            if feed.pending:
                packets, feed.pending = feed.pending, []
                ctx.publish(Batch.read(KITE, frame.join(packets), connection=0, ts_recv=now))
