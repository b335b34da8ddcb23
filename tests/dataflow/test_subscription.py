"""Subscriptions: the four overflow policies, filters, gaps told, memory kept."""

import pytest
import trio
import trio.testing

from tickerd.dataflow.hub import Hub
from tickerd.dataflow.subscription import MAX_RECORDS, Filter
from tickerd.instruments import Namespace
from tickerd.plugin import Batch, Gap, Notice, Status


@pytest.fixture
def feed(read):
    """A hub with a way to publish, and to subscribe with room for so many full packets."""

    class Feed:
        def __init__(self):
            self.hub = Hub(epoch=1)
            self.namespace = Namespace("kite")

        def publish(self, *packets):
            self.hub.publish(read(*packets), "kite", self.namespace)

        def record(self, *records):
            self.hub.publish(Batch.control(*records), "kite", self.namespace)

        def subscribe(self, overflow, batches=3, filter=None):  # noqa: A002
            size = read(*[b"\0" * 184]).nbytes
            return self.hub.subscribe("sink.x", overflow, batches * size, filter)[1]

    return Feed()


def tokens(batch):
    return [t.instrument_token for t in batch.ticks]


async def test_what_was_offered_is_received_in_order_as_one_batch(feed, full):
    subscription = feed.subscribe("drop_oldest")
    feed.publish(full(1))
    feed.publish(full(2))
    batch = await subscription.receive()
    assert tokens(batch) == [1, 2]
    assert batch.last == (1, 2)
    assert (subscription.queued_ticks, subscription.queued_bytes) == (0, 0)


async def test_receive_waits_for_something(feed, full):
    subscription = feed.subscribe("drop_oldest")
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def reader():
            assert tokens(await subscription.receive()) == [1]

        await trio.testing.wait_all_tasks_blocked()
        feed.publish(full(1))


async def test_receive_gathers_until_the_wait_is_over(feed, full, autojump_clock):
    subscription = feed.subscribe("drop_oldest")
    feed.publish(full(1))
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def later():
            await trio.sleep(0.05)
            feed.publish(full(2))
            await trio.sleep(0.1)
            feed.publish(full(3))

        assert tokens(await subscription.receive(10, max_wait=0.1)) == [1, 2]


async def test_receive_stops_gathering_when_it_has_enough(feed, full, autojump_clock):
    subscription = feed.subscribe("drop_oldest")
    feed.publish(full(1))
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def later():
            await trio.sleep(0.05)
            feed.publish(full(2))

        began = trio.current_time()
        assert tokens(await subscription.receive(2, max_wait=60)) == [1, 2]
        assert trio.current_time() - began < 1


async def test_no_more_than_asked_for_is_received_at_a_time(feed, full):
    subscription = feed.subscribe("drop_oldest")
    for token in (1, 2, 3):
        feed.publish(full(token))
    assert tokens(await subscription.receive(2)) == [1, 2]
    assert subscription.queued_ticks == 1
    assert tokens(await subscription.receive(2)) == [3]


async def test_drop_oldest_keeps_the_newest_and_tells_what_is_missing(feed, full):
    subscription = feed.subscribe("drop_oldest", batches=2)
    for token in (1, 2, 3, 4):
        feed.publish(full(token))
    batch = await subscription.receive()
    assert tokens(batch) == [3, 4]
    (gap,) = batch.records
    assert (gap.reason, gap.lost, gap.after, gap.source) == ("slow_consumer", 2, (1, 0), "sink.x")
    assert subscription.dropped == 2


async def test_a_later_hole_begins_after_what_was_received(feed, full):
    subscription = feed.subscribe("drop_oldest", batches=1)
    feed.publish(full(1))
    await subscription.receive()
    feed.publish(full(2))
    feed.publish(full(3))
    batch = await subscription.receive()
    assert [r.after for r in batch.records] == [(1, 1)]
    feed.publish(full(4))
    assert (await subscription.receive()).records == []


async def test_drop_newest_keeps_what_is_queued(feed, full):
    subscription = feed.subscribe("drop_newest", batches=2)
    for token in (1, 2, 3, 4):
        feed.publish(full(token))
    batch = await subscription.receive()
    assert tokens(batch) == [1, 2]
    assert [(r.lost, r.after) for r in batch.records] == [(2, (1, 2))]


async def test_disconnect_breaks_the_subscription(feed, full):
    subscription = feed.subscribe("disconnect", batches=1)
    feed.publish(full(1))
    feed.publish(full(2))
    feed.publish(full(3))
    with pytest.raises(trio.BrokenResourceError):
        await subscription.receive()
    assert subscription.dropped == 3


