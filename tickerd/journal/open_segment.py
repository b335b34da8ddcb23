"""The segment that is being written: buffered records, one ``writev`` per group, and its sparse index."""

import errno
import time
from contextlib import suppress
from pathlib import Path

from tickerd.journal.files import Files
from tickerd.journal.index import IndexWriter
from tickerd.journal.segment import Encoder, Header, file_name
from tickerd.plugin import Batch

MAX_BUFFERS = 512
"""Buffers in one writev; the system takes 1,024."""


class OpenSegment:
    """Used by the writing thread alone. An ``OSError`` passes through; the caller then calls `abandon`."""

    def __init__(self, directory: Path, header: Header, files: Files) -> None:
        self.path = directory / file_name(header)
        self.size = 0
        """Bytes that are in the file and complete."""
        self._end = 0
        self.dirty = False
        """Something was written since the last sync."""
        self._files = files
        self._encoder = Encoder(header)
        self._buffers: list[bytes] = []
        self._synced_at = time.monotonic()
        self._file = files.open_append(self.path)
        files.sync_directory(directory)  # so that its name outlives a power cut as well
        self._index = IndexWriter(self.path, header, files)
        self._append(self._encoder.begin())

    def add(self, batch: Batch) -> None:
        """Encode a batch; `flush` writes it."""
        self._append(self._encoder.batch(batch))

    def _append(self, buffers: list[bytes]) -> None:
        self._index.add(self._end, buffers)
        self._buffers += buffers
        self._end += sum(map(len, buffers))

    def flush(self) -> int:
        """Write what was added; how many bytes that was."""
        before = self.size
        buffers, self._buffers = self._buffers, []
        for start in range(0, len(buffers), MAX_BUFFERS):
            self.size += self._files.writev(self._file, buffers[start : start + MAX_BUFFERS])
        self._index.flush()
        self.dirty = self.dirty or bool(buffers)
        return self.size - before

    def sync_if_due(self, every_s: float) -> None:
        """Bring it to the disk when the last time is long enough ago."""
        if self.dirty and time.monotonic() - self._synced_at >= every_s:
            self.sync()

    def sync(self) -> None:
        """Bring everything written to the disk.

        Raises:
            OSError: the disk refuses, or the file has been removed under us: what is written would be lost.
        """
        self._files.sync(self._file)
        if not self.path.exists():
            raise FileNotFoundError(
                errno.ENOENT, "the segment was removed while it was written", str(self.path)
            )
        self._synced_at = time.monotonic()
        self.dirty = False

    def close(self) -> None:
        """Sync and close."""
        try:
            if self.dirty:
                self.sync()
        finally:
            self._index.close(self.size)
            self._files.close(self._file)

    def abandon(self) -> None:
        """Cut it back to its last complete group and close it, as far as the disk lets us; never raises.

        What cannot be cut now is a torn tail for the recovery at the next start.
        """
        with suppress(OSError):
            if self.size:
                self._files.truncate(self._file, self.size)
            else:
                self._files.remove(self.path)
        self._index.close(self.size)
        with suppress(OSError):
            self._files.close(self._file)
