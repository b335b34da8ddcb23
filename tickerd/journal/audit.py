"""What a journal holds and what is wrong with it: the report behind ``tickerd verify``."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tickerd.journal.catalog import Segment
from tickerd.journal.files import Files
from tickerd.journal.segment_reader import Damaged, SegmentReader, first_position
from tickerd.plugin import DUPLICATE, OUT_OF_ORDER, Batch, Codec, Gap, Origin, Position


class ToldGap(NamedTuple):
    """A gap record."""

    position: Position
    source: str | None
    connection: int | None
    reason: str
    since_ns: int | None
    until_ns: int | None
    after: tuple[int, int] | None
    lost: int | None

    @property
    def seconds(self) -> float | None:
        """How long it lasted."""
        if self.since_ns is None or self.until_ns is None:
            return None
        return (self.until_ns - self.since_ns) / 1e9


class Hole(NamedTuple):
    """Positions that were given out and are not there."""

    after: Position
    before: Position
    told: bool
    """A gap record tells that they are lost."""

    @property
    def lost(self) -> int:
        """How many."""
        return self.before.seq - self.after.seq - 1


class Epoch(NamedTuple):
    """One run of the daemon."""

    first: Position
    last: Position


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit found."""

    segments: int
    bytes: int
    """On the disk, indexes included."""
    batches: int
    ticks: int
    records: int
    """Control records."""
    epochs: Sequence[Epoch]
    gaps: Sequence[ToldGap]
    holes: Sequence[Hole]
    repeats: int
    """Batches that begin at a position which had been there before."""
    duplicates: int
    """Ticks that the feed marked so; nothing is wrong with the journal."""
    out_of_order: int
    """Ticks that the feed marked so."""
    damage: Sequence[Damaged]
    unfinished: int
    """Bytes after the last record of the newest segment: it is being written, or its writer was killed."""
    quarantined: Sequence[Path]
    instruments: Mapping[str, int]
    """Symbol → ticks; empty unless it was asked for."""

    @property
    def wrong(self) -> bool:
        """Something is missing that nobody told, or not as it was written."""
        untold = any(not hole.told for hole in self.holes)
        return bool(self.damage or untold or self.repeats or self.quarantined)


def audit(
    found: Sequence[Segment],
    codecs: Mapping[str, Codec],
    *,
    per_instrument: bool = False,
    among: Sequence[Segment] | None = None,
    quarantined: Sequence[Path] = (),
    files: Files | None = None,
) -> Report:
    """Read segments from end to end. Blocking; memory is bounded by what is wrong and by the instruments.

    Args:
        found: in the order of their positions; see `tickerd.journal.catalog.segments`.
        codecs: by id.
        per_instrument: count the ticks of each.
        among: all that there are, when ``found`` leaves some out: what lies in those is no hole.
        quarantined: unreadable files that lie beside them.
        files: how files are touched.
    """
    auditor = _Auditor(codecs, files or Files(), per_instrument=per_instrument)
    whole = list(found if among is None else among)
    before: Segment | None = None
    for segment in found:
        place = whole.index(segment)
        auditor.segment(
            segment, adjoins=place > 0 and whole[place - 1] == before, newest=segment == whole[-1]
        )
        before = segment
    return auditor.report(found, quarantined)


