"""Which segments of the journal a command line means: days, files, or all there are."""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

import click

from tickerd.journal.catalog import Segment, quarantined, segments
from tickerd.journal.files import Files
from tickerd.journal.segment import parse_name
from tickerd.journal.segment_reader import Damaged


class Chosen(NamedTuple):
    """What was asked for."""

    segments: Sequence[Segment]
    """To be read, by position."""
    among: Sequence[Segment]
    """What lies in the same directories, they themselves included."""
    bad: Sequence[Path]
    """What is known to be unreadable."""

    @property
    def newest(self) -> Collection[Path]:
        """The last segment of each directory: a daemon may be writing it."""
        return {segment.path.parent: segment.path for segment in self.among}.values()


def choose(what: Sequence[str], home: Callable[[], Path], how: str = "--dir or -c") -> Chosen:
    """The segments of these days and files; without any, all of the journal.

    Args:
        what: as on the command line.
        home: gives the directory of the journal; asked only where it is needed.
        how: the options that say which it is.

    Raises:
        click.UsageError: there is no such day or file.
    """
    paths = [Path(one) for one in what if day_of(one) is None]
    days = {one for one in what if day_of(one) is not None}
    if paths and not days:
        return _files(paths, how)
    directory = home()
    everything, bad = listed(directory, how)
    if not what:
        return Chosen(everything, everything, bad)
    missing = days - {segment.name.day for segment in everything}
    if missing:
        raise click.UsageError(f"{directory}: no segment of {', '.join(sorted(missing))}")
    beside, among, _ = _files(paths, how) if paths else Chosen([], [], [])
    chosen = {s.path: s for s in (*beside, *(s for s in everything if s.name.day in days))}
    return Chosen(
        _ordered(chosen.values()), _ordered({s.path: s for s in (*everything, *among)}.values()), []
    )


def day_of(text: str) -> date | None:
    """The day that this is the name of, or None."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if day.isoformat() == text else None


def listed(directory: Path, how: str) -> tuple[list[Segment], list[Path]]:
    """The segments of a directory, and what is known to be unreadable.

    Raises:
        click.UsageError: it cannot be read.
    """
    try:
        return segments(directory, Files()), quarantined(directory, Files())
    except OSError as error:
        raise click.UsageError(
            f"{directory}: {error.strerror}; say where the journal is with {how}"
        ) from None


def damage_text(one: Damaged) -> str:
    """What could not be read, and between which positions that is."""
    around = " to ".join("?" if p is None else f"{p.epoch}:{p.seq}" for p in (one.after, one.before))
    lost = "" if one.lost is None else f", {one.lost:,} lost"
    return f"{one.path}: {one.size:,} bytes at {one.offset:,} ({one.reason}), between {around}{lost}"


def _files(paths: Sequence[Path], how: str) -> Chosen:
    for path in paths:
        if parse_name(path) is None:
            raise click.UsageError(
                f"{str(path)!r} is neither a date such as 2026-11-23 nor a segment of the journal"
            )
    around = {one.path: one for home in {path.parent for path in paths} for one in listed(home, how)[0]}
    for path in paths:
        if path not in around:
            raise click.UsageError(f"{path}: no such file")
    return Chosen(_ordered(around[path] for path in paths), _ordered(around.values()), [])


def _ordered(found: Iterable[Segment]) -> list[Segment]:
    return sorted(found, key=lambda segment: segment.first)
