"""What turns wire bytes into ticks: the protocol that a plugin implements, and what is handed to it."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import compress, repeat
from typing import NamedTuple, Protocol, runtime_checkable

from tickerd.plugin.row import Row


class Split(NamedTuple):
    """One network read taken apart: parallel lists of tokens and packets (owned copies), and what was wrong."""

    tokens: Sequence[int]
    packets: Sequence[bytes]
    faults: Mapping[str, int] = {}
    """Reason → how often, for parts that had to be skipped."""


class Stamp(NamedTuple):
    """What the hub knows of a tick beside its packet; a codec copies it into the row."""

    symbol: str | None
    source: str | None
    connection: int | None
    ts_recv: int
    epoch: int
    seq: int
    flags: int


class Codec(Protocol):
    """Pure functions from wire bytes to ticks; declared by a plugin through ``tickerd_codecs``.

    All methods must be pure and thread-safe, and none may raise on hostile bytes, except `row`, which may
    raise ``ValueError`` on a packet that `split` did not produce.
    """

    @property
    def id(self) -> str:
        """Stored with the raw bytes in the journal, so it never changes its meaning."""
        ...

    def split(self, raw: bytes) -> Split:
        """Take one network read apart without decoding it."""
        ...

    def join(self, tokens: Sequence[int], packets: Sequence[bytes]) -> bytes:
        """The inverse of `split`: one raw read that holds these packets."""
        ...

    def row(self, packet: bytes, stamp: Stamp) -> Row:
        """Decode every field of one packet."""
        ...

    def marks(self, packets: Sequence[bytes], previous: Sequence[bytes | None]) -> dict[int, int]:
        """Flags (`DUPLICATE`, `OUT_OF_ORDER`) by index, from each instrument's packet before; sparse."""
        ...


stamped = partial(tuple.__new__, Stamp)
"""What ``Stamp(…)`` does, without the function call that NamedTuple puts around it."""


class Run(NamedTuple):
    """Ticks of one network read side by side; the sequences are parallel."""

    codec: Codec
    stamp: tuple[str | None, int | None, int, int]
    """source, connection, ts_recv, epoch: what is the same for all of them."""
    packets: Sequence[bytes]
    symbols: Sequence[str | None]
    seqs: Sequence[int]
    flags: Sequence[int]

    def only(self, keep: Sequence[bool]) -> "Run":
        """The part of it where ``keep``, parallel to the others, is true."""
        return Run(
            self.codec,
            self.stamp,
            list(compress(self.packets, keep)),
            list(compress(self.symbols, keep)),
            list(compress(self.seqs, keep)),
            list(compress(self.flags, keep)),
        )

    def parts(self, size: int) -> Iterator["Run"]:
        """The same ticks, at most so many at once."""
        if len(self.packets) <= size:
            yield self
            return
        for first in range(0, len(self.packets), size):
            part = slice(first, first + size)
            yield Run(
                self.codec,
                self.stamp,
                self.packets[part],
                self.symbols[part],
                self.seqs[part],
                self.flags[part],
            )

    def rows(self) -> list[Row]:
        """`Codec.row` of each."""
        if isinstance(self.codec, BulkCodec):
            return self.codec.rows(self)
        stamps = zip(self.symbols, *map(repeat, self.stamp), self.seqs, self.flags, strict=False)
        return list(map(self.codec.row, self.packets, map(stamped, stamps)))


@runtime_checkable
class BulkCodec(Protocol):
    """What a codec may offer beside `Codec`: decoding many packets at once, faster than one by one."""

    def rows(self, run: Run) -> list[Row]:
        """`Codec.row` of each packet."""
        ...
