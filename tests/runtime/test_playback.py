"""Playing recorded batches: pace, reading ahead, and what a sink is given."""

import math
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from tickerd.journal.catalog import Segment, segments
from tickerd.journal.files import Files
from tickerd.journal.segment import Encoder, Header, Name, file_name
from tickerd.plugin import Batch, Clock, Gap, Row
from tickerd.plugin.plain import PLAIN
from tickerd.runtime.playback import Pace, PlaybackContext, PlaybackFeed, Recording, Track
from tickerd.testing.fakes import stamped

S = 10**9


class Reel:
    """A track in memory."""

    def __init__(self, *batches):
        self.batches = list(batches)
        self.asked = []

    def read(self, max_ticks):
        self.asked.append(max_ticks)
        taken, self.batches = self.batches[:3], self.batches[3:]
        return taken


def ticks(at, *tokens):
    return stamped(Batch.of([Row(token) for token in tokens], ts_recv=at), 1)


@pytest.fixture
def mock_clock():
    return MockClock(autojump_threshold=0.05)


async def played(feed, count):
    """(when, tokens and kinds) of so many receptions."""
    seen = []
    for _ in range(count):
        batch = await feed.receive(10_000, 0.1)
        items = [tick.instrument_token for tick in batch.ticks] + [
            type(record).__name__ for record in batch.records
        ]
        seen.append((round(trio.current_time(), 3), items))
    return seen


async def test_at_a_pace_everything_comes_when_it_is_due(mock_clock):
    reel = Reel(ticks(100 * S, 1), ticks(101 * S, 2), ticks(101 * S, 3), ticks(105 * S, 4))
    feed = PlaybackFeed(reel, Pace(2.0))
    assert await played(feed, 3) == [(0, [1]), (0.5, [2, 3]), (2.5, [4])]
    with pytest.raises(trio.EndOfChannel):
        await feed.receive(10, 0)
    assert set(reel.asked) == {1000, 10}


async def test_at_most_speed_nothing_waits(mock_clock):
    reel = Reel(*(ticks(n * S, n) for n in (7, 100, 5000)))
    assert await played(PlaybackFeed(reel, Pace(None)), 1) == [(0, [7, 100, 5000])]
    assert reel.asked == [10_000]


async def test_what_was_told_late_does_not_turn_back_the_time(mock_clock):
    late = stamped(Batch.control(Gap(reason="x", ts_recv=50 * S)), 2)
    empty = stamped(Batch.control(Gap(reason="y")), 3)
    feed = PlaybackFeed(Reel(ticks(100 * S, 1), ticks(104 * S, 2), late, empty, ticks(105 * S, 3)), Pace(1))
    assert await played(feed, 4) == [(0, [1]), (4, [2, "Gap"]), (4, ["Gap"]), (5, [3])]


async def test_two_sinks_share_one_beginning(mock_clock):
    pace = Pace(1)
    first, second = PlaybackFeed(Reel(ticks(100 * S, 1)), pace), PlaybackFeed(Reel(ticks(103 * S, 2)), pace)
    assert await played(first, 1) == [(0, [1])]
    assert await played(second, 1) == [(3, [2])]


async def test_what_was_put_back_comes_first(mock_clock):
    feed = PlaybackFeed(Reel(ticks(S, 1), ticks(2 * S, 2)), Pace(1))
    batch = await feed.receive(10, 0)
    feed.put_back(batch)
    feed.discard(batch, "x")
    assert feed.forfeit(batch) == 0
    assert await played(feed, 2) == [(0, [1]), (1, [2])]
    merged = Batch.merged([ticks(S, 1), ticks(S, 2)])
    feed.put_back(merged)
    assert await played(feed, 1) == [(1, [1, 2])]


@pytest.fixture
def recording(tmp_path):
    """Two segments of three batches of two ticks."""
    for first in (1, 7):
        encoder = Encoder(Header(1, first, 0, "2026-11-23"))
        buffers = encoder.begin()
        for seq in range(first, first + 6, 2):
            buffers += encoder.batch(stamped(Batch.of([Row(seq), Row(seq + 1)], ts_recv=seq), seq))
        (tmp_path / file_name(encoder.header)).write_bytes(b"".join(buffers))
    return Recording(segments(tmp_path, Files()), {PLAIN.id: PLAIN})


def tokens(batches):
    return [tick.instrument_token for batch in batches for tick in batch.ticks]


def test_a_track_is_read_in_parts_to_its_end(recording):
    track = Track(recording, lambda batch: batch if batch.last.seq != 4 else None)
    assert tokens(track.read(3)) == [1, 2, 5, 6]
    assert 0.3 < track.share < 0.6
    assert tokens(track.read(100)) == list(range(7, 13))
    assert track.read(100) == []
    assert math.isclose(track.share, 1.0)
    assert track.damage == []
    track.close()


def test_a_track_can_be_left(recording):
    track = Track(recording, lambda batch: batch)
    track.read(1)
    track.close()
    assert track.read(1) == []


def test_what_is_missing_is_damage(recording, tmp_path):
    gone = Segment(
        Path(tmp_path / "2026-11-23-0000000001-00000000000000000099.tkj"), Name("2026-11-23", 1, 99), 5
    )
    track = Track(Recording([gone, *recording.segments], recording.codecs), lambda batch: batch)
    assert len(tokens(track.read(100))) == 12
    (damage,) = track.damage
    assert "No such file" in damage.reason


async def test_a_context_keeps_what_a_sink_counts(tmp_path):
    hidden = []
    context = PlaybackContext("x", tmp_path, Clock(), hidden.append)
    context.count("rows", 2)
    context.count("rows")
    context.report("writing", "fine", rows=3)
    context.hide("secret")
    assert (dict(context.counts), hidden) == ({"rows": 3}, ["secret"])
    assert context.state_dir == tmp_path / "sink/x"
    assert context.state_dir.is_dir()
