"""Finding records in the bytes of a segment, chunk by chunk, and finding the way again after damage."""

from collections.abc import Callable, Iterator

from tickerd.journal.format import HEAD_SIZE, MARK, Damage, Record, read, wanted

CHUNK = 2**20
"""Bytes that are read at once."""

ReadAt = Callable[[int, int], bytes]
"""``(size, offset)``: at most so many bytes from there; fewer only at the end."""


def record_at(read_at: ReadAt, offset: int) -> Record | None:
    """The intact record at this place, if there is one, reading no more than that."""
    head = read_at(HEAD_SIZE, offset)
    return read(read_at(wanted(head, 0), offset), 0, offset)


class Scanner:
    """Every intact record from an offset on, and what lies between them: never a wrong record.

    Holds one chunk, or one record where that is larger. After damage the next mark with a right CRC is looked
    for, so that one flipped bit costs one record.
    """

    def __init__(self, read_at: ReadAt, offset: int = 0) -> None:
        self.offset = offset
        """Where the next record begins."""
        self._read_at = read_at
        self._data = b""
        self._base = offset

    def records(self, *, final: bool = True) -> Iterator[Record | Damage]:
        """What there is now.

        Args:
            final: nothing more will be appended, so that what is not whole at the end is told as torn. Otherwise
                it is left alone, and a later call goes on there.
        """
        while True:
            found = self._at(self.offset)
            if found is not None:
                self.offset += found.size
                yield found
                continue
            damage = self._skip(final=final)
            if damage is None:
                return
            yield damage

    def _at(self, offset: int) -> Record | None:
        self._hold(offset)
        while True:
            start = offset - self._base
            found = read(self._data, start, self._base)
            if found is not None:
                return found
            missing = wanted(self._data, start) - (len(self._data) - start)
            if missing <= 0 or not self._more(start, missing):
                return None

    def _hold(self, offset: int) -> None:
        """Make the buffer one in which this place can be reached by reading on."""
        if not self._base <= offset <= self._base + len(self._data):
            self._data, self._base = b"", offset

    def _more(self, start: int, missing: int) -> bool:
        """Read on, dropping what lies before ``start``; False at the end."""
        kept = self._data[start:]
        self._base += start
        fresh = self._read_at(max(CHUNK, missing), self._base + len(kept))
        self._data = kept + fresh
        return bool(fresh)

    def _skip(self, *, final: bool) -> Damage | None:
        """Go to the next intact record; None at the end, or when what is left may still become one."""
        begin = self.offset
        self._hold(begin)
        first = self._data[begin - self._base :][: len(MARK)]
        if not first:
            return None
        place = begin + 1
        while (mark := self._mark_from(place)) is not None:
            if self._at(mark) is not None:
                self.offset = mark
                return Damage(begin, mark - begin, "crc" if first == MARK else "mark")
            place = mark + 1
        end = self._base + len(self._data)
        if not final:  # the search has let go of these bytes, so what was seen half is read anew
            return None
        self.offset = end
        return Damage(begin, end - begin, "torn")

    def _mark_from(self, offset: int) -> int | None:
        """Where the next mark is, or None when there is none up to the end."""
        self._hold(offset)
        start = offset - self._base
        while (place := self._data.find(MARK, start)) < 0:
            # a mark may begin in the last bytes
            if not self._more(max(start, len(self._data) - len(MARK) + 1), 0):
                return None
            start = 0
        return self._base + place
