"""What an audit finds."""

from pathlib import Path

import pytest

from tickerd.journal.audit import Epoch, Hole, audit
from tickerd.journal.catalog import segments
from tickerd.journal.compress import compress
from tickerd.journal.files import Files
from tickerd.plugin import DUPLICATE, OUT_OF_ORDER, Batch, Gap, Position
from tickerd.wire.kite import KITE, frame
from tickerd.wire.kite.layout import LTP_PACKET


@pytest.fixture
def journal(lab):
    """A directory, and a function that audits it."""

    class Journal:
        directory = lab.directory()

        def write(self, batches, **options):
            return lab.write(self.directory, batches, **options)

        def audit(self, **options):
            return audit(segments(self.directory, Files()), lab.codecs, **options)

    return Journal()


def ticks(feed, count):
    return [feed.ticks(2) for _ in range(count)]


def test_a_sound_journal_is_counted(lab, journal):
    feed = lab.Feed(3).some(60)
    journal.write(feed.batches[:20])
    compress(journal.write(feed.batches[20:40]).path)
    journal.write(feed.batches[40:])
    report = journal.audit()
    assert report.ticks == feed.hub.totals.ticks
    assert report.records == feed.hub.totals.records
    assert len(report.gaps) == feed.hub.totals.gaps
    assert report.segments == 3
    assert report.bytes == sum(path.stat().st_size for path in journal.directory.iterdir())
    assert report.epochs == (Epoch(Position(7, 1), feed.hub.position),)
    assert not report.wrong
    assert report.instruments == {}


def test_gaps_are_told_and_are_not_wrong(lab, journal):
    feed = lab.Feed()
    ticks(feed, 1)
    feed.publish(Batch.control(Gap(reason="disconnected", connection=2, since_ns=10**9, until_ns=3 * 10**9)))
    feed.publish(Batch.control(Gap(reason="overflow", lost=5)))
    journal.write(feed.batches)
    report = journal.audit()
    first, second = report.gaps
    assert (first.reason, first.source, first.connection, first.seconds) == ("disconnected", "sim", 2, 2.0)
    assert (first.position, first.after) == (Position(7, 3), (7, 2))
    assert (second.lost, second.seconds) == (5, None)
    assert not report.wrong


def test_one_position_is_enough_for_a_hole(lab, journal):
    feed = lab.Feed()
    for _ in range(3):
        feed.ticks(1)
    journal.write([feed.batches[0], feed.batches[2]])
    assert journal.audit().holes == (Hole(Position(7, 1), Position(7, 3), told=False),)


def test_positions_that_are_not_there_are_a_hole(lab, journal):
    feed = lab.Feed()
    ticks(feed, 6)
    journal.write(feed.batches[:2])
    journal.write(feed.batches[4:])
    report = journal.audit()
    assert report.holes == (Hole(Position(7, 4), Position(7, 9), told=False),)
    assert report.holes[0].lost == 4
    assert report.wrong


def test_a_hole_that_a_gap_tells_is_not_wrong(lab, journal):
    feed = lab.Feed()
    ticks(feed, 4)
    feed.publish(Batch.control(Gap(reason="disk full", after=(7, 4), lost=4)))
    journal.write([*feed.batches[:2], feed.batches[4]])
    report = journal.audit()
    assert report.holes == (Hole(Position(7, 4), Position(7, 9), told=True),)
    assert not report.wrong


@pytest.mark.parametrize(
    ("after", "lost"), [((7, 2), 2), ((6, 4), 99), ((7, 5), 9), (None, 9), ((7, 4), None)]
)
def test_a_gap_that_tells_of_something_else_excuses_nothing(lab, journal, after, lost):
    feed = lab.Feed()
    ticks(feed, 4)
    feed.publish(Batch.control(Gap(reason="disk full", after=after, lost=lost)))
    feed.batches[-1].records[0].after = after
    journal.write([*feed.batches[:2], feed.batches[4]])
    assert journal.audit().wrong


def test_a_run_that_lacks_its_beginning_is_a_hole_only_when_the_run_before_is_there(lab, journal):
    old, new = lab.Feed(epoch=7), lab.Feed(epoch=8)
    ticks(new, 4)
    journal.write(new.batches[2:])
    assert not journal.audit().wrong
    ticks(old, 2)
    journal.write(old.batches)
    assert journal.audit().holes == (Hole(Position(8, 0), Position(8, 5), told=False),)


def test_what_lies_in_segments_that_were_not_asked_for_is_no_hole(lab, journal):
    feed = lab.Feed()
    ticks(feed, 6)
    for start in (0, 2, 4):
        journal.write(feed.batches[start : start + 2])
    everything = segments(journal.directory, Files())
    assert audit([everything[0], everything[2]], lab.codecs).wrong
    assert not audit([everything[0], everything[2]], lab.codecs, among=everything).wrong


def test_what_came_twice_is_counted(lab, journal):
    feed = lab.Feed()
    ticks(feed, 3)
    journal.write([*feed.batches, feed.batches[1]])
    report = journal.audit()
    assert (report.repeats, report.wrong) == (1, True)
    assert report.epochs == (Epoch(Position(7, 1), Position(7, 6)),)


def test_marks_of_the_feed_are_counted_and_are_not_wrong(lab, journal):
    feed = lab.Feed()
    packet = LTP_PACKET.pack(408065, 100)
    feed.publish(Batch.read(KITE, frame.join([packet] * 3), connection=1, ts_recv=1))
    feed.batches[0].marks = {0: DUPLICATE, 1: DUPLICATE | OUT_OF_ORDER, 2: OUT_OF_ORDER}
    journal.write(feed.batches)
    report = journal.audit()
    assert (report.duplicates, report.out_of_order, report.wrong) == (2, 2, False)


def test_instruments_are_counted_on_request(lab, journal):
    feed = lab.Feed()
    packets = [LTP_PACKET.pack(token, 100) for token in (408065, 408065, 12345)]
    feed.publish(Batch.read(KITE, frame.join(packets), connection=1, ts_recv=1))
    journal.write(feed.batches)
    assert journal.audit(per_instrument=True).instruments == {"NSE:S83D0": 2, "kite:12345": 1}


def test_damage_is_wrong(lab, journal):
    feed = lab.Feed()
    ticks(feed, 3)
    written = journal.write(feed.batches)
    data = bytearray(written.data)
    data[written.records[1][0] + 40] ^= 1
    written.path.write_bytes(data)
    report = journal.audit()
    (damage,) = report.damage
    assert (damage.reason, damage.lost, report.wrong) == ("crc", 2, True)


def test_an_unfinished_record_is_wrong_unless_it_is_the_newest(lab, journal):
    feed = lab.Feed()
    ticks(feed, 4)
    first = journal.write(feed.batches[:2])
    first.path.write_bytes(first.data[:-3])
    report = journal.audit()
    start, end, _ = first.records[1]
    assert (report.unfinished, report.damage, report.wrong) == (end - start - 3, (), False)
    journal.write(feed.batches[2:])
    report = journal.audit()
    assert (report.unfinished, [one.reason for one in report.damage], report.wrong) == (0, ["torn"], True)


def test_what_cannot_be_read_at_all_is_wrong(lab, journal, files):
    feed = lab.Feed()
    ticks(feed, 1)
    journal.write(feed.batches)
    assert journal.audit(quarantined=[Path("x.tkj.bad")]).wrong
    files.fail("open_read")
    (damage,) = journal.audit(files=files).damage
    assert "Input/output error" in damage.reason
