"""One recorded file, read piece by piece; holds no file open between two pieces."""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from tickerd.plugin import AnyRecord, Row
from tickerd.wire.compression import DamagedError, decompressed, kind_of
from tickerd.wire.rows import CsvParser, parse_json

CHUNK = 2**16
LONGEST_LINE = 2**20
_MAGIC = 4

Order = Literal["position", "time"]


class Item(NamedTuple):
    """One line of a recording."""

    key: tuple[int, int, int]
    """Sorts the lines of several files into one order."""
    when_ns: int
    """When it was received; 0 when it does not say."""
    value: Row | AnyRecord


class Tally:
    """What reading met that the unit should count and log; filled in a thread, emptied by the event loop."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.notes: list[tuple[str, str]] = []
        """(path, what is wrong)."""

    def bad_file(self, path: Path, reason: str, problem: str) -> None:
        """This file can not be read, or not to its end."""
        self.counts[reason] += 1
        self.notes.append((str(path), problem))


class Recording:
    """A file of ticks or control records in any format of the file sink, recognised by its content.

    Lines that are broken are counted and skipped; damage and errors of the disk end it, and are counted.
    """

    def __init__(self, path: Path, order: Order, tally: Tally) -> None:
        self.path = path
        self._order = order
        self._tally = tally

    def items(self) -> Iterator[Item]:
        """Everything in it, in its order. Blocking; raises nothing."""
        try:
            with self.path.open("rb") as file:
                kind = kind_of(file.read(_MAGIC))
            yield from self._parsed(self._lines(decompressed(self._chunks(), kind)))
        except OSError as error:
            self._tally.bad_file(self.path, "unreadable_files", error.strerror or "cannot be read")
        except DamagedError as error:
            self._tally.bad_file(self.path, "damaged_files", str(error))

    def peek(self, most: int) -> list[Item]:
        """Its first items; what is wrong with them is not counted. Blocking."""
        return list(islice(Recording(self.path, self._order, Tally()).items(), most))

    def _chunks(self) -> Iterator[bytes]:
        """Opened anew for each: a merge of thousands of files would run out of descriptors."""
        offset = 0
        while True:
            with self.path.open("rb") as file:
                file.seek(offset)
                chunk = file.read(CHUNK)
            if not chunk:
                return
            offset += len(chunk)
            yield chunk

    def _lines(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        rest = b""
        skipping = False
        for piece in pieces:
            *lines, rest = (rest + piece).split(b"\n")
            if skipping and lines:
                del lines[0]
                skipping = False
            yield from lines
            if skipping or len(rest) > LONGEST_LINE:
                self._tally.counts["broken_lines"] += not skipping
                rest, skipping = b"", True
        if rest:
            yield rest

    def _parsed(self, lines: Iterator[bytes]) -> Iterator[Item]:
        first = next(lines, None)
        if first is None:
            return
        parse: Callable[[bytes], Row | AnyRecord] = parse_json
        header = b""
        if first.lstrip()[:1] != b"{":
            try:
                parse, header = CsvParser(first).parse, first
            except ValueError as error:
                self._tally.bad_file(self.path, "unreadable_files", str(error))
                return
        else:
            yield from self._item(first, parse)
        for line in lines:
            if line != header:
                yield from self._item(line, parse)

    def _item(self, line: bytes, parse: Callable[[bytes], Row | AnyRecord]) -> Iterator[Item]:
        try:
            value = parse(line)
        except ValueError:
            self._tally.counts["broken_lines"] += 1
            return
        when = value.ts_recv
        if not when and isinstance(value, Row):
            when = (value.exchange_timestamp or 0) * 10**9
        position = (value.epoch, value.seq)
        yield Item((*position, when) if self._order == "position" else (when, *position), when, value)
