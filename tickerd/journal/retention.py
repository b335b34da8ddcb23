"""Which closed segments have to go, by age, size and free disk: a pure decision, and the deleting."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from tickerd.journal.catalog import Segment, newest, segments
from tickerd.journal.files import Files, Room
from tickerd.journal.index import index_path
from tickerd.journal.segment_file import SegmentFile
from tickerd.plugin import Position
from tickerd.wire.day import day_end

Why = Literal["age", "size", "free"]


class Rules(NamedTuple):
    """What may stay; None: no such limit."""

    keep_ns: int | None = None
    """Since the end of a segment's day."""
    max_bytes: int | None = None
    max_share: float | None = None
    """Of the whole file system, 0 to 1."""
    min_free: int | None = None
    """Bytes of the file system that others shall find free."""

    def most(self, room: Room) -> int | None:
        """Bytes that the journal may have on this file system."""
        limits = [self.max_bytes, None if self.max_share is None else int(room.total * self.max_share)]
        return min((limit for limit in limits if limit is not None), default=None)


class Removal(NamedTuple):
    """A segment that has to go."""

    segment: Segment
    why: Why


class Overtaken(NamedTuple):
    """A durable sink loses something that it has not acknowledged."""

    sink: str
    after: Position
    """The last position that it has."""
    until: Position
    """The last one that is gone."""
    lost: int
    """Ticks and records; as many as the segments' indexes tell of."""


class Swept(NamedTuple):
    """What one look did."""

    removed: Sequence[Removal] = ()
    overtaken: Sequence[Overtaken] = ()
    failed: Sequence[tuple[Path, str]] = ()
    """What could not be deleted, and why not."""
    short: int = 0
    """Bytes by which a limit is still missed, though nothing is left that may be deleted."""


def decide(
    found: Sequence[Segment], rules: Rules, room: Room, now_ns: int, busy: Path | None
) -> list[Removal]:
    """What has to go, oldest first and without leaving a hole: it ends at the first segment that may stay.

    Args:
        found: all segments, by position.
        rules: what may stay.
        room: of the file system now.
        now_ns: wall clock.
        busy: the segment that is being written; neither it nor anything after it goes.
    """
    total, free, most = sum(one.size for one in found), room.free, rules.most(room)
    gone: list[Removal] = []
    for segment in found:
        why = _why(segment, rules, most, total, free, now_ns)
        if why is None or segment.path == busy:
            break
        gone.append(Removal(segment, why))
        total, free = total - segment.size, free + segment.size
    return gone


def _why(segment: Segment, rules: Rules, most: int | None, total: int, free: int, now_ns: int) -> Why | None:
    if most is not None and total > most:
        return "size"
    if rules.min_free is not None and free < rules.min_free:
        return "free"
    if rules.keep_ns is not None and _end_ns(segment) + rules.keep_ns <= now_ns:
        return "age"
    return None


def _end_ns(segment: Segment) -> int:
    try:
        return day_end(segment.name.day)
    except ValueError:  # no such date: it is never old
        return 2**63


def overtaken(
    gone: Iterable[Segment], last: Callable[[Segment], Position | None], cursors: Mapping[str, Position]
) -> list[Overtaken]:
    """Which durable sinks lose something with these segments.

    Args:
        gone: in the order of their positions.
        last: the last position of a segment; None when it holds none.
        cursors: sink → the last position that it has acknowledged.
    """
    spans = [(one.first, end) for one in gone if (end := last(one)) is not None]
    found = []
    for sink, cursor in sorted(cursors.items()):
        missed = [
            (max(first.seq, cursor.seq + 1 if cursor.epoch == first.epoch else 0), end)
            for first, end in spans
            if end > cursor
        ]
        if missed:
            lost = sum(end.seq - first + 1 for first, end in missed)
            found.append(Overtaken(sink, cursor, missed[-1][1], lost))
    return found


def sweep(
    directory: Path,
    rules: Rules,
    now_ns: int,
    epoch: int | None,
    cursors: Mapping[str, Position],
    files: Files | None = None,
) -> Swept:
    """Delete what has to go. Blocking. Whoever is overtaken has to be told by an alarm and a gap.

    Args:
        directory: of the segments.
        rules: what may stay.
        now_ns: wall clock.
        epoch: of the run that writes now, whose newest segment is left alone; None: nobody writes.
        cursors: sink → the last position that it has acknowledged.
        files: how files are touched.

    Raises:
        OSError: the directory cannot be looked at.
    """
    files = files or Files()
    found, room = segments(directory, files), files.room(directory)
    busy = None if epoch is None else newest(found, epoch)
    wanted = decide(found, rules, room, now_ns, busy)
    ends = {removal.segment: last_position(removal.segment, found, files) for removal in wanted}
    removed: list[Removal] = []
    failed: list[tuple[Path, str]] = []
    for removal in wanted:
        try:
            files.remove(removal.segment.path)
            files.remove(index_path(removal.segment.path))
        except OSError as error:
            failed.append((removal.segment.path, error.strerror or str(error)))
        else:
            removed.append(removal)
    freed = sum(removal.segment.size for removal in removed)
    lost = overtaken((removal.segment for removal in removed), ends.get, cursors)
    return Swept(
        removed, lost, failed, _short(sum(one.size for one in found) - freed, room.free + freed, rules, room)
    )


def _short(total: int, free: int, rules: Rules, room: Room) -> int:
    most = rules.most(room)
    over = 0 if most is None else total - most
    missing = 0 if rules.min_free is None else rules.min_free - free
    return max(over, missing, 0)


def last_position(segment: Segment, found: Sequence[Segment], files: Files) -> Position | None:
    """The last position of a closed segment: from its index, else from where the next one begins.

    Returns:
        None when it holds nothing, or there is no telling.
    """
    try:
        with SegmentFile(segment.path, files) as file:
            index = file.index()
    except OSError:
        index = None
    if index is not None and index.end is not None:
        return Position(segment.name.epoch, index.end.last_seq) if index.end.last_seq else None
    following = [
        one.first for one in found if one.first > segment.first and one.name.epoch == segment.name.epoch
    ]
    return Position(segment.name.epoch, following[0].seq - 1) if following else None
