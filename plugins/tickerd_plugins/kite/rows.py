"""What the download process hands over: how it went, and the rows in columns.

First four bytes of length and a header, then what `tickerd.plugin.listing.Listing` packs; with an error nothing.
"""

from collections.abc import Mapping, Sequence
from struct import Struct

import msgspec

from tickerd.plugin.listing import Fields, Listing

NAMESPACE = "kite"
_LENGTH = Struct(">I")

Row = Fields
"""The fields of `tickerd.plugin.Instrument` in their order, without the namespace."""


class Header(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How the download went."""

    version: int = 2
    rows: int = 0
    skipped: int = 0
    """Rows of the dump that could not be used."""
    error: str = ""
    """Why there is no dump, in words."""
    auth: bool = False
    """The broker refused the credentials."""
    too_often: bool = False
    """The broker says that it is asked too often."""
    retry_after: float | None = None
    """Seconds that it said to wait then."""
    host_ahead_s: float | None = None
    """How far the host's clock is ahead of what the broker's answer said."""
    compared: int = 0
    """Rows of the copy on disk that should be there again, because they have not expired; 0: there is none."""
    lost: int = 0
    """Those of them that are not."""
    added: int = 0
    """Symbols that the copy does not have."""
    expired: int = 0
    """Symbols of the copy that had expired by today."""
    changed: int = 0
    """Symbols with another token than in the copy."""


_encode = msgspec.msgpack.Encoder().encode
_header = msgspec.msgpack.Decoder(Header).decode


def pack(
    header: Header, rows: Sequence[Row] | Listing = (), about: Mapping[str, str | int] | None = None
) -> bytes:
    """Header and rows as bytes; sets the header's count.

    Args:
        header: what to say of it.
        rows: none where the header tells of an error.
        about: kept with the rows: ``root`` and ``fetched_ns``.
    """
    listing = rows if isinstance(rows, Listing) else Listing.of_rows(NAMESPACE, rows)
    header.rows = len(listing)
    part = _encode(header)
    return _LENGTH.pack(len(part)) + part + (b"" if header.error else listing.pack(about or {}))


def unpack(raw: bytes) -> tuple[Header, bytes]:
    """The header, and the rows as `Listing.unpack` takes them.

    Raises:
        ValueError: `pack` did not make that.
    """
    if len(raw) < _LENGTH.size:
        raise ValueError("empty")
    (length,) = _LENGTH.unpack_from(raw)
    start = _LENGTH.size
    if start + length > len(raw):
        raise ValueError("cut off")
    try:
        header = _header(raw[start : start + length])
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a dump: {error}") from None
    if header.version != Header().version:
        raise ValueError(f"version {header.version}")
    return header, raw[start + length :]
