"""The files of one sink: opened, repaired and rotated as needed, written together and set back together."""

from collections import Counter, OrderedDict
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

from tickerd.wire.compression import Compression
from tickerd_plugins.file.disk import Disk, Identity
from tickerd_plugins.file.encoding import encoder
from tickerd_plugins.file.output import Mark, Output, mend
from tickerd_plugins.file.repair import Cut, examine
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
    each file back to the byte. Not thread-safe: one batch at a time.

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
        finally:
            self._disk.close(fd)

    # -- files -----------------------------------------------------------------------------------------

    @property
    def open_paths(self) -> Collection[str]:
        """Paths of the files that are open."""
        return self._open.keys()

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
        return None

    def _begin(self, kind: Kind, path: str) -> Output | None:
        """Open a file and mend it; None when it is a file of somebody else's, which stays as it is."""
        if len(self._open) >= self._limit:
            self._evict()
        fd = self._disk.open(self._root, path)
        try:
            output = Output(self._disk, fd, encoder(kind.compression), kind.header)
            whole = self._mend(kind, path, output)
            if self._sync and not output.size:
                self._disk.sync_folder(self._root, path)
        except BaseException:
            self._disk.close(fd)
            raise
        if not whole:
            self._disk.close(fd)
            self.events["files_not_ours"] += 1
            self.notes.append(("not a file of this sink, left alone", path, output.size))
            return None
        self._open[path] = output
        return output

    def _evict(self) -> None:
        """Close the file that was used least recently; its mark keeps its place in the batch."""
        path = next(iter(self._open))
        if self._sync and path in self._touched:
            self._open[path].sync()
        self._shut(path)

    def _mend(self, kind: Kind, path: str, output: Output) -> bool:
        """Set back what is owed, cut a torn end; False when the file is not ours."""
        owed = self._owed.get(path)
        if owed is not None:
            ours = owed.identity == output.identity and output.size >= owed.cut.length
            if ours:
                output.restore(owed.cut)
            del self._owed[path]
            if ours:
                return True
        if not output.size or self._left.get(path) == (output.identity, output.size):
            return True
        cut = examine(
            lambda length, offset: self._disk.read(output.fd, length, offset),
            output.size, kind.compression, kind.start,
        )  # fmt: skip
        if cut is None:
            return False
        if cut != Cut(output.size):
            torn = output.size - cut.length
            output.restore(cut)
            self.events["torn_ends_repaired"] += 1
            self.notes.append(("torn end of a file repaired", path, torn))
        return True


def _highest(names: list[str], ext: str) -> dict[str, int]:
    """The highest number of each rotated file among the names of a directory."""
    found: dict[str, int] = {}
    for name in names:
        stem, _, number = name.removesuffix(ext).rpartition(".")
        if name.endswith(ext) and number.isdecimal() and number.isascii():
            found[stem] = max(found.get(stem, 0), int(number))
    return found
