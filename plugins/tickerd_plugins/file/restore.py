"""Setting files back to a commit after a crash: each is cut where it ended then, and new ones are removed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tickerd_plugins.file.disk import Disk, Identity
from tickerd_plugins.file.ledger import End, Place, choose
from tickerd_plugins.file.output import mend
from tickerd_plugins.file.repair import Cut

_IN_THE_WAY = (IsADirectoryError, NotADirectoryError)
"""Something that is no file of ours has the name now."""


class Known(NamedTuple):
    """A file that is what it should be."""

    identity: Identity
    size: int


@dataclass
class Restored:
    """What was done."""

    files: int = 0
    """Were cut or removed."""
    size: int = 0
    """Bytes that were cut off; they will be written again."""
    short: int = 0
    """Have less than they had at the commit."""
    missing: int = 0
    """Bytes that those lack."""
    first_short: str = ""
    replaced: int = 0
    """Are gone, or not the files that we wrote; they are left alone."""
    known: dict[Place, Known] = field(default_factory=dict)
    """Files that are now as they were at the commit."""
    gone: set[Place] = field(default_factory=set)
    """Files that are not what they were: what is written to them next is written to another file."""


def set_back(disk: Disk, ends: Mapping[Place, Sequence[End]]) -> Restored:
    """Set files back to the first of their ends that is about the file which has the name now.

    It is all on the disk when this returns, and can be done again when it does not.

    Raises:
        OSError: one of them can not be set back now.
    """
    done = Restored()
    for place, some in ends.items():
        try:
            _one(disk, place, some, done)
        except _IN_THE_WAY:
            _is_gone(place, done)
    return done


def _one(disk: Disk, place: Place, ends: Sequence[End], done: Restored) -> None:
    found = disk.look(*place)
    if found is None:
        if ends[0].inode is not None:
            _is_gone(place, done)
        return
    identity, size = found
    cut = choose(ends, identity.inode)
    if cut is None:
        _is_gone(place, done)
    elif cut == Cut(0):
        disk.remove(*place, sync=True)
        done.gone.add(place)
        done.files, done.size = done.files + 1, done.size + size
    elif cut != Cut(size):  # without a closing nothing before the end was written over
        _cut(disk, place, cut, done)
    else:
        done.known[place] = Known(identity, size)


def _cut(disk: Disk, place: Place, cut: Cut, done: Restored) -> None:
    end = cut.length + len(cut.closing)
    fd = disk.open(*place, make=False)
    try:
        identity, size = disk.identify(fd)
        if size < end:
            done.short, done.missing = done.short + 1, done.missing + end - size
            done.first_short = done.first_short or place.path
            done.gone.add(place)
            return
        if size > end or disk.read(fd, len(cut.closing), cut.length) != cut.closing:
            mend(disk, fd, cut)
            disk.sync(fd)
            done.files, done.size = done.files + 1, done.size + size - end
    finally:
        disk.close(fd)
    done.known[place] = Known(identity, end)


def _is_gone(place: Place, done: Restored) -> None:
    done.replaced += 1
    done.gone.add(place)
