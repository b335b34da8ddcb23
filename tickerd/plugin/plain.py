"""The codec of rows that never were wire bytes."""

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from tickerd.plugin.codec import Split, Stamp
from tickerd.plugin.row import DUPLICATE, Row, flag_names


class PlainCodec:
    """The codec of rows that never were wire bytes: each packet is a row as a msgpack map."""

    id: ClassVar[str] = "plain"

    def __init__(self) -> None:
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode_row = msgspec.msgpack.Decoder(Row).decode
        self._decode_list = msgspec.msgpack.Decoder(list[tuple[int, bytes]]).decode

    def packet(self, row: Row) -> bytes:
        """One row as bytes."""
        return self._encode(row)

    def split(self, raw: bytes) -> Split:
        """See `Codec.split`."""
        try:
            pairs = self._decode_list(raw)
        except (msgspec.MsgspecError, RecursionError):
            return Split((), (), {"undecodable": 1})
        good = [(token, packet) for token, packet in pairs if self._is_row_of(token, packet)]
        faults = {"undecodable": len(pairs) - len(good)} if len(good) < len(pairs) else {}
        return Split([token for token, _ in good], [packet for _, packet in good], faults)

    def _is_row_of(self, token: int, packet: bytes) -> bool:
        """Whether `row` will take it; bytes from a file may be damaged."""
        try:
            return self._decode_row(packet).instrument_token == token
        except (msgspec.MsgspecError, RecursionError, UnicodeError):
            return False

    def join(self, tokens: Sequence[int], packets: Sequence[bytes]) -> bytes:
        """See `Codec.join`."""
        return self._encode(list(zip(tokens, packets, strict=True)))

    def row(self, packet: bytes, stamp: Stamp) -> Row:
        """See `Codec.row`; a symbol, source or flag that the row carries itself is kept."""
        try:
            row = self._decode_row(packet)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise ValueError(f"not a plain packet: {error}") from None
        row.symbol = row.symbol or stamp.symbol
        row.source = row.source or stamp.source
        if row.connection is None:
            row.connection = stamp.connection
        row.ts_recv = row.ts_recv or stamp.ts_recv
        row.epoch, row.seq = stamp.epoch, stamp.seq
        if stamp.flags:
            row.flags = tuple(dict.fromkeys((*row.flags, *flag_names(stamp.flags))))
        return row

    def marks(self, packets: Sequence[bytes], previous: Sequence[bytes | None]) -> dict[int, int]:
        """See `Codec.marks`."""
        pairs = enumerate(zip(packets, previous, strict=True))
        return {i: DUPLICATE for i, (new, old) in pairs if new == old}


PLAIN = PlainCodec()
