"""Playing recorded batches through sinks, each at its own speed, without a hub and without a daemon."""

from collections import Counter, deque
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
import trio

from tickerd.config.settings import SinkSettings
from tickerd.dataflow.delivery import Meter, NoCommit, deliver
from tickerd.dataflow.wanted import Wanted
from tickerd.journal.catalog import Segment
from tickerd.journal.segment import COMPRESSED, SUFFIX
from tickerd.journal.segment_reader import EVERYTHING, Damaged, SegmentReader, Span
from tickerd.plugin import Batch, Clock, Codec, Reject, Retry, Sink

_AHEAD = 1000
"""Ticks that are read at once where they have to wait for their time."""


@dataclass(frozen=True)
class Recording:
    """What is played."""

    segments: Sequence[Segment]
    codecs: Mapping[str, Codec]
    span: Span = EVERYTHING
    growing: Collection[Path] = ()
    """Segments that may still be written: what is not whole at their end is no damage."""


class Track:
    """One reader of a recording. Blocking, for threads; close it."""

    def __init__(self, recording: Recording, wanted: Callable[[Batch], Batch | None]) -> None:
        self._recording = recording
        self._wanted = wanted
        self._items = self._read()
        self.damage: list[Damaged] = []
        self.share = 0.0
        """How much of it has been read, from 0 to 1."""

    def read(self, max_ticks: int) -> list[Batch]:
        """The next batches that are wanted, of about so many ticks and records; empty at the end."""
        found: list[Batch] = []
        ticks = 0
        while ticks < max_ticks:
            batch = next(self._items, None)
            if batch is None:
                break
            found.append(batch)
            ticks += len(batch)
        return found

    def close(self) -> None:
        """Close the file that is open."""
        self._items.close()

    def _read(self) -> Generator[Batch, None, None]:
        total = sum(segment.size for segment in self._recording.segments) or 1
        before = 0
        for segment in self._recording.segments:
            try:
                with _opened(segment.path, self._recording) as reader:
                    for item in reader.items(final=segment.path not in self._recording.growing):
                        self.share = (before + segment.size * reader.offset / (reader.file.size or 1)) / total
                        if isinstance(item, Damaged):
                            self.damage.append(item)
                        elif (part := self._wanted(item)) is not None:
                            yield part
            except (OSError, ValueError) as error:
                self.damage.append(Damaged(segment.path, 0, segment.size, str(error), None))
            before += segment.size
        self.share = 1.0


@contextmanager
def _opened(path: Path, recording: Recording) -> Iterator[SegmentReader]:
    """A segment, also when the daemon has compressed it meanwhile."""
    try:
        reader = SegmentReader(path, recording.codecs, recording.span)
    except FileNotFoundError:
        other = path.with_name(path.name.removesuffix(SUFFIX) + COMPRESSED)
        reader = SegmentReader(other, recording.codecs, recording.span)
    with reader:
        yield reader


class Pace:
    """When what was received at some time is due.

    Args:
        speed: how many times faster than it was; None is as fast as it goes.
    """

    def __init__(self, speed: float | None) -> None:
        self.speed = speed
        self._began: tuple[int, float] | None = None

    def due(self, ts_ns: int) -> float:
        """In trio's time. What comes first is due now."""
        if self.speed is None:
            return float("-inf")
        if self._began is None:
            self._began = ts_ns, trio.current_time()
        first, then = self._began
        return then + (ts_ns - first) / 1e9 / self.speed


class PlaybackFeed:
    """`tickerd.dataflow.delivery.Feed` out of a recording."""

    def __init__(self, track: Track, pace: Pace) -> None:
        self._track = track
        self._pace = pace
        self._ahead: deque[Batch] = deque()
        self._now = 0
        self._limiter = trio.CapacityLimiter(1)

    async def receive(self, max_ticks: int, max_wait: float) -> Batch:
        """See `tickerd.dataflow.delivery.Feed`."""
        del max_wait
        if not self._ahead:
            many = max_ticks if self._pace.speed is None else min(max_ticks, _AHEAD)
            self._ahead.extend(await trio.to_thread.run_sync(self._track.read, many, limiter=self._limiter))
            if not self._ahead:
                raise trio.EndOfChannel
        await trio.sleep_until(max(self._due(self._ahead[0]), trio.current_time()))
        now = trio.current_time()
        due = [self._take()]
        while self._ahead and self._due(self._ahead[0]) <= now:
            due.append(self._take())
        return Batch.merged(due)

    def _take(self) -> Batch:
        batch = self._ahead.popleft()
        self._now = max(self._now, _moment(batch))
        return batch

    def _due(self, batch: Batch) -> float:
        """What was told late, such as a gap, does not turn back the time."""
        return self._pace.due(max(self._now, _moment(batch)))

    def put_back(self, batch: Batch) -> None:
        """See `tickerd.dataflow.delivery.Feed`."""
        self._ahead.appendleft(batch)

    def renew(self, batch: Batch, oldest_ns: int | None) -> Batch:
        """See `tickerd.dataflow.delivery.Feed`; what was recorded is old."""
        del oldest_ns
        return batch

    def discard(self, batch: Batch, reason: str) -> None:
        """The sink ends with it."""

    def forfeit(self, batch: Batch) -> int:
        """Nothing is lost: it is in the recording."""
        del batch
        return 0


