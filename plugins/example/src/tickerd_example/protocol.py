"""The toy feed's protocol: JSON lines over TCP. Pure, so that it is tested without a socket.

The server greets with a listing. The client says which tokens it wants, as often as that changes, and from
then on the server sends a price line whenever one of those moves.
"""

import msgspec

MAX_LINE = 2**20
"""Bytes; a longer line is a broken server."""


class Item(msgspec.Struct):
    """One instrument of the listing."""

    token: int
    symbol: str


class Listing(msgspec.Struct, tag="listing"):
    """What the server has; the first line that it sends."""

    exchange: str
    items: list[Item]


class Price(msgspec.Struct, tag="price"):
    """One instrument moved."""

    token: int
    price: float
    volume: int


class Want(msgspec.Struct, tag="want"):
    """What the client wants from now on; replaces what it wanted before."""

    tokens: list[int]


_decode = msgspec.json.Decoder(Listing | Price | Want).decode
_encode = msgspec.json.Encoder().encode


def line(message: Listing | Price | Want) -> bytes:
    """One message as it is sent."""
    return _encode(message) + b"\n"


class Reader:
    """Takes bytes as they come from the network and gives whole messages.

    Attributes:
        faults: how many lines were no messages; they are passed over.
    """

    def __init__(self) -> None:
        self.faults = 0
        self._rest = b""

    def feed(self, data: bytes | bytearray) -> list[Listing | Price | Want]:
        """The messages that are complete with these bytes.

        Raises:
            ValueError: a line is longer than `MAX_LINE`, so memory would grow without a bound.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE:
            raise ValueError(f"a line is longer than {MAX_LINE} bytes")
        messages = []
        for text in lines:
            try:
                messages.append(_decode(text))
            except msgspec.MsgspecError:
                self.faults += 1
        return messages


def host_and_port(address: str) -> tuple[str, int]:
    """Take ``127.0.0.1:7900`` or ``[::1]:7900`` apart."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
