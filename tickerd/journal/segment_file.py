"""A segment on the disk, plain or compressed, read at any place as the same bytes."""

from pathlib import Path
from types import TracebackType
from typing import Self

from tickerd.journal.blocks import BlockReader, find_blocks, read_table
from tickerd.journal.files import Files
from tickerd.journal.format import MAGIC, Kind
from tickerd.journal.index import Index, load
from tickerd.journal.scan import record_at
from tickerd.journal.segment import COMPRESSED, Header, Name, parse_name

_FAMILY = MAGIC.rstrip(b"0123456789\n")


class OtherVersion(ValueError):
    """A segment that another version of tickerd wrote, in a format that this one does not read."""


class SegmentFile:
    """Open for reading; a context manager that closes it. A file that is compressed or deleted stays readable.

    Raises:
        OSError: it cannot be opened.
        ValueError: its name is not that of a segment.
    """

    def __init__(self, path: Path, files: Files | None = None) -> None:
        name = parse_name(path)
        if name is None:
            raise ValueError(f"{path} is not a segment of the journal: its name must end in .tkj or .tkj.zst")
        self.path = path
        self.name: Name = name
        self.files = files or Files()
        self._file = self.files.open_read(path)
        self._blocks: BlockReader | None = None
        if path.name.endswith(COMPRESSED):
            try:
                self._blocks = self._table()
            except OSError:
                self.close()
                raise

    @property
    def size(self) -> int:
        """Bytes in the segment now, uncompressed."""
        return self.files.size(self._file) if self._blocks is None else self._blocks.size

    @property
    def header(self) -> Header:
        """What the name says; the first record of the segment says it too, while it is intact."""
        return Header(self.name.epoch, self.name.seq, 0, self.name.day)

    def read_at(self, size: int, offset: int) -> bytes:
        """At most so many bytes of the uncompressed segment from there; fewer only at its end."""
        return self._raw(size, offset) if self._blocks is None else self._blocks.read_at(size, offset)

    def start(self) -> int:
        """Where the first record stands.

        Raises:
            OtherVersion: it is in a format that is not read here.
        """
        begin = self.read_at(len(MAGIC), 0)
        if MAGIC.startswith(begin):  # all of it, or it is just being written
            return len(MAGIC)
        first = record_at(self.read_at, len(MAGIC))
        if first is not None and first.kind == Kind.HEADER:  # ours, with a damaged magic
            return len(MAGIC)
        if begin.startswith(_FAMILY) and begin[len(_FAMILY) :].strip().isdigit():
            raise OtherVersion(
                f"{self.path}: another version of tickerd wrote it, as {begin.decode().strip()!r}"
            )
        return 0

    def index(self) -> Index | None:
        """Its index, if there is one that agrees with it."""
        return load(self.path, self.name.epoch, self.name.seq, self.size, self.files)

    def close(self) -> None:
        """Close the file."""
        self.files.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _raw(self, size: int, offset: int) -> bytes:
        return self.files.pread(self._file, size, offset)

    def _table(self) -> BlockReader:
        size = self.files.size(self._file)
        blocks = read_table(self._raw, size)
        return BlockReader(self._raw, find_blocks(self._raw, size) if blocks is None else blocks)