def _moment(batch: Batch) -> int:
    """When it was received; 0 where nothing tells."""
    times = [tick.ts_recv for tick in batch.ticks[:1]] if batch.origin is None else [batch.origin.ts_recv]
    return max([*times, *(record.ts_recv for record in batch.records)], default=0)


class PlaybackContext:
    """`tickerd.plugin.SinkContext` for a sink that runs outside of a daemon."""

    def __init__(self, name: str, state: Path, clock: Clock, hide: Callable[[str], None]) -> None:
        self.name = name
        self.clock = clock
        self.log = structlog.get_logger().bind(unit=f"sink.{name}")
        self.hide = hide
        self.counts: Counter[str] = Counter()
        self._state = state / "sink" / name

    @property
    def state_dir(self) -> Path:
        """See `tickerd.plugin.UnitContext`."""
        self._state.mkdir(parents=True, exist_ok=True)
        return self._state

    def count(self, reason: str, n: int = 1) -> None:
        """See `tickerd.plugin.UnitContext`."""
        self.counts[reason] += n

    def report(self, state: str, detail: str = "", **facts: Any) -> None:
        """See `tickerd.plugin.UnitContext`; nobody asks."""


@dataclass
class Part:
    """One sink of a playback and what became of it."""

    settings: SinkSettings
    options: Any
    """Those it runs with."""
    track: Track
    meter: Meter = field(default_factory=Meter)
    counts: Counter[str] = field(default_factory=Counter)
    rejects: list[Reject] = field(default_factory=list)
    """The first few that it refused."""
    error: Exception | None = None
    """What ended it before its time."""


_MOST_REJECTS = 10


def part_of(
    settings: SinkSettings, options: Any, recording: Recording, only: Collection[str | int] | None
) -> Part:
    """A sink that gets what its section asks for, and of that the ticks of these instruments."""
    return Part(settings, options, Track(recording, Wanted(settings.events, settings.instruments, only)))


async def play(
    parts: Sequence[Part], state: Path, speed: float | None, hide: Callable[[str], None] = lambda _: None
) -> None:
    """Play through all of them to the end. What a sink raises ends that sink alone, and is in its part.

    Args:
        parts: from `part_of`.
        state: below it each sink has a directory of its own.
        speed: how many times faster than it was received; None is as fast as it goes.
        hide: keeps a secret out of the log.
    """
    pace, clock = Pace(speed), Clock()
    async with trio.open_nursery() as nursery:
        for part in parts:
            nursery.start_soon(_play, part, PlaybackContext(part.settings.name, state, clock, hide), pace)


async def _play(part: Part, context: PlaybackContext, pace: Pace) -> None:
    settings = part.settings
    assert issubclass(settings.type, Sink)

    def retrying(error: Retry, wait: float) -> None:
        context.log.warning("batch not taken, will try again", reason=error.reason, wait_s=round(wait, 3))

    async def answered(batch: Batch, rejects: Sequence[Reject]) -> None:
        del batch
        part.rejects += rejects[: _MOST_REJECTS - len(part.rejects)]
        await trio.lowlevel.checkpoint()

    part.counts = context.counts
    try:
        async with settings.type(part.options, context) as sink:
            await deliver(
                sink,
                PlaybackFeed(part.track, pace),
                part.meter,
                commit=NoCommit(),
                batch=settings.batch,
                retry=settings.retry,
                clock=context.clock,
                retrying=retrying,
                answered=answered,
            )
    except Exception as error:  # noqa: BLE001 - of a plugin; it is told at the end, and the others go on
        part.error = error
    finally:
        part.track.close()
