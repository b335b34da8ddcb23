"""Batches to a segment's records and back; the rest is tested by reading segments."""

from pathlib import Path

import msgspec
import pytest

from tickerd.journal import segment
from tickerd.journal.format import Events, Kind, Record, pack_events, record
from tickerd.journal.segment import Decoder, Encoder, Header, Name, file_name, parse_name
from tickerd.plugin import Batch, Notice, Row

HEADER = Header(7, 1, 0, "2026-11-23")


def kinds(buffers):
    return [Kind(head[8]).name for head in buffers[::2]]


def test_names_of_files_sort_as_positions_do_and_say_what_is_inside():
    name = file_name(HEADER)
    assert name == "2026-11-23-0000000007-00000000000000000001.tkj"
    for path in (Path(name), Path("x") / f"{name}.zst"):
        assert parse_name(path) == Name("2026-11-23", 7, 1)


@pytest.mark.parametrize(
    "name",
    ["x", "x.tkj", "2026-11-23-0000000007-0000000000000000000x.tkj", "2026-11-23-0000000007-00000000000000000001",
     "2026-11-23-0000000007-00000000000000000001.idx", "2026-11-23-0000000007-00000000000000000001.tkj.bad",
     "2026-11-23-0000000007-00000000000000000001.tkj.zst.tmp"],
)  # fmt: skip
def test_no_other_file_is_a_segment(name):
    assert parse_name(Path(name)) is None


def test_everything_is_named_once_and_before_it_is_used(lab):
    feed, encoder = lab.Feed(), Encoder(HEADER)
    assert kinds(encoder.batch(feed.ticks(300))) == ["NAMES", "NAMES", "NAMES", "INSTRUMENTS", "TICKS"]
    assert kinds(encoder.batch(feed.ticks(300))) == ["TICKS"]
    assert kinds(encoder.batch(feed.control())) == ["EVENTS"]
    feed.new_dump()
    assert kinds(encoder.batch(feed.ticks(300))) == ["NAMES", "INSTRUMENTS", "TICKS"]
    assert kinds(encoder.batch(feed.both())) == ["NAMES", "NAMES", "TICKS", "EVENTS"]
    assert encoder.batch(Batch()) == []


def test_a_batch_that_was_given_out_keeps_the_instruments_it_was_given_with(lab):
    feed, encoder, decoder = lab.Feed(), Encoder(HEADER), Decoder(lab.codecs, HEADER)
    feed.ticks(50)
    feed.new_dump()
    feed.ticks(50)
    found = []
    for batch in feed.batches:
        buffers = encoder.batch(batch)
        for head, payload in zip(buffers[::2], buffers[1::2], strict=True):
            found += filter(None, [decoder.feed(Record(0, head[8], payload))])
    assert [lab.facts(batch) for batch in found] == [lab.facts(batch) for batch in feed.batches]


def test_a_segment_holds_so_many_names_and_no_more(lab, monkeypatch):
    monkeypatch.setattr(segment, "MAX_ID", 2)
    feed, encoder = lab.Feed(), Encoder(HEADER)
    encoder.batch(feed.ticks())
    with pytest.raises(ValueError, match="at most 3 names"):
        encoder.batch(feed.plain())


@pytest.mark.parametrize(
    "batch",
    [
        Batch.of([Row(1)], ts_recv=2**70),
        Batch.of([Row(1)], connection=2**40),
        Batch.control(Notice(kind="message", data=object())),
        Batch.control(Notice(kind="message", data=2**70)),
        Batch.control(Notice(kind="message", data={"text": "\ud800"})),
    ],
)
def test_a_batch_that_does_not_fit_is_a_value_error(lab, batch):
    feed = lab.Feed()
    feed.publish(batch)
    with pytest.raises(ValueError, match=r"does not fit|surrogates"):
        Encoder(HEADER).batch(batch)


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (Kind.HEADER, b"\xc1"),
        (Kind.NAMES, msgspec.msgpack.encode(["text"])),
        (Kind.NAMES, b"\x91\x92\x00\xa2\xff\xfe"),
        (Kind.INSTRUMENTS, b"\xc1"),
        (Kind.TICKS, b"short"),
        (Kind.EVENTS, b"short"),
        (Kind.EVENTS, pack_events(Events(1, 0, 0, msgspec.msgpack.encode([])))),
        (Kind.EVENTS, pack_events(Events(1, 1, 0, b"\x91" * 5000 + b"\x90"))),
        (99, b""),
    ],
)
def test_what_is_not_understood_is_a_value_error(lab, kind, payload):
    assert b"".join(record(kind, payload))
    with pytest.raises(ValueError, match=r"record|short|understood"):
        Decoder(lab.codecs, HEADER).feed(Record(0, kind, payload))


def test_without_any_header_there_is_no_position(lab):
    encoder, decoder = Encoder(HEADER), Decoder(lab.codecs)
    head, payload = encoder.batch(lab.Feed().ticks())[-2:]
    with pytest.raises(ValueError, match="lost its header"):
        decoder.feed(Record(0, head[8], payload))
    decoder.feed(Record(0, Kind.HEADER, encoder.begin()[2]))
    assert decoder.header == HEADER