async def test_who_comes_back_after_a_disconnect_is_told_what_is_missing(feed, full):
    subscription = feed.subscribe("disconnect", batches=1)
    feed.publish(full(1))
    feed.publish(full(2))
    with pytest.raises(trio.BrokenResourceError):
        await subscription.receive()
    feed.publish(full(3))
    batch = await subscription.receive()
    assert tokens(batch) == [3]
    assert [(r.lost, r.after) for r in batch.records] == [(2, (1, 0))]


async def test_conflate_keeps_the_newest_of_each_instrument_and_counts_merges(feed, full):
    subscription = feed.subscribe("conflate", batches=10)
    feed.publish(full(1, last=100), full(2, last=200))
    feed.publish(full(1, last=300))
    batch = await subscription.receive()
    assert [(t.instrument_token, t.last_price, t.position) for t in batch.ticks] == [
        (2, 2.0, (1, 2)),
        (1, 3.0, (1, 3)),
    ]
    assert (subscription.merged, subscription.dropped, batch.records) == (1, 0, [])
    assert batch.last == (1, 3)


async def test_conflate_is_bounded_too(feed, full):
    subscription = feed.subscribe("conflate", batches=2)
    feed.publish(*[full(token) for token in range(10)])
    batch = await subscription.receive()
    assert len(batch.ticks) + subscription.dropped == 10
    assert batch.records[0].lost == subscription.dropped > 0


async def test_conflated_ticks_come_in_parts_when_there_are_many(feed, full):
    subscription = feed.subscribe("conflate", batches=100)
    feed.publish(full(1), full(2), full(3))
    assert tokens(await subscription.receive(2)) == [1, 2]
    assert tokens(await subscription.receive(2)) == [3]


async def test_a_batch_larger_than_the_buffer_is_a_drop_not_a_crash(feed, full):
    subscription = feed.subscribe("drop_oldest", batches=1)
    feed.publish(*[full(token) for token in range(50)])
    batch = await subscription.receive()
    assert (tokens(batch), batch.records[0].lost) == ([], 50)


async def test_records_are_not_dropped_with_ticks(feed, full):
    subscription = feed.subscribe("drop_oldest", batches=1)
    feed.publish(full(1))
    feed.record(Status(state="stale"))
    feed.publish(full(2))
    batch = await subscription.receive()
    assert [type(r) for r in batch.records] == [Gap, Status]


async def test_records_nobody_reads_are_bounded_and_counted(feed):
    subscription = feed.subscribe("drop_oldest")
    for _ in range(MAX_RECORDS + 5):
        feed.record(Notice(kind="message", data="x"))
    batch = await subscription.receive()
    assert len(batch.records) == MAX_RECORDS + 1
    assert batch.records[0].lost == 5


async def test_a_filter_lets_through_only_its_tokens_and_records(feed, full):
    wanted = Filter(tokens=lambda: {2}, records=lambda record: isinstance(record, Gap))
    subscription = feed.subscribe("drop_oldest", filter=wanted)
    feed.publish(full(1), full(2), full(3))
    feed.record(Status(state="stale"))
    feed.record(Gap(reason="x"))
    batch = await subscription.receive()
    assert tokens(batch) == [2]
    assert [type(r) for r in batch.records] == [Gap]


async def test_a_filter_without_ticks_wakes_for_records_only(feed, full):
    subscription = feed.subscribe("drop_oldest", filter=Filter(ticks=False))
    feed.publish(full(1))
    assert subscription.queued_ticks == 0
    feed.record(Status(state="stale"))
    batch = await subscription.receive()
    assert (tokens(batch), len(batch.records)) == ([], 1)


async def test_a_filter_of_records_alone_keeps_all_ticks(feed, full):
    subscription = feed.subscribe("drop_oldest", filter=Filter(records=lambda _: False))
    feed.publish(full(1))
    feed.record(Status(state="stale"))
    batch = await subscription.receive()
    assert (tokens(batch), batch.records) == ([1], [])


async def test_what_is_queued_can_be_read_after_the_end(feed, full):
    subscription = feed.subscribe("drop_oldest")
    feed.publish(full(1))
    feed.hub.close()
    feed.publish(full(2))
    assert tokens(await subscription.receive(max_wait=100)) == [1]
    with pytest.raises(trio.EndOfChannel):
        await subscription.receive()


async def test_the_end_wakes_a_waiting_reader(feed):
    subscription = feed.subscribe("drop_oldest")
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def reader():
            with pytest.raises(trio.EndOfChannel):
                await subscription.receive()

        await trio.testing.wait_all_tasks_blocked()
        subscription.end()


@pytest.mark.parametrize("overflow", ["drop_oldest", "conflate"])
async def test_what_is_put_back_comes_first_again(feed, full, overflow):
    subscription = feed.subscribe(overflow, batches=10)
    feed.publish(full(1))
    feed.record(Status(state="stale"))
    batch = await subscription.receive()
    feed.publish(full(2))
    subscription.put_back(batch)
    assert subscription.queued_ticks >= 1
    received = await subscription.receive()
    rest = (
        tokens(received)
        if overflow == "drop_oldest"
        else tokens(received) + tokens(await subscription.receive())
    )
    assert rest == [1, 2]
    assert len(received.records) == 1


