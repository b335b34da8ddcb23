"""What the file sink can be set back to: each file's end at the last commit, and what was there before later ones.

Everything here is about durable delivery. A commit hands the host the ends of the files that were written of
late; the host stores them with its position. A file that is not among them, a new one for example, is written
into a small log before anything about it is changed, so that it can be set back as well. How it holds:

1. A file is *covered* when the newest commit has its end, or the log has had an entry for it since then.
   Whoever changes a file that is not covered makes an entry first.
2. A commit counts only once the host has stored it, and it need not manage to. So entries say after which
   commit they were made, and they stay in the log until a later one has been stored.
3. What a file is set back to is its end in the stored commit; if it has none there, the first entry made since.
"""

import zlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import msgspec

from tickerd.wire.compression import zstd
from tickerd_plugins.file.disk import Disk
from tickerd_plugins.file.repair import Cut

LOG = "touched.jsonl"
MOST = 20_000
"""Files in a commit; the log covers what is more than that."""
AGE = 1000
"""Commits after which a file that was not written any more is left out."""


class End(NamedTuple):
    """A file as it was at some moment: which one it was, and where it ended."""

    inode: int | None
    """None: there was none."""
    cut: Cut


ABSENT = End(None, Cut(0))


class Place(NamedTuple):
    """A file by name. The root is in it because the path that is configured may change between two starts."""

    root: str
    path: str


class _Kept(msgspec.Struct, array_like=True):
    """What a commit returns."""

    generation: int = 0
    root: str = ""
    files: dict[str, End] = {}


