"""What every plugin must do, as checks that fail with an `AssertionError` that says what was expected."""

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import trio

from tickerd.plugin import (
    DUPLICATE,
    MODES,
    Batch,
    BulkCodec,
    Codec,
    Position,
    Reject,
    Retry,
    Run,
    Sink,
    Source,
    Split,
    Stamp,
)
from tickerd.runtime import declared
from tickerd.testing.fakes import FakeContext
from tickerd.testing.hosts import START_DEADLINE_S, running, writing
from tickerd.testing.samples import sample_batches

_TRIES = 3


def check_plugin(module: Any) -> None:
    """The module that the entry point names: API version, hooks, the types it declares and their options."""
    faults = list(declared.module_faults(module))
    for kind in declared.BASES:
        hook = getattr(module, f"tickerd_{kind}s", None)
        if hook is not None:
            faults += declared.type_faults(kind, hook())
    assert not faults, "; ".join(faults)


async def check_source(
    make: Callable[[], Source], context: Callable[[], FakeContext], *, items: int = 1
) -> None:
    """A source's life, twice: it starts in time, publishes sound batches, stops in time, says nothing after.

    Args:
        make: a new source; its counterpart (a server, a file) must be there.
        context: a new context, its demand filled as the source needs it.
        items: how many ticks and records to wait for.
    """
    for _ in range(2):
        source, ctx = make(), context()
        _faultless("source", source)
        async with running(source, ctx):
            with trio.move_on_after(START_DEADLINE_S) as limit:
                await ctx.until(lambda ctx=ctx: ctx.seq >= items)  # type: ignore[misc]
            assert not limit.cancelled_caught, (
                f"{type(source).__name__} published {ctx.seq} of {items} items within {START_DEADLINE_S:g} s"
            )
        for batch in ctx.published:
            check_batch(batch)


async def check_sink(
    make: Callable[[FakeContext], Sink],
    context: Callable[[], FakeContext],
    batches: Callable[[], Iterable[Batch]] = sample_batches,
) -> None:
    """A pushing sink's life: unused, cancelled while it opens, and twice with every sample batch.

    Args:
        make: a new sink for this context, as the host makes one at each start.
        context: a new context.
        batches: what to write; the samples by default, which hold all kinds of ticks and records.
    """
    ctx = context()
    sink = make(ctx)
    _faultless("sink", sink)
    async with writing(sink, ctx):
        pass
    with trio.CancelScope() as scope:
        scope.cancel()
        ctx = context()
        async with writing(make(ctx), ctx):
            pass
    for _ in range(2):
        ctx = context()
        async with writing(make(ctx), ctx) as sink:
            for batch in batches():
                _sound_rejects(await _written(sink, batch), batch)


def check_batch(batch: Batch) -> None:
    """A published batch: every tick decodes, and raw bytes hold exactly these ticks."""
    for record in batch.records:
        assert record.ts_recv > 0, f"{type(record).__name__} says no ts_recv"
    if batch.origin is None:
        return
    assert batch.origin.ts_recv > 0, (
        "a batch of ticks says no ts_recv; take ctx.clock.now_ns() after the read"
    )
    assert batch.raw is not None, (
        "a batch of one network read lacks its raw bytes; build it with Batch.read or Batch.of"
    )
    again = batch.origin.codec.split(batch.raw)
    assert list(again.tokens) == [tick.instrument_token for tick in batch.ticks]
    for tick in batch.ticks:
        assert tick.row.instrument_token == tick.instrument_token
        assert tick.mode in MODES, f"mode {tick.mode!r} is none of {', '.join(MODES)}"
        assert tick.json


def check_codec(codec: Codec, reads: Sequence[bytes], *, rounds: int = 200, seed: int = 1) -> None:
    """A codec: it takes good reads apart and together again, and hostile ones without raising.

    Args:
        codec: the codec.
        reads: good network reads.
        rounds: damaged variants of each that are tried.
        seed: of the damage, so that a failure can be repeated.
    """
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    for raw in reads:
        parts = codec.split(raw)
        assert not parts.faults, f"a good read has faults {dict(parts.faults)}"
        assert len(parts.tokens) == len(parts.packets)
        joined = codec.split(codec.join(parts.tokens, parts.packets))
        assert (list(joined.tokens), list(joined.packets)) == (list(parts.tokens), list(parts.packets))
        marks = codec.marks(parts.packets, parts.packets)
        assert all(marks.get(i, 0) & DUPLICATE for i in range(len(parts.packets))), "repeats are not marked"
        assert not codec.marks(parts.packets, [None] * len(parts.packets)), "first packets are marked"
        _bulk_agrees(codec, parts)
        for _ in range(rounds):
            _survives(codec, _damaged(raw, chance))


def _bulk_agrees(codec: Codec, parts: Split) -> None:
    """Where a codec decodes many packets at once, it must give what it gives one by one."""
    if not isinstance(codec, BulkCodec):
        return
    count = len(parts.packets)
    symbols, flags = [f"X:{n}" for n in range(count)], [n % 16 for n in range(count)]
    run = Run(codec, ("s", 2, 3, 4), parts.packets, symbols, range(5, 5 + count), flags)
    stamps = (Stamp(symbols[n], *run.stamp, run.seqs[n], flags[n]) for n in range(count))
    assert codec.rows(run) == list(map(codec.row, parts.packets, stamps)), (
        "rows(run) differs from row, one by one"
    )


def _survives(codec: Codec, raw: bytes) -> None:
    parts = codec.split(raw)
    for token, packet in zip(parts.tokens, parts.packets, strict=True):
        row = codec.row(packet, Stamp(None, None, None, 1, 1, 1, 0))
        assert row.instrument_token == token, (
            f"split says token {token}, row says {row.instrument_token}: {raw!r}"
        )


def _damaged(raw: bytes, chance: random.Random) -> bytes:
    body = bytearray(raw[: chance.randrange(len(raw) + 1)] if chance.random() < 0.5 else raw)
    for _ in range(chance.randrange(4)):
        if body:
            body[chance.randrange(len(body))] = chance.randrange(256)
    return bytes(body + chance.randbytes(chance.choice((0, 0, 1, 9))))


def _faultless(kind: str, unit: object) -> None:
    faults = list(declared.type_faults(kind, type(unit)))
    assert not faults, "; ".join(faults)


async def _written(sink: Sink, batch: Batch) -> Sequence[Reject]:
    """What ``write`` returns; `Retry` is an answer too, as long as the sink takes the batch in the end."""
    for _ in range(_TRIES):
        try:
            return await sink.write(batch)
        except Retry as retry:
            reason = retry.reason
            await trio.sleep(retry.after or 0)
    raise AssertionError(f"{type(sink).__name__}.write refused a batch {_TRIES} times: {reason}")


def _sound_rejects(rejects: Sequence[Reject], batch: Batch) -> None:
    offered = {tick.position for tick in batch.ticks} | {Position(r.epoch, r.seq) for r in batch.records}
    for position, reason in rejects:
        assert position in offered, f"rejected {tuple(position)}, which was not in the batch"
        assert reason, f"rejected {tuple(position)} without a reason"
