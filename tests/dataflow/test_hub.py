"""The hub: positions, last values, marks, joining."""

import pytest

from tickerd.dataflow.hub import Hub
from tickerd.instruments import Namespace
from tickerd.plugin import Batch, Gap, Instrument, Position, Status
from tickerd.wire.kite import KITE


@pytest.fixture
def hub():
    return Hub(epoch=7)


@pytest.fixture
def kite(infy, tcs):
    namespace = Namespace("kite")
    namespace.load([infy, tcs])
    return namespace


async def test_positions_run_over_ticks_and_records_of_all_sources(hub, kite, read, full):
    first, second = read(full(1), full(2)), read(full(3))
    record = Status(state="connected")
    hub.publish(first, "a", kite)
    hub.publish(Batch.control(record), "b", kite)
    hub.publish(second, "a", kite)
    assert [t.position for t in first.ticks] == [(7, 1), (7, 2)]
    assert (record.epoch, record.seq, record.source) == (7, 3, "b")
    assert second.ticks[0].position == Position(7, 4) == hub.position == second.last


async def test_ticks_know_their_symbol_source_and_receive_time(hub, kite, read, full):
    batch = read(full(408065), full(99), connection=3, ts_recv=123)
    hub.publish(batch, "kite", kite)
    named, nameless = batch.ticks
    assert (named.symbol, named.source, named.connection, named.ts_recv) == ("NSE:INFY", "kite", 3, 123)
    assert nameless.symbol is None
    assert named.row.symbol == "NSE:INFY"


async def test_the_last_value_of_an_instrument_is_kept_with_its_position(hub, kite, read, full):
    hub.publish(read(full(1, last=100), full(2, last=5)), "a", kite)
    hub.publish(read(full(1, last=200)), "a", kite)
    newest = {tick.instrument_token: tick for tick in hub.latest("kite", [1, 2, 3])}
    assert newest.keys() == {1, 2}
    assert newest[1].last_price == 2.0
    assert newest[1].position == (7, 3)
    assert newest[2].position == (7, 2)
    assert hub.ticking() == 2
    assert hub.latest("elsewhere", [1]) == []


async def test_duplicates_and_late_ticks_pass_with_a_flag(hub, kite, read, full):
    hub.publish(read(full(1, last=1, second=100), full(2)), "a", kite)
    again = read(full(2), full(1, last=2, second=99), full(3))
    hub.publish(again, "a", kite)
    assert [t.flags for t in again.ticks] == [("duplicate",), ("out_of_order",), ()]


async def test_flags_of_the_source_are_kept(hub, kite, read, full):
    batch = read(full(1), full(2))
    batch.marks = {1: 1}
    hub.publish(batch, "a", kite)
    assert [t.flags for t in batch.ticks] == [(), ("snapshot",)]


async def test_a_gap_without_a_place_gets_the_position_before_it(hub, kite, read, full):
    hub.publish(read(full(1)), "a", kite)
    gap = Gap(reason="reset", since_ns=1, until_ns=2)
    hub.publish(Batch.control(gap), "a", kite)
    assert gap.after == (7, 1)
    assert hub.totals.gaps == 1


async def test_joining_gives_the_position_and_all_that_follows(hub, kite, read, full):
    hub.publish(read(full(1)), "a", kite)
    position, subscription = hub.subscribe("s", "drop_oldest", 1 << 20)
    hub.publish(read(full(2), full(3)), "a", kite)
    received = await subscription.receive()
    assert position == (7, 1)
    assert [t.position for t in received.ticks] == [(7, 2), (7, 3)]


async def test_a_closed_subscription_is_no_longer_fed(hub, kite, read, full):
    _, subscription = hub.subscribe("s", "drop_oldest", 1 << 20)
    subscription.close()
    hub.publish(read(full(1)), "a", kite)
    assert subscription.queued_ticks == 0


async def test_an_empty_batch_takes_no_position(hub, kite):
    hub.publish(Batch.read(KITE, b"\0", connection=1, ts_recv=1), "a", kite)
    assert hub.position == (7, 0)


async def test_totals_are_kept_for_each_source(hub, kite, read, full):
    hub.publish(read(full(1), full(2), ts_recv=5), "a", kite)
    hub.publish(Batch.control(Status(state="stale")), "b", kite)
    assert (hub.by_source["a"].ticks, hub.by_source["a"].last_tick_ns) == (2, 5)
    assert (hub.by_source["b"].ticks, hub.by_source["b"].records) == (0, 1)
    assert hub.totals.batches == 2


async def test_the_price_of_an_instrument_is_that_of_its_newest_tick(hub, kite, infy, tcs, read, full):
    assert hub.price(infy) is None
    hub.publish(read(full(infy.token, last=12_345)), "a", kite)
    assert hub.price(infy) == 123.45
    assert hub.price(tcs) is None


async def test_a_token_that_was_given_away_has_no_newest_tick(hub, kite, infy, tcs, read, full):
    hub.publish(read(full(infy.token), full(tcs.token), full(99)), "a", kite)
    other = Instrument("kite", infy.token, "NSE", "OTHER")
    assert hub.price(other) is None
    kite.load([other, tcs])
    hub.forget_renamed(kite)
    assert [tick.symbol for tick in hub.latest("kite", [infy.token, tcs.token, 99])] == ["NSE:TCS", None]
