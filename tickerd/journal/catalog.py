"""What segments a directory holds, in the order of their positions."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tickerd.journal.files import Files
from tickerd.journal.index import index_path
from tickerd.journal.segment import COMPRESSED, Name, parse_name
from tickerd.plugin import Position

BAD = ".bad"
"""Ends the name of a file that was a segment and could not be read at all."""


class Segment(NamedTuple):
    """One segment of a directory."""

    path: Path
    name: Name
    size: int
    """Bytes on the disk, of its index too."""

    @property
    def first(self) -> Position:
        """Nothing in it stands before that."""
        return Position(self.name.epoch, self.name.seq)

    @property
    def compressed(self) -> bool:
        """Whether this is the compressed form."""
        return self.path.name.endswith(COMPRESSED)


def segments(directory: Path, files: Files) -> list[Segment]:
    """The segments, by position. Of one that is there in both forms, the plain one.

    Raises:
        OSError: the directory cannot be read.
    """
    sizes = {found.name: found.size for found in files.list(directory)}
    chosen: dict[Position, Segment] = {}
    for file, size in sizes.items():
        path = directory / file
        name = parse_name(path)
        if name is None:
            continue
        segment = Segment(path, name, size + sizes.get(index_path(path).name, 0))
        other = chosen.get(segment.first)
        if other is None or other.compressed:
            chosen[segment.first] = segment
    return [chosen[first] for first in sorted(chosen)]


def newest(found: Iterable[Segment], epoch: int) -> Path | None:
    """The newest segment of that run: of the running one it may be open, or opened at this moment."""
    paths = [one.path for one in sorted(found, key=lambda one: one.first) if one.name.epoch == epoch]
    return paths[-1] if paths else None


def quarantined(directory: Path, files: Files) -> list[Path]:
    """Files that were segments and could not be read at all."""
    return sorted(directory / found.name for found in files.list(directory) if found.name.endswith(BAD))


def starting(found: Iterable[Segment], after: Position) -> list[Segment]:
    """Those that may hold something after that position."""
    ordered = list(found)
    wanted = Position(after.epoch, after.seq + 1)
    for place in range(len(ordered) - 1, -1, -1):
        if ordered[place].first <= wanted:
            return ordered[place:]
    return ordered
