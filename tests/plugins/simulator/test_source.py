"""``use: simulator``."""

from pathlib import Path

import pytest
import trio
from pydantic import ValidationError
from trio.testing import MockClock

from tickerd.plugin import Instrument
from tickerd.testing.fakes import FakeContext
from tickerd_plugins.simulator.source import SimulatorSource


def options(**given: object) -> SimulatorSource.Options:
    return SimulatorSource.Options.model_validate({"instruments": 100, "seed": 1} | given)


async def test_it_publishes_what_is_wanted_at_the_rate_asked_for(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    ctx = FakeContext(tmp_path)
    async with trio.open_nursery() as nursery:
        await nursery.start(SimulatorSource(options(rate=100)).run, ctx)
        assert len(ctx.instruments) == 100
        infy, nifty = ctx.instruments.get(408065), ctx.instruments.get(256265)
        assert infy is not None
        assert nifty is not None
        assert infy.namespace == "simulator"
        await trio.sleep(1)
        assert ctx.published == []
        ctx.demand.want({infy: "full", nifty: "quote"})
        await trio.sleep(1)
        ticks = [tick for batch in ctx.published for tick in batch.ticks]
        assert 95 <= len(ticks) <= 102
        assert {(tick.symbol, tick.mode) for tick in ticks} == {
            ("NSE:INFY", "full"),
            ("NSE:NIFTY 50", "quote"),
        }
        ctx.demand.want({infy: None})
        await trio.sleep(0.1)
        ctx.published.clear()
        await trio.sleep(0.5)
        assert {tick.symbol for batch in ctx.published for tick in batch.ticks} == {"NSE:NIFTY 50"}
        nursery.cancel_scope.cancel()
    assert ctx.reports[0][0] == "connected"


async def test_an_instrument_that_is_not_ours_is_counted(autojump_clock: MockClock, tmp_path: Path) -> None:
    ctx = FakeContext(tmp_path)
    ctx.demand.want({Instrument("simulator", 1, "NSE", "NOSUCH"): "full"})
    async with trio.open_nursery() as nursery:
        await nursery.start(SimulatorSource(options()).run, ctx)
        await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
    assert ctx.counts["unknown_instrument"] == 1


@pytest.mark.parametrize("wrong", [{"rate": 0}, {"instruments": 0}, {"speed": 3}])
def test_options_have_bounds(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        options(**wrong)
