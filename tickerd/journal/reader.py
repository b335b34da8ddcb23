"""Reading the journal back: all segments of a directory as one stream, which can be followed while it grows.

Synchronous generators for threads. Memory is bounded by a chunk, or by one batch where that is larger.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tickerd.journal.catalog import Segment, segments, starting
from tickerd.journal.files import Files
from tickerd.journal.segment_reader import EVERYTHING, Damaged, SegmentReader, Span
from tickerd.plugin import Batch, Codec

Limit = Callable[[Path], int | None]
"""How many bytes of a segment, from its beginning, may be read; None: all there are."""


def _no_limit(path: Path) -> None:
    del path


class JournalReader:
    """Segments of a directory in their order. Close it when done.

    What is closed, compressed or deleted meanwhile does not disturb it.
    """

    def __init__(
        self,
        directory: Path,
        codecs: Mapping[str, Codec],
        span: Span = EVERYTHING,
        files: Files | None = None,
        limit: Limit = _no_limit,
    ) -> None:
        self._directory = directory
        self._codecs = codecs
        self._span = span
        self._files = files or Files()
        self._limit = limit
        self._reader: SegmentReader | None = None
        self._at: Segment | None = None

    def items(self, *, final: bool = False) -> Iterator[Batch | Damaged]:
        """What there is now, from where the last call ended.

        Args:
            final: nothing more will be written, so that what is torn at the very end is told.

        Raises:
            OSError: the directory cannot be read.
        """
        while True:
            if self._reader is not None:
                # looked for first: when there is a later one, the writer is done with this one
                later = self._later()
                self._reader.limit = self._limit(self._reader.file.path) if not later else None
                yield from self._reader.items(final=final or bool(later))
                if self._reader.finished:
                    return
            else:
                later = self._later()
            if not later:
                return
            yield from self._open(later[0])

    def close(self) -> None:
        """Close the segment that is open."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _later(self) -> Sequence[Segment]:
        found = segments(self._directory, self._files)
        later = (
            starting(found, self._span.after)
            if self._at is None
            else [s for s in found if s.first > self._at.first]
        )
        return [one for one in later if self._span.until is None or one.first <= self._span.until]

    def _open(self, segment: Segment) -> Iterator[Damaged]:
        self.close()
        try:
            self._reader = SegmentReader(segment.path, self._codecs, self._span, self._files)
        except FileNotFoundError:
            return  # compressed or deleted since it was listed: it is listed anew
        except (OSError, ValueError) as error:
            yield Damaged(segment.path, 0, segment.size, str(error), None)
        self._at = segment


def read_segment(
    path: Path, codecs: Mapping[str, Codec], span: Span = EVERYTHING, files: Files | None = None
) -> Iterator[Batch | Damaged]:
    """One segment that is not written to any more; see `SegmentReader`."""
    with SegmentReader(path, codecs, span, files) as reader:
        yield from reader.items()


def read_journal(
    directory: Path, codecs: Mapping[str, Codec], span: Span = EVERYTHING, files: Files | None = None
) -> Iterator[Batch | Damaged]:
    """A whole journal as it is now; see `JournalReader`. What is torn at its very end is not told."""
    reader = JournalReader(directory, codecs, span, files)
    try:
        yield from reader.items()
    finally:
        reader.close()
