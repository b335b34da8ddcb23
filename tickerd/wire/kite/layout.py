"""What a Kite packet looks like: lengths, modes, structs, segments and their price divisors.

Everything is big-endian. A packet has no type byte: its length is its type. Prices are signed, because
commodity prices can be negative; quantities and tokens are unsigned. Source: Kite Connect's WebSocket
documentation and the real packets of the public kiteconnect-mocks.
"""

from array import array
from collections.abc import Iterator, Sequence
from struct import Struct

LTP, INDEX_QUOTE, INDEX_FULL, QUOTE, FULL = 8, 28, 32, 44, 184
"""Packet lengths in bytes."""

MODES = {LTP: "ltp", INDEX_QUOTE: "quote", INDEX_FULL: "full", QUOTE: "quote", FULL: "full"}

LTP_PACKET = Struct(">Ii")
INDEX_QUOTE_PACKET = Struct(">I6i")
"""token, last price, high, low, open, close, change (unit unclear, so computed instead)."""
INDEX_FULL_PACKET = Struct(">I6iI")
QUOTE_PACKET = Struct(">IiIiIII4i")
"""token, last price, last quantity, average price, volume, buy and sell totals, open, high, low, close."""
FULL_PACKET = Struct(">IiIiIII4iIIIII" + "IiHxx" * 10)
"""A quote, then last trade time, OI, its high and low, exchange timestamp, five bids and five offers."""

_SWAPPED_FULL = Struct("<IiIiIII4iIIIII" + "IixxH" * 10)
"""`FULL_PACKET` after each four bytes have been turned round; the orders then stand behind their padding."""

FULL_EXCHANGE_TIMESTAMP = slice(60, 64)
INDEX_EXCHANGE_TIMESTAMP = slice(28, 32)

INDICES = 9
DIVISORS = tuple({3: 10_000_000, 6: 10_000, 12: 10_000}.get(number, 100) for number in range(256))
"""By segment (the token's low byte): CDS 10^7, BCD and NCO 10^4, all others paise."""

LARGEST = 0x7FFF_FFFF
"""No price: the largest number that the field can hold."""

MAX_PACKETS = 65_535
HEARTBEAT_LENGTH = 1


def full_ones(packets: Sequence[bytes]) -> list[bool]:
    """Which of them are full packets with depth."""
    return [len(packet) == FULL for packet in packets]


def unpack_full(packets: Sequence[bytes]) -> Iterator[tuple[int, ...]]:
    """`FULL_PACKET.unpack` of each; turning all the bytes round at once and reading natively saves an eighth."""
    words = array("I", b"".join(packets))
    words.byteswap()
    return _SWAPPED_FULL.iter_unpack(words)


def segment(token: int) -> int:
    """The exchange segment of an instrument token."""
    return token & 0xFF


def divisor(token: int) -> int:
    """What a wire price of this instrument is divided by."""
    return DIVISORS[token & 0xFF]


def prefix(packet: bytes, mode: str) -> bytes:
    """The packet cut down to a lower mode: lower modes are pure prefixes. An equal or higher one changes nothing."""
    if mode == "ltp":
        return packet[:LTP]
    if mode == "quote":
        if len(packet) == FULL:
            return packet[:QUOTE]
        if len(packet) == INDEX_FULL:
            return packet[:INDEX_QUOTE]
    return packet
