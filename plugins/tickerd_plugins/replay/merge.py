"""Many recordings as one stream of frames, in bounded memory."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace
from itertools import islice

from tickerd.plugin import AnyRecord, Row
from tickerd_plugins.replay.recording import Item, Recording

FRAME = 1_000
"""Most rows of a frame."""


@dataclass
class Frame:
    """Rows that arrived together, or one control record."""

    when_ns: int
    rows: list[Row] = field(default_factory=list)
    record: AnyRecord | None = None


@dataclass(frozen=True)
class Block:
    """What one visit to the thread brought."""

    frames: Sequence[Frame]
    symbols: dict[int, str]
    """Symbols by token that have not been seen before, or not with this meaning."""


def merged(recordings: Iterable[Recording]) -> Iterator[Item]:
    """The items of all recordings in the order of their keys; each one's own order is kept.

    A recording is read from when its first item is due: only those that overlap are in memory at a time.
    """
    heap: list[tuple[tuple[int, int, int], int, Item, Iterator[Item] | None, Recording]] = []
    for number, recording in enumerate(recordings):
        found = recording.peek(1) or islice(recording.items(), 1)
        heap.extend((first.key, number, first, None, recording) for first in found)
    heapify(heap)
    while heap:
        _, number, item, rest, recording = heap[0]
        if rest is None:
            rest = recording.items()
            next(rest, None)
        yield item
        following = next(rest, None)
        if following is None:
            heappop(heap)
        else:
            heapreplace(heap, (following.key, number, following, rest, recording))


def frames(items: Iterable[Item], *, records: bool) -> Iterator[Frame]:
    """Group rows as they were received: equal time, source and connection are one network read."""
    current: Frame | None = None
    origin: tuple[int, str | None, int | None] | None = None
    for item in items:
        value = item.value
        if not isinstance(value, Row):
            if records:
                if current is not None:
                    yield current
                    current = None
                yield Frame(item.when_ns, record=value)
            continue
        this = (item.when_ns, value.source, value.connection)
        if current is None or this != origin or len(current.rows) >= FRAME:
            if current is not None:
                yield current
            current, origin = Frame(item.when_ns), this
        current.rows.append(value)
    if current is not None:
        yield current


class Blocks:
    """Frames by the block, with the instruments that are new in it."""

    def __init__(self, recordings: Sequence[Recording], *, records: bool, known: dict[int, str]) -> None:
        self._frames = frames(merged(recordings), records=records)
        self._known = known

    def take(self, rows: int) -> Block:
        """Frames of about that many rows or records; none at the end. Blocking."""
        taken: list[Frame] = []
        symbols: dict[int, str] = {}
        count = 0
        for frame in self._frames:
            taken.append(frame)
            for row in frame.rows:
                learn(row, self._known, symbols)
            count += len(frame.rows) or 1
            if count >= rows:
                break
        return Block(taken, symbols)


def learn(row: Row, known: dict[int, str], fresh: dict[int, str]) -> None:
    """Note what a row says about its instrument."""
    symbol = row.symbol
    if symbol and known.get(row.instrument_token) != symbol:
        known[row.instrument_token] = fresh[row.instrument_token] = symbol


def survey(recordings: Sequence[Recording], rows: int) -> dict[int, str]:
    """Symbols by token at the beginning of each recording: what can be asked for before it plays."""
    found: dict[int, str] = {}
    for recording in recordings:
        for item in recording.peek(max(20, rows // len(recordings))):
            if isinstance(item.value, Row):
                learn(item.value, {}, found)
    return found