class _Auditor:
    def __init__(self, codecs: Mapping[str, Codec], files: Files, *, per_instrument: bool) -> None:
        self._codecs = codecs
        self._files = files
        self._per_instrument = per_instrument
        self._counts: Counter[str] = Counter()
        self._instruments: Counter[str] = Counter()
        self._tokens: dict[int, tuple[Origin, Counter[int]]] = {}
        """Of the segment that is being read, by what its tokens mean."""
        self._epochs: dict[int, Epoch] = {}
        self._gaps: list[ToldGap] = []
        self._holes: list[Hole] = []
        self._damage: list[Damaged] = []
        self._unfinished = 0
        self._adjoins = False

    def segment(self, segment: Segment, *, adjoins: bool, newest: bool) -> None:
        self._adjoins = adjoins
        try:
            with SegmentReader(segment.path, self._codecs, files=self._files) as reader:
                for item in reader.items():
                    if isinstance(item, Damaged):
                        self._damaged(item, growing=newest and not segment.compressed)
                    else:
                        self._batch(item)
        except (OSError, ValueError) as error:
            self._damage.append(Damaged(segment.path, 0, segment.size, str(error), None))
        for origin, tokens in self._tokens.values():
            self._instruments.update(_named(origin, tokens))
        self._tokens.clear()

    def _damaged(self, item: Damaged, *, growing: bool) -> None:
        if growing and item.reason == "torn":
            self._unfinished += item.size
        else:
            self._damage.append(item)

    def _batch(self, batch: Batch) -> None:
        counts = self._counts
        counts["batches"] += 1
        counts["records"] += len(batch.records)
        if batch.origin is not None:
            counts["ticks"] += batch.last.seq - batch.origin.seq + 1
            counts["duplicates"] += sum(1 for bits in batch.marks.values() if bits & DUPLICATE)
            counts["out_of_order"] += sum(1 for bits in batch.marks.values() if bits & OUT_OF_ORDER)
            if self._per_instrument:
                origin = batch.origin
                self._tokens.setdefault(id(origin.instruments), (origin, Counter()))[1].update(
                    batch.split.tokens
                )
        self._gaps += [_told(record) for record in batch.records if isinstance(record, Gap)]
        self._follow(first_position(batch), batch.last)

    def _follow(self, first: Position, last: Position) -> None:
        """Whether it goes on where the last one ended."""
        known, adjoins, self._adjoins = self._epochs.get(first.epoch), self._adjoins, True
        if known is None:
            if (
                adjoins and self._epochs and first.seq > 1
            ):  # the run before is there, so its beginning should be
                self._holes.append(Hole(Position(first.epoch, 0), first, told=False))
            self._epochs[first.epoch] = Epoch(first, last)
            return
        if first <= known.last:
            self._counts["repeats"] += 1
        elif adjoins and first.seq > known.last.seq + 1:
            self._holes.append(Hole(known.last, first, told=False))
        self._epochs[first.epoch] = Epoch(known.first, max(known.last, last))

    def report(self, found: Sequence[Segment], quarantined: Sequence[Path]) -> Report:
        counts = self._counts
        return Report(
            segments=len(found),
            bytes=sum(segment.size for segment in found),
            batches=counts["batches"],
            ticks=counts["ticks"],
            records=counts["records"],
            epochs=tuple(self._epochs[epoch] for epoch in sorted(self._epochs)),
            gaps=tuple(self._gaps),
            holes=tuple(hole._replace(told=_is_told(hole, self._gaps)) for hole in self._holes),
            repeats=counts["repeats"],
            duplicates=counts["duplicates"],
            out_of_order=counts["out_of_order"],
            damage=tuple(self._damage),
            unfinished=self._unfinished,
            quarantined=tuple(quarantined),
            instruments=dict(self._instruments.most_common()),
        )


def _named(origin: Origin, tokens: Mapping[int, int]) -> Counter[str]:
    """Ticks by symbol, or by namespace and token where no dump named it."""
    found: Counter[str] = Counter()
    for token, many in tokens.items():
        instrument = origin.instruments.get(token)
        found[f"{origin.namespace}:{token}" if instrument is None else instrument.symbol] += many
    return found


def _told(record: Gap) -> ToldGap:
    return ToldGap(
        Position(record.epoch, record.seq),
        record.source,
        record.connection,
        record.reason,
        record.since_ns,
        record.until_ns,
        None if record.after is None else (record.after[0], record.after[1]),
        record.lost,
    )


def _is_told(hole: Hole, gaps: Iterable[ToldGap]) -> bool:
    """A gap that begins where the hole does and is as large tells it."""
    return any(
        gap.after is not None and gap.after <= hole.after
        and gap.lost is not None and Position(*gap.after).seq + gap.lost >= hole.before.seq - 1
        and gap.after[0] == hole.after.epoch
        for gap in gaps
    )  # fmt: skip