async def test_what_is_discarded_is_counted_and_told(feed, full):
    subscription = feed.subscribe("drop_oldest")
    feed.publish(full(1), full(2))
    subscription.discard(await subscription.receive(), "sink_failed")
    batch = await subscription.receive()
    assert [(r.reason, r.lost, r.after) for r in batch.records] == [("sink_failed", 2, (1, 0))]


async def test_a_consumer_that_lags_keeps_no_decoded_copies(feed, full):
    quick, slow = feed.subscribe("drop_oldest", 100), feed.subscribe("drop_oldest", 100)
    encoded = []
    for token in range(30):
        feed.publish(full(token))
        encoded += (await quick.receive()).ticks
    for tick in encoded:
        assert tick.json
    late = (await slow.receive()).ticks
    assert tokens(Batch(ticks=late)) == list(range(30))
    assert sum(tick._json is not None for tick in late) <= 8


async def test_a_batch_that_is_offered_again_has_the_newest_of_each_instrument(feed, full):
    subscription = feed.subscribe("conflate", batches=100)
    feed.publish(full(1, last=100), full(2, last=100))
    old = await subscription.receive()
    assert subscription.renew(old, None) is old  # nothing has come
    feed.publish(full(2, last=200), full(257, last=200))
    feed.record(Status(state="stale"))
    new = subscription.renew(old, None)
    assert {t.instrument_token: t.last_price for t in new.ticks} == {1: 1.0, 2: 2.0, 257: 2.0}
    assert [record.state for record in new.records] == ["stale"]
    assert (new.last, subscription.merged, subscription.dropped) == ((1, 5), 1, 0)
    assert not subscription.waits


async def test_ticks_that_are_too_old_are_not_offered_again(feed, read, full):
    for policy in ("conflate", "drop_oldest"):
        subscription = feed.subscribe(policy, batches=100)
        feed.hub.publish(read(full(1), ts_recv=1000), "kite", feed.namespace)
        feed.hub.publish(read(full(2), ts_recv=2000), "kite", feed.namespace)
        batch = await subscription.receive()
        assert tokens(subscription.renew(batch, 2000)) == [2]
        assert len(subscription.renew(batch, 2001)) == 0
        assert subscription.expired == 3
        subscription.close()


# -- whole batches -----------------------------------------------------------------------------------------


async def test_whole_batches_are_those_that_were_published(feed, full):
    subscription = feed.subscribe("drop_oldest", batches=20)
    other = feed.subscribe("drop_oldest", batches=20)
    for token in (1, 2, 3):
        feed.publish(full(token))
    first, second = await subscription.receive_batches(2)
    assert [first, second] == (await other.receive_batches())[:2]
    assert (tokens(first), tokens(second)) == ([1], [2])
    assert subscription.queued_ticks == 1
    (third,) = await subscription.receive_batches()
    assert (tokens(third), third.last) == ([3], (1, 3))
    assert (subscription.queued_ticks, subscription.queued_bytes) == (0, 0)
    with trio.move_on_after(0.01) as waited:
        await subscription.receive_batches()
    assert waited.cancelled_caught


async def test_records_and_gaps_come_in_a_batch_of_their_own_before_the_ticks(feed, full):
    subscription = feed.subscribe("drop_oldest", batches=2)
    for token in range(4):
        feed.publish(full(token))
    feed.record(Status(state="connected"))
    feed.publish(full(9))
    told, *ticks = await subscription.receive_batches()
    assert [type(record) for record in told.records] == [Gap, Status]
    assert told.ticks == ()
    assert [tokens(batch) for batch in ticks] == [[3], [9]]


async def test_records_alone_come_as_they_do_otherwise(feed):
    subscription = feed.subscribe("drop_oldest")
    feed.record(Notice(kind="message", data="x"))
    (batch,) = await subscription.receive_batches()
    assert [record.data for record in batch.records] == ["x"]


async def test_whole_batches_of_merged_ticks_are_one(feed, full):
    subscription = feed.subscribe("conflate")
    feed.publish(full(1), full(2))
    feed.publish(full(1))
    (batch,) = await subscription.receive_batches()
    assert tokens(batch) == [2, 1]


async def test_a_subscription_that_has_ended_or_is_broken_says_so_here_too(feed, full):
    subscription = feed.subscribe("disconnect", batches=1)
    feed.publish(full(1))
    feed.publish(full(2))
    with pytest.raises(trio.BrokenResourceError):
        await subscription.receive_batches()
    subscription.end()
    (told,) = await subscription.receive_batches()
    assert [record.lost for record in told.records] == [2]
    with pytest.raises(trio.EndOfChannel):
        await subscription.receive_batches()
