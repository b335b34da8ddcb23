"""The checks pass for plugins that keep the rules and fail, with a reason, for those that do not."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar, Self

import pytest
import trio
import trio.testing

from tickerd.plugin import Batch, Gap, Options, Position, Reject, Retry, Row, Sink, Source, Stamp, hookimpl
from tickerd.plugin.plain import PLAIN
from tickerd.testing import (
    FakeContext,
    check_batch,
    check_codec,
    check_plugin,
    check_sink,
    check_source,
    sample_batches,
    stamped,
)
from tickerd.wire.kite import KITE

Contexts = Callable[..., FakeContext]


class Steady(Source):
    Options: ClassVar[type[Options]] = Options

    def __init__(self, ts_recv: int = 1, items: int = 1) -> None:
        self._ts_recv, self._items = ts_recv, items

    async def run(self, ctx: Any, *, task_status: Any) -> None:
        task_status.started()
        for _ in range(self._items):
            ctx.publish(Batch.of([Row(1, mode="ltp", last_price=1.5)], ts_recv=self._ts_recv))
        await trio.sleep_forever()


class Collecting(Sink):
    Options: ClassVar[type[Options]] = Options

    def __init__(self, answers: Any = ()) -> None:
        self.answers = answers
        self.batches: list[Batch] = []

    async def write(self, batch: Batch) -> Any:
        self.batches.append(batch)
        answer = self.answers(len(self.batches), batch) if callable(self.answers) else self.answers
        if isinstance(answer, Exception):
            raise answer
        return answer


def module(**names: Any) -> SimpleNamespace:
    return SimpleNamespace(**{"TICKERD_API": 0} | names)


@hookimpl
def tickerd_sources() -> type[Source]:
    return Steady


def test_a_sound_plugin_passes() -> None:
    check_plugin(module(tickerd_sources=tickerd_sources))


def test_an_unsound_plugin_is_told_every_fault() -> None:
    class Nothing(Sink):
        pass

    @hookimpl
    def tickerd_sinks() -> type[Sink]:
        return Nothing

    with pytest.raises(AssertionError) as caught:
        check_plugin(module(TICKERD_API=5, tickerd_sinks=tickerd_sinks))
    assert "plugin API 5" in str(caught.value)
    assert "Nothing does not define __init__, write" in str(caught.value)
    assert "Nothing.Options is None" in str(caught.value)


async def test_a_sound_source_passes(tickerd_context: Contexts) -> None:
    await check_source(lambda: Steady(items=3), tickerd_context, items=3)


async def test_a_source_that_publishes_too_little_fails(
    tickerd_context: Contexts, autojump_clock: trio.testing.MockClock
) -> None:
    with pytest.RaisesGroup(
        pytest.RaisesExc(AssertionError, match="published 1 of 2 items"), flatten_subgroups=True
    ):
        await check_source(Steady, tickerd_context, items=2)


async def test_a_source_that_gives_no_times_fails(tickerd_context: Contexts) -> None:
    with pytest.raises(AssertionError, match="ts_recv"):
        await check_source(lambda: Steady(ts_recv=0), tickerd_context)


async def test_a_source_of_an_unsound_type_fails(tickerd_context: Contexts) -> None:
    class Odd(Steady):
        replace = "sometimes"  # type: ignore[assignment]

    with pytest.raises(AssertionError, match=r"Odd\.replace is 'sometimes'"):
        await check_source(Odd, tickerd_context)


async def test_a_sound_sink_passes_and_has_seen_every_sample_twice(tickerd_context: Contexts) -> None:
    made: list[Collecting] = []

    def make(ctx: FakeContext) -> Collecting:
        made.append(Collecting())
        return made[-1]

    await check_sink(make, tickerd_context)
    samples = len(list(sample_batches()))
    assert [len(sink.batches) for sink in made] == [0, 0, samples, samples]


async def test_a_sink_may_refuse_now_and_take_later(
    tickerd_context: Contexts, autojump_clock: trio.testing.MockClock
) -> None:
    def sometimes(count: int, batch: Batch) -> Any:
        return Retry("busy", after=1) if count % 2 else [Reject(tick.position, "odd") for tick in batch.ticks]

    await check_sink(lambda ctx: Collecting(sometimes), tickerd_context)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Retry("full"), "refused a batch 3 times: full"),
        ([Reject(Position(9, 9), "why")], r"rejected \(9, 9\), which was not in the batch"),
        ([Reject(Position(1, 1), "")], r"rejected \(1, 1\) without a reason"),
    ],
)
async def test_a_sink_with_a_wrong_answer_fails(tickerd_context: Contexts, answer: Any, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        await check_sink(lambda ctx: Collecting(answer), tickerd_context)


async def test_a_sink_that_cannot_be_opened_under_cancellation_fails(tickerd_context: Contexts) -> None:
    class Rude(Collecting):
        async def __aenter__(self) -> Self:
            try:
                await trio.lowlevel.checkpoint()
            except trio.Cancelled:
                raise OSError("was cancelled") from None  # noqa: ASYNC104 - what must be found
            return self

    with pytest.raises(OSError, match="was cancelled"):
        await check_sink(lambda ctx: Rude(), tickerd_context)


def test_batches_without_what_the_host_needs_fail() -> None:
    with pytest.raises(AssertionError, match="Gap says no ts_recv"):
        check_batch(Batch.control(Gap(reason="x")))
    with pytest.raises(AssertionError, match="a batch of ticks says no ts_recv"):
        check_batch(stamped(Batch.of([Row(1)])))
    with pytest.raises(AssertionError, match="'odd' is none of ltp, quote, full"):
        check_batch(stamped(Batch.of([Row(1, mode="odd")], ts_recv=1)))
    batch = Batch.of([Row(1)], ts_recv=1)
    batch.raw = None
    with pytest.raises(AssertionError, match="lacks its raw bytes"):
        check_batch(stamped(batch))
    check_batch(Batch.control(Gap(reason="x", ts_recv=1)))


def test_the_codecs_that_we_have_pass() -> None:
    packets = [bytes([0, 0, 1, 1]) + bytes(4), bytes([0, 0, 2, 9]) + bytes(range(24))]
    check_codec(KITE, [KITE.join([], packets), b"\0\0"[:1]], rounds=50)
    check_codec(PLAIN, [Batch.of([Row(1), Row(2, mode="ltp", last_price=2.5)]).raw or b""], rounds=500)


class Wrong:
    """A codec whose parts can be replaced by wrong ones."""

    id = "wrong"

    def __init__(self, **parts: Any) -> None:
        self.__dict__.update(parts)

    def __getattr__(self, name: str) -> Any:
        return getattr(PLAIN, name)


def _row(packet: bytes, stamp: Stamp) -> Row:
    return Row(77)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"split": lambda raw: PLAIN.split(raw)._replace(faults={"bad": 1})}, "a good read has faults"),
        ({"marks": lambda new, old: {}}, "repeats are not marked"),
        ({"marks": lambda new, old: dict.fromkeys(range(len(new)), 2)}, "first packets are marked"),
        ({"row": _row}, "split says token 1, row says 77"),
        ({"rows": lambda run: [Row(77)]}, "differs from row, one by one"),
        ({"join": lambda tokens, packets: PLAIN.join([5], packets[:1])}, "5"),
    ],
)
def test_a_codec_with_a_wrong_part_fails(parts: dict[str, Any], said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check_codec(Wrong(**parts), [Batch.of([Row(1)]).raw or b""])
