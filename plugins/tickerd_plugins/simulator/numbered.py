"""The log of running numbers: which number went to which connection, and when, for conservation tests.

With it, each quote or full packet of a tradable instrument carries a running number in ``volume_traded``
instead of its volume. The numbers are given out when a frame is built for the socket, so they are consecutive
over all connections. One line is written per frame, after the socket has taken all of it:

    TS_NS CONNECTION FIRST LAST TOKEN TOKEN …

``TS_NS`` is nanoseconds since 1970 UTC, ``FIRST`` to ``LAST`` are the numbers in the frame, and the tokens
stand in the same order, one for each number. Numbers that are missing from the log belong to frames that the
socket did not take whole.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from struct import Struct
from types import TracebackType
from typing import NamedTuple, Self

from tickerd.wire.kite.layout import FULL, QUOTE
from tickerd_plugins.simulator.market import VOLUME_AT

_TOKEN = Struct(">I")
_NUMBER = Struct(">I")


class Sent(NamedTuple):
    """One frame of the log."""

    ts_ns: int
    connection: int
    first: int
    tokens: tuple[int, ...]

    @property
    def last(self) -> int:
        """The last number in the frame."""
        return self.first + len(self.tokens) - 1

    def numbers(self) -> Iterator[tuple[int, int]]:
        """(number, token) of each packet, in order."""
        return enumerate(self.tokens, self.first)


class NumberedLog:
    """Writes the log; a context manager that closes it.

    A line is one unbuffered ``write``, so what was logged stays in the file when this process is killed.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._last = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def stamp(self, packets: Sequence[bytes]) -> tuple[list[bytes], str]:
        """The packets with their numbers, and the rest of the line: pass it to `sent` once they are out."""
        first = self._last + 1
        stamped, tokens = [], []
        for packet in packets:
            if len(packet) not in (QUOTE, FULL):
                stamped.append(packet)
                continue
            self._last += 1
            stamped.append(packet[:VOLUME_AT] + _NUMBER.pack(self._last) + packet[VOLUME_AT + 4 :])
            tokens.append(_TOKEN.unpack_from(packet)[0])
        line = f"{first} {self._last} {' '.join(map(str, tokens))}" if tokens else ""
        return stamped, line

    def sent(self, ts_ns: int, connection: int, line: str) -> None:
        """Log a frame that the socket has taken."""
        if line:
            os.write(self._fd, f"{ts_ns} {connection} {line}\n".encode())


def read_numbered(path: Path) -> Iterator[Sent]:
    """The frames of a log, in the order they were sent; a torn last line is left out."""
    with path.open() as lines:
        for line in lines:
            if not line.endswith("\n"):
                return
            ts_ns, connection, first, _last, *tokens = map(int, line.split())
            yield Sent(ts_ns, connection, first, tuple(tokens))
