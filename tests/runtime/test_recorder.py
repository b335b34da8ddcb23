"""The journal in the daemon: mended, written, swept, compressed, and honest about what is missing."""

import threading

import pytest
import trio
import trio.testing

from tickerd.config import JournalSettings
from tickerd.dataflow.hub import Hub
from tickerd.instruments import Namespace
from tickerd.journal.files import Files
from tickerd.journal.segment import COMPRESSED
from tickerd.plugin import Batch, Clock, Gap, Instrument, Position, Row
from tickerd.plugin.plain import PLAIN
from tickerd.runtime.recorder import Recorder, rules
from tickerd.state import Database, cursors

CODECS = {"plain": PLAIN}


NOWHERE = Position(0, 0)


class Run:
    """One run of a daemon's journal in a directory."""

    def __init__(self, directory, epoch, db, files=None, **settings):
        self.hub = Hub(epoch)
        self.namespace = Namespace("kite")
        self.namespace.load([Instrument("kite", 7, "NSE", "SEVEN")])
        self.seen = self.hub.subscribe("test", "drop_oldest", 1 << 24)[1]
        self.recorder = Recorder(
            JournalSettings(min_free="0B", **settings),
            directory / "journal",
            self.hub,
            Clock(),
            db,
            CODECS,
            files,
        )

    def publish(self, volume, source="one", ts_recv=1000):
        batch = Batch.of([Row(7, volume_traded=volume)], connection=1, ts_recv=ts_recv)
        self.hub.publish(batch, source, self.namespace)

    async def gaps(self, count=1):
        found = []
        with trio.fail_after(5):
            while len(found) < count:
                found += [r for r in (await self.seen.receive()).records if isinstance(r, Gap)]
        return found

    async def settled(self):
        with trio.fail_after(5):
            await self.recorder.journal.until(self.hub.position)

    async def history(self, after=NOWHERE):
        cursor = self.recorder.open_cursor(after)
        batches = await cursor.read(self.hub.position, 1000)
        return [tick.volume_traded for batch in batches for tick in batch.ticks]


@pytest.fixture
async def db(tmp_path):
    async with Database(tmp_path) as made:
        yield made


@pytest.fixture
def run(tmp_path, db):
    """Runs a journal for as long as the block lasts."""
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def make(epoch=1, durable=(), **settings):
        made = Run(tmp_path, epoch, db, **settings)
        made.recorder.durable = frozenset(durable)
        await made.recorder.open()
        async with trio.open_nursery() as nursery:
            await nursery.start(made.recorder.run)
            yield made
            nursery.cancel_scope.cancel()

    return make


async def test_what_is_published_can_be_read_behind_the_writer(run):
    async with run() as one:
        for volume in range(5):
            one.publish(volume)
        assert await one.history() == [0, 1, 2, 3, 4]
        assert await one.history(after=Position(1, 3)) == [3, 4]


async def test_a_later_run_reads_what_an_earlier_one_wrote(run):
    async with run(1) as one:
        one.publish(1)
    async with run(2) as two:
        two.publish(2)
        assert await two.history() == [1, 2]


async def test_the_hole_between_two_runs_is_told_for_each_source(run):
    async with run(1) as one:
        one.publish(1, source="a", ts_recv=100)
        one.publish(2, source="b", ts_recv=200)
        one.publish(3, source="a", ts_recv=300)
    async with run(2) as two:
        two.publish(4, source="a", ts_recv=1000)
        (gap,) = await two.gaps()
        assert (gap.source, gap.reason, gap.since_ns, gap.until_ns, gap.after) == (
            "a",
            "restart",
            300,
            1000,
            (1, 3),
        )
        two.publish(5, source="b", ts_recv=1100)
        (gap,) = await two.gaps()
        assert (gap.source, gap.since_ns, gap.after) == ("b", 200, (1, 2))
        two.publish(6, source="c")
        two.publish(7, source="a")
        await trio.testing.wait_all_tasks_blocked()
        assert not [r for r in (await two.seen.receive()).records if isinstance(r, Gap)]


async def test_the_first_run_tells_no_hole(run):
    async with run(1) as one:
        one.publish(1)
        await one.settled()
        await trio.testing.wait_all_tasks_blocked()
        assert (await one.seen.receive()).records == []


