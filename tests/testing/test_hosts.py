"""Units run with the supervisor's deadlines."""

from collections.abc import Callable
from typing import Any, Self

import pytest
import trio
import trio.testing

from tickerd.plugin import Closed, Sink, Source
from tickerd.testing import FakeContext, running, writing

Contexts = Callable[..., FakeContext]


class Scripted(Source):
    """A source whose run is a function of the test's."""

    def __init__(self, script: Any) -> None:
        self._script = script

    async def run(self, ctx: Any, *, task_status: Any) -> None:  # noqa: ASYNC128
        await self._script(ctx, task_status)


async def test_a_source_runs_for_the_length_of_the_block(tickerd_context: Contexts) -> None:
    ctx, life = tickerd_context(), []

    async def script(ctx: FakeContext, status: Any) -> None:
        life.append("up")
        status.started()
        try:
            await trio.sleep_forever()
        finally:
            life.append("down")

    async with running(Scripted(script), ctx):
        assert life == ["up"]
    assert life == ["up", "down"]
    with pytest.raises(Closed):
        ctx.count("late")


async def test_a_source_that_does_not_start_in_time_is_named(
    tickerd_context: Contexts, autojump_clock: trio.testing.MockClock
) -> None:
    async def script(ctx: FakeContext, status: Any) -> None:
        await trio.sleep_forever()

    with pytest.RaisesGroup(
        pytest.RaisesExc(AssertionError, match=r"Scripted\.run did not call .*started.* 10 s")
    ):
        async with running(Scripted(script), tickerd_context()):
            pass


async def test_a_source_that_does_not_stop_in_time_is_named(
    tickerd_context: Contexts, autojump_clock: trio.testing.MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    async def script(ctx: FakeContext, status: Any) -> None:
        status.started()
        with trio.CancelScope(shield=True):
            await trio.sleep(7)

    with pytest.RaisesGroup(
        pytest.RaisesExc(AssertionError, match=r"Scripted\.run runs 5 s after it was cancelled")
    ):
        async with running(Scripted(script), tickerd_context()):
            pass
    assert "after it was cancelled" in capsys.readouterr().err


async def test_what_a_source_raises_comes_out(tickerd_context: Contexts) -> None:
    async def script(ctx: FakeContext, status: Any) -> None:
        status.started()
        await trio.lowlevel.checkpoint()
        raise OSError("gone")

    with pytest.RaisesGroup(OSError):
        async with running(Scripted(script), tickerd_context()):
            await trio.sleep_forever()


async def test_a_source_that_fails_before_it_started_comes_out(tickerd_context: Contexts) -> None:
    async def script(ctx: FakeContext, status: Any) -> None:
        raise ValueError("no")

    with pytest.RaisesGroup(ValueError):
        async with running(Scripted(script), tickerd_context()):
            pass


class Slow(Sink):
    """A sink that takes its time."""

    def __init__(self, opening: float, closing: float) -> None:
        self.opening, self.closing = opening, closing
        self.left: list[Any] = []

    async def __aenter__(self) -> Self:
        await trio.sleep(self.opening)
        return self

    async def __aexit__(self, *error: object) -> None:
        self.left.append(error[0])
        await trio.sleep(self.closing)  # noqa: ASYNC102

    async def write(self, batch: Any) -> Any:
        return ()


async def test_a_sink_is_opened_and_closed(
    tickerd_context: Contexts, autojump_clock: trio.testing.MockClock
) -> None:
    sink = Slow(9, 4)
    with pytest.raises(KeyError):  # noqa: PT012 - the block is what is tested
        async with writing(sink, tickerd_context()) as opened:
            assert opened is sink
            raise KeyError
    assert sink.left == [KeyError]


@pytest.mark.parametrize(("opening", "closing", "late"), [(11, 0, "__aenter__"), (0, 6, "__aexit__")])
async def test_a_sink_that_is_late_is_named(
    tickerd_context: Contexts,
    autojump_clock: trio.testing.MockClock,
    opening: float,
    closing: float,
    late: str,
) -> None:
    with pytest.raises(AssertionError, match=rf"Slow\.{late} did not return"):
        async with writing(Slow(opening, closing), tickerd_context()):
            pass
