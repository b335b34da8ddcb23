"""Batches as Kite packets: as they came where the broker sent them, encoded where they came from elsewhere."""

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from tickerd.plugin import Batch, Origin, Tick
from tickerd.wire.kite import KITE, encode


class Packets(NamedTuple):
    """Ticks of one network read; the sequences are parallel."""

    origin: Origin
    tokens: Sequence[int]
    packets: Sequence[bytes]
    seqs: Sequence[int]


def packets(
    batch: Batch, wanted: Callable[[str], Container[int]], unfit: Callable[[], None]
) -> Iterator[Packets]:
    """What is in a batch.

    Args:
        batch: as published, or merged out of several.
        wanted: tokens of a namespace that are worth being encoded.
        unfit: called for each tick that no packet can hold.
    """
    origin = batch.origin
    if origin is not None and origin.codec.id == KITE.id:
        tokens, raw, _ = batch.split
        yield Packets(origin, tokens, raw, range(origin.seq, origin.seq + len(tokens)))
        return
    for one, group in groupby(batch.ticks, attrgetter("origin")):
        yield _encoded(one, group, wanted(one.namespace), unfit)


def packet(tick: Tick) -> bytes:
    """One tick.

    Raises:
        ValueError: no packet can hold it.
    """
    return tick.packet if tick.origin.codec.id == KITE.id else encode.packet(tick.row)


def _encoded(
    origin: Origin, ticks: Iterable[Tick], wanted: Container[int], unfit: Callable[[], None]
) -> Packets:
    tokens: list[int] = []
    found: list[bytes] = []
    seqs: list[int] = []
    for tick in ticks:
        if tick.instrument_token not in wanted:
            continue
        try:
            one = packet(tick)
        except ValueError:
            unfit()
            continue
        tokens.append(tick.instrument_token)
        found.append(one)
        seqs.append(origin.seq + tick.index)
    return Packets(origin, tokens, found, seqs)