async def test_a_position_beyond_the_journal_is_set_back_to_its_end(run):
    async with run(1) as one:
        one.publish(1)
    async with run(2) as two:
        assert two.recorder.last_on_disk(Position(1, 99)) == (1, 1)
        assert two.recorder.last_on_disk(Position(1, 1)) == (1, 1)
        assert two.recorder.last_on_disk(Position(2, 99)) == (2, 99)


async def test_closed_segments_are_compressed_and_still_read(run, tmp_path):
    async with run(1) as one:
        for volume in range(50):
            one.publish(volume)
    async with run(2) as two:
        with trio.fail_after(10):
            while not list((tmp_path / "journal").glob(f"*{COMPRESSED}")):
                await trio.sleep(0.01)
        assert await two.history() == list(range(50))


async def test_a_segment_that_is_being_opened_is_left_alone(run):
    class SlowDisk(Files):
        go_on = threading.Event()

        def sync_directory(self, path):
            assert self.go_on.wait(10)
            super().sync_directory(path)

    files = SlowDisk()
    async with run(1, files=files, keep="1ms", max_size="1B") as one:
        one.publish(1)
        with trio.fail_after(5):
            while not list(one.recorder.journal.directory.glob("*.tkj")):
                await trio.sleep(0.005)
        await one.recorder.tidy()
        files.go_on.set()
        assert await one.history() == [1]
    assert one.recorder.journal.lost_total == 0


async def test_old_segments_go_and_a_sink_that_still_needed_them_is_told(run, db, tmp_path):
    async with run(1) as one:
        for volume in range(3):
            one.publish(volume)
    for unit in ("sink.slow", "sink.gone"):
        await db.run(cursors.put, unit, Position(1, 1), now_ns=1)
    async with run(2, durable={"sink.slow"}, keep="1ms", max_size="1B") as two:
        (gap,) = await two.gaps()
        assert (gap.source, gap.reason, gap.after, gap.lost) == ("sink.slow", "retention", (1, 1), 2)
        assert two.recorder.swept.removed


async def test_a_directory_that_cannot_be_used_stops_nothing(run, tmp_path):
    (tmp_path / "journal").write_text("in the way")
    async with run(1) as one:
        one.publish(1)
        await one.settled()
        assert one.recorder.journal.failing is not None
        (tmp_path / "journal").unlink()
        one.publish(2)
        await one.settled()
        (gap,) = await one.gaps()
        assert (gap.source, gap.reason, gap.lost) == ("journal", "journal_failed", 1)
        assert await one.history() == [2]


def test_the_size_may_be_a_share_or_bytes():
    assert rules(JournalSettings(max_size="25%")).max_share == 0.25
    assert rules(JournalSettings(max_size="2GiB")).max_bytes == 2**31


async def test_a_reader_is_told_of_a_part_that_cannot_be_read(run, tmp_path):
    async with run(1) as one:
        for volume in range(5):
            one.publish(volume)
    (segment,) = (tmp_path / "journal").glob("*.tkj")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0xFF
    segment.write_bytes(data)
    async with run(2) as two:
        cursor = two.recorder.open_cursor(NOWHERE)
        batches = await cursor.read(Position(2, 0), 1000)
        told = [r for batch in batches for r in batch.records if isinstance(r, Gap)]
        volumes = [tick.volume_traded for batch in batches for tick in batch.ticks]
        assert [(gap.reason, gap.lost) for gap in told] == [("journal_damaged", 5 - len(volumes))]
        assert 0 < len(volumes) < 5


async def test_a_position_is_reached_while_the_journal_holds_what_came_after_it(run):
    async with run(epoch=1) as first:
        for volume in range(3):
            first.publish(volume)
        assert await first.recorder.reaches(Position(1, 0))
        assert await first.recorder.reaches(Position(1, 3))
        assert not await first.recorder.reaches(Position(1, 4))
        assert not await first.recorder.reaches(Position(2, 0))
    async with run(epoch=2) as second:
        second.publish(9)
        assert await second.recorder.reaches(Position(1, 1))
        assert await second.recorder.reaches(Position(1, 3))
        assert not await second.recorder.reaches(Position(1, 4)), "that epoch never got so far"
        assert not await second.recorder.reaches(NOWHERE), "nobody was ever given that"
