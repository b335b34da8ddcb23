"""A codec that counts what it is asked, and network reads in it."""

from collections.abc import Callable
from typing import Any

import pytest

from tickerd.plugin import Batch, Codec, Instrument, Row, Run, Split, Stamp, flag_names
from tickerd.testing import stamped


class Counting:
    """A codec of one-byte packets, whose token is the byte; counts what it is asked."""

    id = "counting"

    def __init__(self) -> None:
        self.splits = self.rows_made = 0

    def split(self, raw: bytes) -> Split:
        self.splits += 1
        return Split(list(raw), [bytes([one]) for one in raw])

    def join(self, tokens: Any, packets: Any) -> bytes:
        return b"".join(packets)

    def row(self, packet: bytes, stamp: Stamp) -> Row:
        self.rows_made += 1
        symbol, source, connection, ts_recv, epoch, seq, flags = stamp
        row = Row(packet[0], symbol, "ltp", last_price=packet[0] / 4)
        row.source, row.connection, row.ts_recv, row.epoch, row.seq = source, connection, ts_recv, epoch, seq
        row.flags = flag_names(flags)
        return row

    def marks(self, packets: Any, previous: Any) -> dict[int, int]:
        return {}


class Bulk(Counting):
    """The same, with the fast path."""

    def __init__(self) -> None:
        super().__init__()
        self.bulks = 0

    def rows(self, run: Run) -> list[Row]:
        self.bulks += 1
        parts = zip(run.packets, run.symbols, run.seqs, run.flags, strict=True)
        return [
            self.row(packet, Stamp(symbol, *run.stamp, seq, flags)) for packet, symbol, seq, flags in parts
        ]


@pytest.fixture
def table() -> dict[int, Instrument]:
    """Two instruments by token."""
    return {1: Instrument("n", 1, "NSE", "ONE"), 2: Instrument("n", 2, "NSE", "TWO")}


@pytest.fixture
def new_codec() -> Callable[..., Counting]:
    """``new_codec(bulk=…)``."""
    return lambda *, bulk=False: Bulk() if bulk else Counting()


@pytest.fixture
def read(table: dict[int, Instrument]) -> Callable[..., Batch]:
    """``read(codec)``: three ticks, of which the table names two."""

    def read(codec: Codec, raw: bytes = b"\x01\x02\x03", **more: Any) -> Batch:
        batch = Batch.read(codec, raw, connection=7, ts_recv=99)
        return stamped(batch, 10, source="s", instruments=table, **more)

    return read
