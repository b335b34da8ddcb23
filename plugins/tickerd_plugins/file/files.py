"""The files of one sink: opened, repaired and rotated as needed, written together and set back together."""

from collections import ChainMap, Counter, OrderedDict
from collections.abc import Collection, Container, Iterable
from contextlib import suppress
from dataclasses import dataclass

from tickerd.wire.compression import Compression
from tickerd_plugins.file.disk import Disk, Identity
from tickerd_plugins.file.encoding import encoder
from tickerd_plugins.file.ledger import ABSENT, End, Ledger
from tickerd_plugins.file.output import Mark, Output, mend
from tickerd_plugins.file.repair import Cut, examine
from tickerd_plugins.file.restore import Restored, set_back
from tickerd_plugins.file.template import Template

OPEN_FILES = 256
OPEN_COMPRESSED = 64
"""Fewer, because a compressor holds up to 1 MB."""
_REMEMBERED = 20_000
_FOLDERS = 64


@dataclass(frozen=True)
class Kind:
    """How one kind of lines is stored."""

    template: Template
    compression: Compression
    header: bytes
    """First line of a file, or nothing."""
    start: bytes
    """How the text of a file of ours begins."""


class Files:
    """Appends lines to named files, all of a batch or none of it.

    A batch is any number of `append` calls and one `commit`, or, after an exception, one `undo`, which sets
    each file back to the byte. With durable delivery everything begins with `restore`; then a batch begins
    with `announce`, and `checkpoint` comes between batches. Not thread-safe: one batch at a time.

    Args:
        disk: the calls to the operating system.
        root: directory that nothing leaves.
        rotate_size: begin the next number of a file that has this many bytes; None never.
        sync: make each batch and the names of new files safe against a power cut.
        limit: most files open at a time.
    """

    def __init__(self, disk: Disk, root: str, *, rotate_size: int | None, sync: bool, limit: int) -> None:
        self._disk = disk
        self._root = root
        self._rotate_size = rotate_size
        self._sync = sync
        self._limit = limit
        self._open: OrderedDict[str, Output] = OrderedDict()
        self._touched: dict[str, Mark] = {}
        self._left: OrderedDict[str, tuple[Identity, int]] = OrderedDict()
        """How we left files that are closed now: those need no look for torn ends."""
        self._owed: dict[str, Mark] = {}
        """Files that could not be set back yet; it is done before they are written again."""
        self._numbers: dict[tuple[str, str], dict[str, int]] = {}
        """Highest number in use of each stem, by directory and extension."""
        self._ledger: Ledger | None = None
        """With durable delivery: what all files can be set back to."""
        self._changed: dict[str, None] = {}
        self._made: dict[str, str] = {}
        """Since the last checkpoint: files that were written, and a new file of each directory with new ones."""
        self.events: Counter[str] = Counter()
        """What happened to files, by a short constant phrase; the owner takes it."""
        self.notes: list[tuple[str, str, int]] = []
        """(event, path, bytes) of repairs; the owner takes it."""

    # -- a batch ---------------------------------------------------------------------------------------

    def append(self, kind: Kind, name: str, lines: bytes) -> int:
        """Write lines to the file of that stem; the bytes by which it grew. Raises ``OSError``."""
        path, output = self._current(kind, name)
        if path not in self._touched:
            self._touched[path] = output.mark()
            if self._ledger is not None:
                self._changed[path] = None
        return output.append(lines)

    def commit(self) -> None:
        """End a batch. Raises ``OSError`` where it can not be made safe; then `undo`."""
        if self._sync:
            for path in self._touched:
                if path in self._open:
                    self._open[path].sync()
        self._touched.clear()
        self._trim(self._limit)

    def undo(self) -> None:
        """Set every file of this batch back. What fails is done before the file is used again."""
        for path, mark in self._touched.items():
            try:
                self._restore(path, mark)
            except OSError:
                self._owed[path] = mark
        self._touched.clear()
        # start afresh: a directory may have gone, or a file system may have turned read-only
        self.close()
        self._numbers.clear()

    def _restore(self, path: str, mark: Mark) -> None:
        output = self._open.get(path)
        if output is not None:
            output.restore(mark.cut)
            return
        fd = self._disk.open(self._root, path)
        try:
            identity, size = self._disk.identify(fd)
            if identity == mark.identity and size >= mark.cut.length:
                mend(self._disk, fd, mark.cut)
                self._left[path] = (identity, mark.size)
        finally:
            self._disk.close(fd)

    # -- durable delivery ------------------------------------------------------------------------------

    def restore(self, ledger: Ledger, kept: bytes) -> Restored:
        """Set all files back to a commit; from now on every change is one that can be set back.

        Raises:
            OSError: they can not be set back now.
            ValueError: what is kept is none of ours; nothing was set back.
        """
        self._ledger = ledger
        done = set_back(self._disk, ledger.recall(kept))
        for place in done.gone:
            if place.root == self._root:
                ledger.forget(place.path)
        self._left.update((place.path, at) for place, at in done.known.items() if place.root == self._root)
        return done

    def announce(self, names: Iterable[tuple[Kind, str]]) -> None:
        """Note, with one wait for the disk, what a batch for these stems is going to change. Raises ``OSError``."""
        if self._ledger is None:
            return
        ends: dict[str, End] = {}
        for kind, name in names:
            numbers, key = self._numbering(kind.template, name)
            path = kind.template.path(name, numbers.get(key, 0))
            if not self._ledger.covers(path):
                end = self._end(path)
                if end is not None:
                    ends[path] = end
        self._ledger.note(ends)

    def _end(self, path: str) -> End | None:
        """Where a file ends, if that can be told without opening it."""
        found = self._disk.look(self._root, path)
        if found is None:
            return ABSENT
        output = self._open.get(path)
        if output is not None and output.is_at(found):
            return _end_of(output)
        return End(found[0].inode, Cut(found[1])) if self._left.get(path) == found else None

    def _note(self, path: str, end: End) -> None:
        if self._ledger is not None and not self._ledger.covers(path):
            self._ledger.note({path: end})

    def checkpoint(self) -> bytes:
        """Make everything so far safe against a power cut; what `restore` needs to come back to here.

        Raises ``OSError``: then only an earlier checkpoint is to be trusted.
        """
        assert self._ledger is not None
        ends = {path: self._secured(path) for path in self._changed}
        for path in self._made.values():
            with suppress(FileNotFoundError):  # somebody deleted the directory
                self._disk.sync_folder(self._root, path)
        if self._made:
            self._disk.sync_above(self._root)
        for path, end in ends.items():
            if end is None:
                self._ledger.forget(path)
        self._changed.clear()
        self._made.clear()
        return self._ledger.keep({path: end for path, end in ends.items() if end is not None})

    def _secured(self, path: str) -> End | None:
        """Flush a file to the disk and tell where it ends; None when somebody deleted it."""
        output = self._open.get(path)
        if output is not None:
            output.sync()
            return _end_of(output)
        try:
            fd = self._disk.open(self._root, path, make=False)
        except FileNotFoundError:
            return None
        try:
            self._disk.sync(fd)
            identity, size = self._disk.identify(fd)
        finally:
            self._disk.close(fd)
        owed = self._owed.get(path)
        if owed is not None:
            return End(owed.identity.inode, owed.cut)
        wanted, end = self._left.get(path, (identity, size))
        return End(identity.inode, Cut(end)) if identity == wanted else None

    def stored(self) -> bool:
        """What the last `checkpoint` gave has been stored; whether there is something to `tidy`. Does no I/O."""
        assert self._ledger is not None
        return self._ledger.stored()

    def tidy(self) -> None:
        """Clear what counts no more."""
        assert self._ledger is not None
        self._ledger.tidy()

    def deleted(self, paths: Iterable[str]) -> None:
        """These files are too old and were deleted."""
        for path in paths:
            self._left.pop(path, None)
            if self._ledger is not None:
                self._ledger.forget(path)

    # -- files -----------------------------------------------------------------------------------------

    @property
    def open_paths(self) -> Collection[str]:
        """Paths of the files that are open."""
        return self._open.keys()

    @property
    def busy_paths(self) -> Container[str]:
        """Paths of the files that are being written, and must stay."""
        return ChainMap[str, object](self._open, self._changed)  # type: ignore[arg-type]

    def close(self) -> None:
        """Close all files."""
        self._trim(0)

    def _trim(self, limit: int) -> None:
        while len(self._open) > limit:
            self._shut(next(iter(self._open)))

    def _shut(self, path: str) -> None:
        output = self._open.pop(path)
        if path not in self._owed:
            self._left[path] = (output.identity, output.size)
            if len(self._left) > _REMEMBERED:
                self._left.popitem(last=False)
        with suppress(OSError):
            output.close()

    def _current(self, kind: Kind, name: str) -> tuple[str, Output]:
        """The file that this stem is being written to, open and whole."""
        numbers, key = self._numbering(kind.template, name)
        while True:
            number = numbers.get(key, 0)
            path = kind.template.path(name, number)
            output = self._ready(path) or self._begin(kind, path)
            if output is None:
                numbers[key] = number + 1
            elif self._rotate_size is not None and output.size >= self._rotate_size:
                numbers[key] = number + 1
                self.events["files_rotated"] += 1
            else:
                self._note(path, _end_of(output))
                return path, output

    def _numbering(self, template: Template, name: str) -> tuple[dict[str, int], str]:
        folder, _, base = name.rpartition("/")
        numbers = self._numbers.get((folder, template.ext))
        if numbers is None:
            if len(self._numbers) >= _FOLDERS:
                self._numbers.clear()
            numbers = _highest(self._disk.names(self._root, folder), template.ext)
            self._numbers[folder, template.ext] = numbers
        return numbers, base

    def _ready(self, path: str) -> Output | None:
        """The open file of that path, unless somebody moved, replaced, cut or wrote it."""
        output = self._open.get(path)
        if output is None:
            return None
        self._open.move_to_end(path)
        if path in self._touched or output.is_at(self._disk.look(self._root, path)):
            return output
        self.events["files_changed_by_others"] += 1
        self._shut(path)
        self._left.pop(path, None)
        self._is_another(path)
        return None

    def _is_another(self, path: str) -> None:
        if self._ledger is not None:
            self._ledger.forget(path)

    def _begin(self, kind: Kind, path: str) -> Output | None:
        """Open a file and mend it; None when it is a file of somebody else's, which stays as it is."""
        if len(self._open) >= self._limit:
            self._evict()
        fd = self._disk.open(self._root, path)
        try:
            output = Output(self._disk, fd, encoder(kind.compression), kind.header)
            cut = self._whole(kind, path, output)
            if cut is not None:
                self._note(path, End(output.identity.inode, cut))
                self._mend(path, output, cut)
            if not output.size:
                self._named(path)
        except BaseException:
            self._disk.close(fd)
            raise
        if cut is None:
            self._disk.close(fd)
            self.events["files_not_ours"] += 1
            self.notes.append(("not a file of this sink, left alone", path, output.size))
            return None
        self._open[path] = output
        return output

    def _named(self, path: str) -> None:
        """Make the name of a new file safe, now or at the next checkpoint."""
        if self._sync:
            self._disk.sync_folder(self._root, path)
        elif self._ledger is not None:
            self._made[path.rpartition("/")[0]] = path

    def _evict(self) -> None:
        """Close the file that was used least recently; its mark keeps its place in the batch."""
        path = next(iter(self._open))
        if self._sync and path in self._touched:
            self._open[path].sync()
        self._shut(path)

    def _whole(self, kind: Kind, path: str, output: Output) -> Cut | None:
        """Where a file that was just opened is whole and has nothing that is not wanted; None: it is not ours."""
        owed = self._owed.get(path)
        if owed is not None:
            if owed.identity == output.identity and output.size >= owed.cut.length:
                return owed.cut
            del self._owed[path]
        left = self._left.get(path)
        if left == (output.identity, output.size):
            return Cut(output.size)
        if left is not None:
            self._is_another(path)
        if not output.size:
            return Cut(0)
        return examine(
            lambda length, offset: self._disk.read(output.fd, length, offset),
            output.size, kind.compression, kind.start,
        )  # fmt: skip

    def _mend(self, path: str, output: Output, cut: Cut) -> None:
        """Set back what is owed, cut a torn end."""
        torn = output.size - cut.length
        if path in self._owed or torn or cut.closing:
            output.restore(cut)
        if self._owed.pop(path, None) is None and (torn or cut.closing):
            self.events["torn_ends_repaired"] += 1
            self.notes.append(("torn end of a file repaired", path, torn))


def _end_of(output: Output) -> End:
    return End(output.identity.inode, output.mark().cut)


def _highest(names: list[str], ext: str) -> dict[str, int]:
    """The highest number of each rotated file among the names of a directory."""
    found: dict[str, int] = {}
    for name in names:
        stem, _, number = name.removesuffix(ext).rpartition(".")
        if name.endswith(ext) and number.isdecimal() and number.isascii():
            found[stem] = max(found.get(stem, 0), int(number))
    return found
