"""All segments as one stream."""

import errno
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd.journal.compress import compress
from tickerd.journal.reader import JournalReader, read_journal, read_segment
from tickerd.journal.segment_reader import Damaged, Span
from tickerd.plugin import Batch, Position


@pytest.fixture(scope="module")
def journal(lab):
    """Two epochs in five segments, one of them compressed."""
    directory, batches = lab.directory(), []
    for epoch, cuts in ((7, (0, 10, 25, 40)), (9, (0, 12, 20))):
        feed = lab.Feed(epoch, epoch).some(60)
        paths = [lab.write(directory, feed.batches[start:end]).path for start, end in pairwise(cuts)]
        compress(paths[0])
        batches += feed.batches[: cuts[-1]]
    return directory, lab.all_facts(batches)


def test_everything_is_read_in_order(lab, journal):
    directory, truth = journal
    assert lab.all_facts(read_journal(directory, lab.codecs)) == truth


@given(st.sampled_from([6, 7, 8, 9, 10]), st.integers(0, 400))
def test_reading_begins_after_any_position(lab, journal, epoch, seq):
    directory, truth = journal
    after = Position(epoch, seq)
    found = lab.all_facts(read_journal(directory, lab.codecs, Span(after)))
    assert found == [fact for fact in truth if fact[0] > after]


@given(st.integers(0, 300), st.sampled_from([7, 9]), st.integers(0, 300))
def test_reading_ends_at_any_position(lab, journal, seq, epoch, until):
    directory, truth = journal
    span = Span(Position(7, seq), Position(epoch, until))
    found = lab.all_facts(read_journal(directory, lab.codecs, span))
    assert found == [fact for fact in truth if span.after < fact[0] <= span.until]


def test_a_growing_journal_is_followed_through_rolls_compression_and_deletion(lab):
    directory, feed = lab.directory(), lab.Feed()
    reader = JournalReader(directory, lab.codecs)
    assert list(reader.items()) == []
    seen = []
    for round_ in range(4):
        for _ in range(5):
            feed.ticks()
        written = lab.write(directory, feed.batches[-5:])
        seen += reader.items()
        assert lab.all_facts(seen) == lab.all_facts(feed.batches)
        assert list(reader.items()) == []
        if round_ == 1:
            compress(written.path)
        elif round_ == 2:
            written.path.unlink()
    reader.close()
    reader.close()


def test_what_is_being_written_is_read_when_it_is_whole(lab):
    directory, feed = lab.directory(), lab.Feed()
    for _ in range(3):
        feed.ticks()
    written = lab.write(directory, feed.batches)
    cut = written.records[1][0] + 20
    written.path.write_bytes(written.data[:cut])
    reader = JournalReader(directory, lab.codecs)
    assert len(list(reader.items())) == 1
    with written.path.open("ab") as file:
        file.write(written.data[cut:])
    assert len(list(reader.items())) == 2
    reader.close()


def test_nothing_beyond_the_limit_is_read_while_the_segment_is_open(lab):
    directory, feed = lab.directory(), lab.Feed()
    for _ in range(3):
        feed.ticks()
    written = lab.write(directory, feed.batches)
    limits = {written.path: written.records[0][1]}
    reader = JournalReader(directory, lab.codecs, limit=limits.get)
    assert len(list(reader.items())) == 1
    limits[written.path] = written.records[1][1]
    assert len(list(reader.items())) == 1
    feed.ticks()
    lab.write(directory, feed.batches[-1:])
    assert lab.all_facts(reader.items()) == lab.all_facts(feed.batches[2:])
    reader.close()


def torn(lab):
    directory, feed = lab.directory(), lab.Feed()
    for _ in range(2):
        feed.ticks()
    written = lab.write(directory, feed.batches)
    written.path.write_bytes(written.data[:-5])
    return directory, feed


def test_a_torn_tail_is_told_when_a_later_segment_shows_that_it_stays_so(lab):
    directory, feed = torn(lab)
    reader = JournalReader(directory, lab.codecs)
    assert [type(item) for item in reader.items()] == [Batch]
    feed.ticks()
    lab.write(directory, feed.batches[-1:])
    damaged, batch = reader.items()
    assert (damaged.reason, damaged.after, batch.last) == ("torn", Position(7, 3), Position(7, 9))
    reader.close()


def test_a_torn_tail_at_the_very_end_is_told_on_request(lab):
    directory, _ = torn(lab)
    reader = JournalReader(directory, lab.codecs)
    assert [type(item) for item in reader.items(final=True)] == [Batch, Damaged]
    reader.close()


def test_a_segment_that_cannot_be_opened_is_told_and_passed_over(lab, files):
    directory, feed = lab.directory(), lab.Feed()
    for _ in range(2):
        feed.ticks()
    first, second = (lab.write(directory, [batch]).path for batch in feed.batches)
    first.write_bytes(b"tickerd journal 9\n" + bytes(50))
    damaged, batch = read_journal(directory, lab.codecs)
    assert damaged.path == first
    assert "another version" in damaged.reason
    assert batch.last == Position(7, 6)
    files.fail("open_read", number=errno.EACCES)
    found = list(read_journal(directory, lab.codecs, files=files))
    assert [item.path for item in found] == [first, second]


def test_a_segment_that_is_compressed_between_listing_and_opening_is_found(lab):
    directory, feed = lab.directory(), lab.Feed()
    feed.ticks()
    path = lab.write(directory, feed.batches).path

    class Late(lab.FailingFiles):
        def open_read(self, opened):
            if opened == path and path.exists():
                compress(path)
            return super().open_read(opened)

    assert lab.all_facts(read_journal(directory, lab.codecs, files=Late())) == lab.all_facts(feed.batches)


def test_a_missing_directory_is_an_error_of_the_caller(lab, tmp_path):
    with pytest.raises(FileNotFoundError):
        list(read_journal(tmp_path / "nothing", lab.codecs))


def test_one_segment_by_its_path(lab, journal):
    directory, truth = journal
    path = min(directory.glob("*.tkj"))
    found = lab.all_facts(read_segment(path, lab.codecs))
    assert found
    assert found == [fact for fact in truth if found[0][0] <= fact[0] <= found[-1][0]]
