"""Kite Connect's wire format: frames, packets, text messages, and the codec that the hub uses."""

from collections.abc import Sequence
from typing import ClassVar

from tickerd.plugin import DUPLICATE, OUT_OF_ORDER, Split
from tickerd.wire.kite import frame
from tickerd.wire.kite.decode import fields, official, row, rows
from tickerd.wire.kite.layout import (
    FULL,
    FULL_EXCHANGE_TIMESTAMP,
    INDEX_EXCHANGE_TIMESTAMP,
    INDEX_FULL,
    MODES,
    divisor,
    prefix,
    segment,
)


class KiteCodec:
    """Kite's binary frames as a codec."""

    id: ClassVar[str] = "kite"

    def split(self, raw: bytes) -> Split:
        """See `frame.split`."""
        return frame.split(raw)

    def join(self, tokens: Sequence[int], packets: Sequence[bytes]) -> bytes:
        """See `frame.join`; the tokens are in the packets already."""
        del tokens
        return frame.join(packets)

    row = staticmethod(row)
    rows = staticmethod(rows)

    def marks(self, packets: Sequence[bytes], previous: Sequence[bytes | None]) -> dict[int, int]:
        """See `tickerd.plugin.Codec.marks`. Only packets with a timestamp can be out of order."""
        found: dict[int, int] = {}
        for i, (new, old) in enumerate(zip(packets, previous, strict=True)):
            if old is None:
                continue
            if new == old:
                found[i] = DUPLICATE
            elif len(new) == len(old):
                if len(new) == FULL:
                    when = FULL_EXCHANGE_TIMESTAMP
                elif len(new) == INDEX_FULL:
                    when = INDEX_EXCHANGE_TIMESTAMP
                else:
                    continue
                # big-endian, so bytes compare as the numbers do
                if b"\0\0\0\0" < new[when] < old[when]:
                    found[i] = OUT_OF_ORDER
        return found


KITE = KiteCodec()

__all__ = ["KITE", "MODES", "KiteCodec", "divisor", "fields", "official", "prefix", "row", "rows", "segment"]
