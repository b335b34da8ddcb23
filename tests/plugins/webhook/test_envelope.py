"""What is posted, and ids that follow from the record."""

import re

import msgspec
import pytest

from tickerd.plugin import RECORD_KINDS, Batch, Position, Row, record_kind
from tickerd.testing import sample_batches, stamped
from tickerd_plugins.webhook.envelope import body, kind_of, message_id, stamp, tick_bodies

NS = 1_700_000_000_123_456_789


def test_an_id_is_a_ulid_of_the_time_that_only_follows_from_the_record():
    one = message_id("alerts", Position(3, 7), NS)
    assert re.fullmatch(r"msg_[0-9A-HJKMNP-TV-Z]{26}", one)
    assert one == message_id("alerts", Position(3, 7), NS)
    others = {
        message_id("other", Position(3, 7), NS),
        message_id("alerts", Position(37, 7), NS),
        message_id("alerts", Position(3, 77), NS),
        message_id("alerts", Position(3, 7), NS, b"x"),
        message_id("alerts", Position(3, 7), NS + 1),
    }
    assert len(others | {one}) == 6
    later = message_id("alerts", Position(1, 1), NS + 10**6)
    assert later > one  # by time, as ULIDs are
    decoded = 0
    for letter in one[4:14]:
        decoded = decoded * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(letter)
    assert decoded == NS // 10**6


def test_an_event_is_an_envelope():
    found = msgspec.json.decode(body("feed.gap", NS, {"lost": 3}))
    assert found == {"type": "feed.gap", "timestamp": "2023-11-14T22:13:20.123Z", "data": {"lost": 3}}
    assert stamp(0) == "1970-01-01T00:00:00.000Z"


def test_every_kind_of_record_has_a_type():
    records = [record for batch in sample_batches() for record in batch.records]
    assert {record_kind(record) for record in records} == set(RECORD_KINDS)
    for record in records:
        assert re.fullmatch(r"[a-z]+\.[a-z_]+", kind_of(record))
        data = msgspec.json.decode(body(kind_of(record), record.ts_recv, record))["data"]
        assert data["record"] == record_kind(record)


@pytest.fixture
def ticks():
    def make(count, start=1):
        rows = [Row(n, last_price=float(n)) for n in range(1, count + 1)]
        return stamped(Batch.of(rows, ts_recv=NS), start).ticks

    return make


def test_ticks_go_in_batches_of_so_many_rows_and_bytes(ticks):
    found = list(tick_bodies(ticks(7), (), 3))
    told = [msgspec.json.decode(text) for _, _, text in found]
    assert [[row["instrument_token"] for row in one["data"]["ticks"]] for one in told] == [
        [1, 2, 3],
        [4, 5, 6],
        [7],
    ]
    assert {one["type"] for one in told} == {"ticks"}
    assert [position for position, *_ in found] == [Position(1, 3), Position(1, 6), Position(1, 7)]
    small = list(tick_bodies(ticks(7), (), 500, most_bytes=1500))
    assert len(small) > 1
    assert all(len(text) <= 1500 for *_, text in small)
    rows = [
        row["instrument_token"] for *_, text in small for row in msgspec.json.decode(text)["data"]["ticks"]
    ]
    assert rows == list(range(1, 8))


def test_a_tick_that_is_longer_than_a_body_goes_alone(ticks):
    assert len(list(tick_bodies(ticks(3), (), 500, most_bytes=10))) == 3


def test_records_go_with_the_first_batch(ticks):
    records = stamped(next(batch for batch in sample_batches() if batch.records and not batch.ticks)).records
    first, second = (msgspec.json.decode(text)["data"] for *_, text in tick_bodies(ticks(2), records, 1))
    assert len(first["records"]) == len(records)
    assert second["records"] == []
    assert list(tick_bodies((), records, 1)) == []