class _Line(msgspec.Struct, array_like=True):
    """One entry of the log."""

    generation: int
    """Of the commit that had been handed out last."""
    stored: int
    """Of the commit that was known to be stored; 0: none ever."""
    root: str
    path: str
    end: End
    anew: bool
    """Another file took the place of the one that earlier entries, or the commit, are about."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Kept).decode
_line = msgspec.json.Encoder().encode
_unline = msgspec.json.Decoder(_Line).decode


_CRC = 8


def _crc(text: bytes) -> bytes:
    # a power cut can leave a line whose beginning is new and whose end is of one that stood there before
    return b"%08x" % zlib.crc32(text)


class Ledger:
    """Of one sink, in the unit's own directory. Blocking; not thread-safe.

    Args:
        disk: the calls to the operating system.
        folder: where the log is.
        root: of the files that are written now.
    """

    def __init__(self, disk: Disk, folder: str, root: str) -> None:
        self._disk = disk
        self._folder = folder
        self._root = root
        self._generation = 0
        self._stored = 0
        self._ends: OrderedDict[str, tuple[End, int]] = OrderedDict()
        """The newest commit: each file's end, and the commit with which it was written; that order."""
        self._noted: set[str] = set()
        """What the log has entries for since the newest commit."""
        self._replaced: set[str] = set()
        self._text = b""
        """The part of the log that counts."""

    def covers(self, path: str) -> bool:
        """Whether this file may be changed."""
        return path in self._ends or path in self._noted

    def note(self, ends: Mapping[str, End]) -> None:
        """Make entries, all with one wait for the disk. Raises ``OSError``: then none of them is covered."""
        if not ends:
            return
        lines = b"".join(self._entry(path, end) for path, end in ends.items())
        fd = self._disk.open(self._folder, LOG)
        try:
            _, size = self._disk.identify(fd)
            if size < len(self._text):  # somebody deleted it
                self._disk.write(fd, self._text + lines, 0)
            else:
                if size > len(self._text):  # what could not be written whole, or counts no more
                    self._disk.truncate(fd, len(self._text))
                self._disk.write(fd, lines, len(self._text))
            self._disk.sync(fd)
        finally:
            self._disk.close(fd)
        if not self._text:
            self._disk.sync_folder(self._folder, LOG)
            self._disk.sync_above(self._folder)
        self._text += lines
        self._noted.update(ends)
        self._replaced.difference_update(ends)

    def _entry(self, path: str, end: End) -> bytes:
        anew = path in self._replaced
        text = _line(_Line(self._generation, self._stored, self._root, path, end, anew))
        return _crc(text) + text + b"\n"

    def forget(self, path: str) -> None:
        """The file that we knew by this name is gone; the next one is another."""
        if self.covers(path):
            self._ends.pop(path, None)
            self._noted.discard(path)
            self._replaced.add(path)

    def keep(self, ends: Mapping[str, End]) -> bytes:
        """A commit, for the host to store: these files, which are safe on the disk, and those of before."""
        self._generation += 1
        for path, end in ends.items():
            self._ends[path] = end, self._generation
            self._ends.move_to_end(path)
        oldest = self._generation - AGE
        while self._ends and (len(self._ends) > MOST or next(iter(self._ends.values()))[1] < oldest):
            self._ends.popitem(last=False)
        self._noted.clear()
        files = {path: end for path, (end, _) in self._ends.items()}
        return zstd.compress(_encode(_Kept(self._generation, self._root, files)), 1)

    def stored(self) -> bool:
        """The host has stored the newest commit: no entry counts any more. Whether there were any to `tidy`."""
        self._stored = self._generation
        self._replaced.clear()
        had, self._text = bool(self._text), b""
        return had

    def tidy(self) -> None:
        """Clear the log. Where that fails the next entry does it."""
        with suppress(OSError):
            self._clear()

    def recall(self, kept: bytes) -> Mapping[Place, Sequence[End]]:
        """The files that may have been changed since that commit, each with the ends it may have had, oldest first.

        Raises:
            OSError: the log can not be read.
            ValueError: what is kept is none of ours; what the log says is then taken for outdated.
        """
        lines, self._text = self._read()
        self._generation = max((line.generation for line in lines), default=0)
        try:
            last = _decode(zstd.decompress(kept)) if kept else _Kept()
        except (zstd.ZstdError, msgspec.MsgspecError) as error:
            self._clear()
            raise ValueError(f"these are not the ends of files: {error}") from None
        self._generation = max(self._generation, last.generation)
        self._stored = last.generation
        if not kept and any(line.stored for line in lines):
            lines = []  # there were commits, and the host has lost them: who knows how far it will go back
        since = [line for line in lines if line.generation >= last.generation]
        if not since:
            self._clear()
        found = {Place(last.root, path): [end] for path, end in last.files.items()}
        for line in since:
            place = Place(line.root, line.path)
            found[place] = [line.end] if line.anew else [*found.get(place, ()), line.end]
        self._adopt(last, since)
        return found

    def _adopt(self, last: _Kept, since: Sequence[_Line]) -> None:
        if last.root == self._root:
            self._ends = OrderedDict((path, (end, self._generation)) for path, end in last.files.items())
        self._noted = {line.path for line in since if line.root == self._root}

    def _read(self) -> tuple[Sequence[_Line], bytes]:
        """The log and its text, up to where it is torn: what was not on the disk whole had not begun."""
        if self._disk.look(self._folder, LOG) is None:
            return [], b""
        fd = self._disk.open(self._folder, LOG)
        try:
            text = self._disk.read(fd, self._disk.identify(fd)[1], 0)
        finally:
            self._disk.close(fd)
        lines: list[_Line] = []
        size = 0
        for line in text.split(b"\n")[:-1]:
            try:
                if line[:_CRC] != _crc(line[_CRC:]):
                    break
                lines.append(_unline(line[_CRC:]))
            except msgspec.MsgspecError:  # another version wrote it
                break
            size += len(line) + 1
        return lines, text[:size]

    def _clear(self) -> None:
        self._text = b""
        found = self._disk.look(self._folder, LOG)
        if found is not None and found[1]:
            fd = self._disk.open(self._folder, LOG)
            try:
                self._disk.truncate(fd, 0)
            finally:
                self._disk.close(fd)


def choose(ends: Sequence[End], inode: int) -> Cut | None:
    """Which end a file with that inode is set back to; None: it is none of those that we wrote."""
    return next((end.cut for end in ends if end.inode in (None, inode)), None)
