"""Making the journal's directory good at start: what is torn is cut, what is damaged is told, nothing is fatal."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from tickerd.journal.catalog import BAD, Segment, segments
from tickerd.journal.compress import finish
from tickerd.journal.files import Files
from tickerd.journal.format import Damage, extent
from tickerd.journal.index import INDEX, TEMPORARY, End, IndexBuilder, index_path, save
from tickerd.journal.scan import Scanner
from tickerd.journal.segment import COMPRESSED, SUFFIX
from tickerd.journal.segment_file import OtherVersion, SegmentFile
from tickerd.journal.segment_reader import NOWHERE, Damaged
from tickerd.plugin import Position

What = Literal["torn", "damaged", "quarantined", "empty", "version", "failed"]


class Problem(NamedTuple):
    """Something that was not as it should be."""

    what: What
    """``torn``: a tail that was cut. ``damaged``: skipped, see ``damage``. ``quarantined``: renamed to ``.bad``.
    ``empty``: deleted. ``version``: another version wrote it, left alone. ``failed``: the disk refused."""
    path: Path
    detail: str
    size: int = 0
    """Bytes that are concerned."""
    damage: Damaged | None = None


@dataclass(frozen=True, slots=True)
class Recovered:
    """What there is, and what was done."""

    segments: tuple[Segment, ...] = ()
    """By position; the unreadable ones are not among them."""
    ends: Mapping[int, Position] = field(default_factory=dict)
    """Epoch → the last position of it that is on the disk."""
    problems: tuple[Problem, ...] = ()
    rebuilt: int = 0
    """Indexes that were made again."""

    @property
    def last(self) -> Position:
        """The last position on the disk; (0, 0) when there is none."""
        return max(self.ends.values(), default=NOWHERE)

    def total(self, what: What) -> tuple[int, int]:
        """How many problems of that kind there were, and how many bytes they concern."""
        sizes = [problem.size for problem in self.problems if problem.what == what]
        return len(sizes), sum(sizes)


def recover(directory: Path, files: Files | None = None) -> Recovered:
    """Make a directory good before anything is written or read. Blocking; needs the directory for itself.

    A segment whose index says that it was closed is taken as it is; any other is read once from end to end.

    Raises:
        OSError: the directory cannot be made or listed.
    """
    files = files or Files()
    files.make_directory(directory)
    return _Recovery(directory, files).run()


class _Survey(NamedTuple):
    """What a scan of a whole segment found."""

    entries: bytes
    """Its index."""
    end: End
    damages: list[Damaged]
    torn: int
    """Bytes at the end that are not whole."""
    records: int


def survey(file: SegmentFile) -> _Survey:
    """Read a whole segment.

    Raises:
        OSError: it cannot be read.
        OtherVersion: it is in another format.
    """
    size, epoch = file.size, file.name.epoch
    builder = IndexBuilder(file.header)
    damages: list[Damaged] = []
    last: Position | None = None
    records = torn = 0
    for found in Scanner(file.read_at, file.start()).records():
        if isinstance(found, Damage):
            if found.reason == "torn":
                torn = found.size
            else:
                damages.append(Damaged(file.path, found.offset, found.size, found.reason, last))
            continue
        records += 1
        covers = extent(found.kind, found.payload)
        builder.add(found.kind, found.offset, covers)
        if covers is not None:
            last = Position(epoch, covers.last)
            if damages and damages[-1].before is None:
                damages[-1] = damages[-1]._replace(before=Position(epoch, covers.seq))
    end = builder.end(size - torn)
    return _Survey(b"".join(builder.take()), end, damages, torn, records)


class _Recovery:
    def __init__(self, directory: Path, files: Files) -> None:
        self._directory = directory
        self._files = files
        self._problems: list[Problem] = []
        self._rebuilt = 0

    def run(self) -> Recovered:
        self._clean()
        kept: list[Segment] = []
        ends: dict[int, Position] = {}
        for segment in segments(self._directory, self._files):
            end = self._one(segment)
            if end is not None:
                kept.append(segment)
                if end.last_seq:
                    ends[segment.name.epoch] = Position(segment.name.epoch, end.last_seq)
        return Recovered(tuple(kept), ends, tuple(self._problems), self._rebuilt)

    def _clean(self) -> None:
        """What an interrupted compression or deletion has left."""
        names = {found.name for found in self._files.list(self._directory)}
        for name in sorted(names):
            path = self._directory / name
            try:
                if name.endswith((COMPRESSED + TEMPORARY, INDEX + TEMPORARY)):
                    self._files.remove(path)
                elif name.endswith(SUFFIX) and name.removesuffix(SUFFIX) + COMPRESSED in names:
                    finish(path, self._files)
                elif name.endswith(INDEX) and not names & {
                    name.removesuffix(INDEX) + s for s in (SUFFIX, COMPRESSED)
                }:
                    self._files.remove(path)
            except OSError as error:
                self._failed(path, error)

    def _one(self, segment: Segment) -> End | None:
        """One segment; None when there is nothing to be read in it."""
        try:
            with SegmentFile(segment.path, self._files) as file:
                index = file.index()
                if index is not None and index.end is not None:
                    return index.end
                found = survey(file)
        except OtherVersion as error:
            self._problems.append(Problem("version", segment.path, str(error), segment.size))
            return None
        except OSError as error:
            self._failed(segment.path, error)
            return None
        if not found.records:
            self._set_aside(segment)
            return None
        self._mend(segment, found)
        return found.end

    def _mend(self, segment: Segment, found: _Survey) -> None:
        for damage in found.damages:
            self._problems.append(Problem("damaged", segment.path, damage.reason, damage.size, damage))
        try:
            if found.torn and not segment.compressed:
                self._files.cut(segment.path, found.end.size)
            if found.torn:
                self._problems.append(
                    Problem("torn", segment.path, "its last record is not whole", found.torn)
                )
            save(segment.path, found.entries, self._files)
            self._rebuilt += 1
        except OSError as error:
            self._failed(segment.path, error)

    def _set_aside(self, segment: Segment) -> None:
        """Nothing in it is intact: delete it when it is empty, else keep it under a name that nothing reads."""
        path = segment.path
        with suppress(OSError):
            self._files.remove(index_path(path))
        try:
            if segment.size == 0:
                self._files.remove(path)
                self._problems.append(Problem("empty", path, "nothing had been written into it"))
            else:
                self._files.rename(path, path.with_name(path.name + BAD))
                self._problems.append(Problem("quarantined", path, "no record in it is intact", segment.size))
        except OSError as error:
            self._failed(path, error)

    def _failed(self, path: Path, error: OSError) -> None:
        self._problems.append(Problem("failed", path, error.strerror or str(error)))
