"""The instrument dump as bytes: what the download process hands over and what is kept on disk.

Chunks, each with four bytes of length in front: first a header, then rows by the thousand. Chunks, so that a
reader can let others run between two of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from struct import Struct
from typing import Any

import msgspec

from tickerd.plugin import Instrument

NAMESPACE = "kite"
_LENGTH = Struct(">I")
_CHUNK = 2000

Row = tuple[int, str, str, str, str, str, str, float, int, float]
"""The fields of `tickerd.plugin.Instrument` in their order, without the namespace."""


class Header(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What stands before the rows; with ``error`` set there are none."""

    version: int = 1
    root: str = ""
    """The REST address that it came from."""
    fetched_ns: int = 0
    rows: int = 0
    skipped: int = 0
    """Rows of the dump that could not be used."""
    error: str = ""
    """Why there is no dump, in words."""
    auth: bool = False
    """The broker refused the credentials."""


_encode = msgspec.msgpack.Encoder().encode
_header = msgspec.msgpack.Decoder(Header).decode
_rows = msgspec.msgpack.Decoder(list[Row]).decode


def pack(header: Header, rows: Sequence[Row] = ()) -> bytes:
    """Header and rows as bytes; sets the header's count."""
    header.rows = len(rows)
    parts = [_encode(header)]
    rest = iter(rows)
    while chunk := list(islice(rest, _CHUNK)):
        parts.append(_encode(chunk))
    return b"".join(piece for part in parts for piece in (_LENGTH.pack(len(part)), part))


def headed(header: Header, raw: bytes) -> bytes:
    """The same rows under another header."""
    (length,) = _LENGTH.unpack_from(raw)
    part = _encode(header)
    return _LENGTH.pack(len(part)) + part + raw[4 + length :]


def _chunks(raw: bytes) -> Iterator[bytes]:
    offset = 0
    while offset < len(raw):
        if offset + 4 > len(raw):
            raise ValueError("cut off")
        (length,) = _LENGTH.unpack_from(raw, offset)
        if offset + 4 + length > len(raw):
            raise ValueError("cut off")
        yield raw[offset + 4 : offset + 4 + length]
        offset += 4 + length


def unpack(raw: bytes) -> tuple[Header, Iterator[list[Instrument]]]:
    """The header, and the instruments in runs.

    Both raise ``ValueError`` on bytes that `pack` did not make.
    """
    chunks = _chunks(raw)
    try:
        header = _header(next(chunks))
    except StopIteration:
        raise ValueError("empty") from None
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a dump: {error}") from None
    if header.version != 1:
        raise ValueError(f"version {header.version}")
    return header, _instruments(chunks, header.rows)


class _Shared:
    """Makes instruments whose equal texts and numbers are one object each: that is two thirds of the table."""

    def __init__(self) -> None:
        self._one = dict[Any, Any]().setdefault

    def instrument(self, row: Row) -> Instrument:
        token, exchange, tradingsymbol, *rest = row
        one = self._one
        # by type too: 0 and 0.0 are one key, and a lot size that became a float could not be read back
        return Instrument(
            NAMESPACE, token, one(exchange, exchange), tradingsymbol, *(one((type(v), v), v) for v in rest)
        )


def _instruments(chunks: Iterable[bytes], expected: int) -> Iterator[list[Instrument]]:
    found, shared = 0, _Shared()
    for chunk in chunks:
        try:
            rows = _rows(chunk)
        except msgspec.MsgspecError as error:
            raise ValueError(f"not a dump: {error}") from None
        found += len(rows)
        yield [shared.instrument(row) for row in rows]
    if found != expected:
        raise ValueError(f"cut off after {found} of {expected} rows")
