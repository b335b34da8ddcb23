"""Which files of a sink have to go, by age and by size; a pure decision and the deleting."""

import re
from collections.abc import Collection, Container, Iterable, Sequence
from typing import NamedTuple

from tickerd.wire.day import day_end
from tickerd_plugins.file.disk import Disk, Found

_ROOM = 0.95
"""Too large, they are deleted down to this share of ``max_size``: not one more with each batch."""
_EVERY = 3600 * 10**9
_AGAIN = 10 * 10**9
"""Nanoseconds between two looks at the whole directory: for age, and while it stays too large."""


class Rules(NamedTuple):
    """What may stay."""

    patterns: Collection[re.Pattern[str]]
    """Paths of the files that this is about; any other is never touched."""
    keep_ns: int | None
    max_size: int | None


class Purged(NamedTuple):
    """What one look did."""

    paths: Sequence[str] = ()
    size: int = 0

    @property
    def files(self) -> int:
        """How many files were deleted."""
        return len(self.paths)


def expired(
    files: Iterable[Found], rules: Rules, now_ns: int, busy: Container[str]
) -> tuple[list[Found], int]:
    """The files to delete, oldest first, and the bytes that stay. ``busy`` ones always stay."""
    mine = sorted(filter(None, (_dated(file, rules) for file in files)))
    total = sum(file.size for _, _, file in mine)
    limit = rules.max_size
    target = total if limit is None or total <= limit else int(limit * _ROOM)
    gone: list[Found] = []
    for end, _, file in mine:
        old = rules.keep_ns is not None and end + rules.keep_ns < now_ns
        if (old or total > target) and file.path not in busy:
            gone.append(file)
            total -= file.size
    return gone, total


def _dated(file: Found, rules: Rules) -> tuple[int, int, Found] | None:
    """A file with the end of its day and when it was written, or None when it is none of ours."""
    for pattern in rules.patterns:
        match = pattern.fullmatch(file.path)
        if match is not None:
            try:
                return day_end(match["date"]), file.mtime_ns, file
            except ValueError:  # 2025-02-31 is no day, so it is not ours
                return None
    return None


class Retention:
    """Looks at the directory when it is worth it, and deletes. Blocking; never raises ``OSError``."""

    def __init__(self, disk: Disk, root: str, rules: Rules) -> None:
        self._disk = disk
        self._root = root
        self._rules = rules
        self._size = 0
        self._next_age = self._next_size = 0
        self._active = rules.keep_ns is not None or rules.max_size is not None

    def wrote(self, count: int) -> None:
        """Our files have grown by that many bytes."""
        self._size += count

    def run(self, now_ns: int, busy: Container[str]) -> Purged:
        """Delete what has to go, when it is time for a look; ``busy`` files are in use."""
        limit = self._rules.max_size
        full = limit is not None and self._size > limit and now_ns >= self._next_size
        if not self._active or not (full or now_ns >= self._next_age):
            return Purged()
        self._next_age, self._next_size = now_ns + _EVERY, now_ns + _AGAIN
        try:
            gone, self._size = expired(self._disk.walk(self._root), self._rules, now_ns, busy)
        except OSError:
            return Purged()
        return self._delete(gone)

    def _delete(self, gone: Iterable[Found]) -> Purged:
        paths: list[str] = []
        size = 0
        for file in gone:
            try:
                self._disk.remove(self._root, file.path)
            except OSError:
                self._size += file.size
            else:
                paths.append(file.path)
                size += file.size
        return Purged(tuple(paths), size)
