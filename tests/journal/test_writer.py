"""The live journal: written in groups, followed, and never in the way of the feed."""

import errno

import pytest
import trio
import trio.testing

from tickerd.journal.files import Files
from tickerd.journal.reader import read_journal
from tickerd.journal.segment_reader import NOWHERE, Span
from tickerd.journal.writer import Journal, JournalOptions
from tickerd.plugin import Batch, Clock, Position, Status
from tickerd.testing import stamped
from tickerd.wire.kite import KITE, frame
from tickerd.wire.kite.layout import LTP_PACKET

CODECS = {"kite": KITE}


class BrokenFiles(Files):
    """A disk that refuses writes, or is slow, while told to."""

    def __init__(self):
        self.refuses = None
        self.syncs = 0

    def writev(self, file, buffers):
        if self.refuses is not None:
            raise OSError(self.refuses, "No space left on device")
        return super().writev(file, buffers)

    def sync(self, file):
        self.syncs += 1
        super().sync(file)


class Feed:
    """Appends batches of one tick with running numbers as tokens."""

    def __init__(self, directory, options=None):
        self.files = BrokenFiles()
        self.told = []
        self.clock = Clock()
        self.directory = directory
        self.journal = Journal(
            directory, 3, self.clock, options or JournalOptions(), self.told.append, self.files
        )
        self.seq = 0

    def append(self, count=1):
        for _ in range(count):
            self.seq += 1
            raw = frame.join([LTP_PACKET.pack(self.seq, 100)])
            self.journal.append(
                stamped(Batch.read(KITE, raw, connection=0, ts_recv=self.seq), self.seq, epoch=3)
            )

    async def settled(self):
        with trio.fail_after(10):
            await self.journal.until(Position(3, self.seq))

    def stored_or_nothing(self):
        return self.stored() if self.directory.exists() else []

    def stored(self, after=NOWHERE):
        found = read_journal(self.directory, CODECS, Span(after))
        return [tick.instrument_token for batch in found if isinstance(batch, Batch) for tick in batch.ticks]


@pytest.fixture
async def feed(tmp_path):
    async with trio.open_nursery() as nursery:
        made = Feed(tmp_path / "journal")
        await nursery.start(made.journal.run)
        yield made
        nursery.cancel_scope.cancel()


async def test_what_is_appended_is_in_the_files_once_it_is_committed(feed):
    feed.append(5)
    await feed.settled()
    assert feed.stored() == [1, 2, 3, 4, 5]
    feed.append(2)
    await feed.settled()
    assert feed.stored(after=Position(3, 5)) == [6, 7]


async def test_records_are_kept_too(feed):
    feed.seq += 1
    feed.journal.append(stamped(Batch.control(Status(state="stale")), feed.seq, epoch=3))
    await feed.settled()
    (batch,) = read_journal(feed.directory, CODECS)
    assert batch.records[0].state == "stale"
    assert batch.last == (3, 1)


async def test_batches_that_come_together_are_written_together(feed):
    feed.append(1000)
    await feed.settled()
    assert feed.journal.written_batches == 1000
    assert feed.journal.queued_bytes == 0


async def test_a_full_disk_costs_the_journal_a_gap_and_heals_by_itself(feed):
    feed.append(2)
    await feed.settled()
    feed.files.refuses = errno.ENOSPC
    feed.append(3)
    await feed.settled()
    assert feed.journal.failing == "No space left on device"
    assert feed.told == []
    feed.files.refuses = None
    feed.append(1)
    await feed.settled()
    await trio.testing.wait_all_tasks_blocked()
    (lost,) = feed.told
    assert (lost.count, lost.after, lost.reason) == (3, (3, 2), "No space left on device")
    assert feed.journal.failing is None
    assert feed.stored() == [1, 2, 6]
    assert not [path for path in feed.directory.iterdir() if path.stat().st_size == 0]


async def test_a_disk_that_is_slower_than_the_feed_costs_a_gap_not_memory(tmp_path):
    made = Feed(tmp_path / "journal", JournalOptions(buffer=10_000))
    made.append(100)
    assert made.journal.queued_bytes <= 10_000
    lost = made.journal.lost_total
    assert lost > 50
    async with trio.open_nursery() as nursery:
        await nursery.start(made.journal.run)
        await made.settled()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert made.stored() == list(range(1, 101 - lost))
    assert [(told.count, told.overflow) for told in made.told] == [(lost, True)]


async def test_stopping_writes_and_syncs_what_was_appended(tmp_path):
    made = Feed(tmp_path / "journal", JournalOptions(sync=3600))
    async with trio.open_nursery() as nursery:
        await nursery.start(made.journal.run)
        made.append(50)
        nursery.cancel_scope.cancel()
    assert made.stored() == list(range(1, 51))
    assert made.files.syncs >= 1


async def test_it_syncs_in_time_also_when_nothing_more_comes(tmp_path):
    made = Feed(tmp_path / "journal", JournalOptions(sync=0.05))
    async with trio.open_nursery() as nursery:
        await nursery.start(made.journal.run)
        made.append(1)
        with trio.fail_after(5):
            while made.files.syncs == 0:
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()


async def test_a_new_segment_begins_by_size(tmp_path):
    made = Feed(tmp_path / "journal", JournalOptions(segment_size=2000))
    async with trio.open_nursery() as nursery:
        await nursery.start(made.journal.run)
        for _ in range(10):
            made.append(20)
            await made.settled()
        nursery.cancel_scope.cancel()
    segments = sorted(made.directory.glob("*.tkj"))
    assert len(segments) > 2
    assert made.stored() == list(range(1, 201))


async def test_a_directory_that_is_removed_is_noticed_and_made_again(tmp_path):
    made = Feed(tmp_path / "journal", JournalOptions(sync=0.02))
    async with trio.open_nursery() as nursery:
        await nursery.start(made.journal.run)
        made.append(1)
        await made.settled()
        for path in made.directory.iterdir():
            path.unlink()
        made.directory.rmdir()
        with trio.fail_after(5):
            while not made.stored_or_nothing():
                made.append(1)
                await made.settled()
                await trio.sleep(0.02)
        nursery.cancel_scope.cancel()
    assert made.stored()[-1] == made.seq
