"""One open socket: what it makes of each message, how it subscribes, how it judges silence."""

import msgspec
import pytest
import trio
import trio.testing

from tickerd.plugin import Notice, Order
from tickerd_plugins.kite.outage import Outage, outages
from tickerd_plugins.kite.session import Session, Wanted


@pytest.fixture
def clock(autojump_clock):
    return autojump_clock


class Listener:
    def __init__(self, ctx):
        self.publish = ctx.publish
        self.heard = []
        self.silences = []

    def alive(self, ts_recv, *, feed):
        self.heard.append(feed)

    def stale(self, silence):
        self.silences.append(silence)


@pytest.fixture
async def make(ctx, fakes, options):
    def build(**values):
        socket, wanted, listener = fakes.Socket(), Wanted(), Listener(ctx)
        session = Session(
            socket, number=0, wanted=wanted, options=options(**values), ctx=ctx, listener=listener
        )
        return session, socket, wanted, listener

    return build


async def ends(session):
    with pytest.raises(BaseExceptionGroup) as caught:
        await session.run()
    return next(outages(caught.value))


async def test_a_frame_is_published_as_one_batch_with_its_raw_bytes(clock, make, ctx, fakes):
    session, _, _, listener = make()
    raw = fakes.ltp(1, 2, 3)
    session.take(raw)
    (batch,) = ctx.published
    assert batch.raw == raw
    assert [t.instrument_token for t in batch.ticks] == [1, 2, 3]
    assert batch.origin.connection == 0
    assert batch.origin.ts_recv == ctx.clock.now_ns()
    assert listener.heard == [True]


async def test_a_heartbeat_is_life_and_nothing_else(make, ctx):
    session, _, _, listener = make()
    session.take(b"\0")
    assert ctx.published == []
    assert listener.heard == [True]
    assert ctx.counts == {"heartbeats": 1}


async def test_text_frames_become_records(make, ctx):
    session, _, _, listener = make()
    for message in (
        {"type": "order", "data": {"order_id": "1"}},
        {"type": "error", "data": "too many"},
        {"type": "message", "data": "hello"},
        {"type": "instruments_meta", "data": {}},
    ):
        session.take(msgspec.json.encode(message).decode())
    session.take("not json")
    order, *notices = (record for batch in ctx.published for record in batch.records)
    assert isinstance(order, Order)
    assert all(isinstance(n, Notice) for n in notices)
    assert [n.kind for n in notices] == ["error", "message", "unknown", "unknown"]
    assert listener.heard == [False] * 5


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "empty"),
        (b"\0\0", "no_packets"),
        (b"\0\1\0\5hello", "unknown_length"),
        (b"\0\2", "truncated"),
        (b"\xff\xff\0\x08", "truncated"),
    ],
)
async def test_a_malformed_frame_is_counted_with_its_reason_and_publishes_nothing(make, ctx, raw, reason):
    session, *_ = make()
    session.take(raw)
    assert ctx.published == []
    assert ctx.counts[reason] == 1


async def test_the_good_packets_before_a_fault_are_published(make, ctx, fakes):
    session, *_ = make()
    session.take(fakes.ltp(1, 2, 3)[:-1])
    session.take(fakes.ltp(4) + b"more")
    assert [t.instrument_token for b in ctx.published for t in b.ticks] == [1, 2, 4]
    assert ctx.counts["truncated"] == ctx.counts["trailing_bytes"] == 1


async def test_many_malformed_frames_in_a_row_end_the_connection(make):
    session, *_ = make(malformed_limit=3)
    session.take(b"\0\2")
    session.take(b"\0\0")
    with pytest.raises(Outage, match="3 malformed frames in a row") as caught:
        session.take(b"\0\2")
    assert caught.value.reason == "malformed"


async def test_a_good_frame_ends_the_run_of_malformed_ones_and_a_heartbeat_does_not(make, fakes):
    session, *_ = make(malformed_limit=2)
    for _ in range(10):
        session.take(b"\0\2")
        session.take(fakes.ltp(1))
    session.take(b"\0\2")
    session.take(b"\0")
    with pytest.raises(Outage):
        session.take(b"\0\2")


async def test_a_new_kind_of_packet_beside_known_ones_never_ends_the_connection(make, ctx, fakes):
    session, *_ = make(malformed_limit=2)
    known = fakes.ltp(1)[2:]
    for _ in range(10):
        session.take(b"\0\2" + known + b"\0\5hello")
    assert ctx.counts["unknown_length"] == 10
    assert len(ctx.published) == 10


async def test_the_first_packet_after_a_subscription_is_marked_as_a_snapshot(clock, make, ctx, fakes):
    session, socket, wanted, _ = make()
    wanted.set({1: "ltp", 2: "ltp", 3: "ltp"})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(session.run)
        await trio.sleep(0.5)
        assert session.unconfirmed == [1, 2, 3]
        socket.say(fakes.ltp(1, 2, 1), fakes.ltp(1, 2, 9))
        await trio.sleep(0.5)
        assert session.unconfirmed == [3]
        nursery.cancel_scope.cancel()
    first, second = ctx.published
    assert [t.marks for t in first.ticks] == [1, 1, 0]
    assert first.ticks[0].flags == ("snapshot",)
    assert [t.marks for t in second.ticks] == [0, 0, 0]


async def test_a_first_packet_that_comes_late_has_traded_and_is_no_snapshot(clock, make, ctx, fakes):
    session, socket, wanted, _ = make(reconnect_after="1h", stale_after="1h")
    wanted.set({1: "ltp"})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(session.run)
        await trio.sleep(11)
        socket.say(fakes.ltp(1))
        await trio.sleep(0.1)
        assert session.unconfirmed == []
        nursery.cancel_scope.cancel()
    assert [t.marks for t in ctx.published[0].ticks] == [0]


async def test_a_change_sends_only_the_difference(clock, make, fakes):
    session, socket, wanted, _ = make(reconnect_after="1h", stale_after="1h")
    wanted.set({1: "full", 2: "quote"})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(session.run)
        await trio.sleep(1)
        assert socket.subscribed == {1: "full", 2: "quote"}
        assert session.synced
        before = len(socket.sent)
        wanted.set({1: "full", 2: "quote"})
        await trio.sleep(1)
        assert len(socket.sent) == before
        wanted.set({2: "full", 3: "ltp"})
        await trio.sleep(1)
        assert socket.subscribed == {2: "full", 3: "ltp"}
        assert [msgspec.json.decode(m)["a"] for m in socket.sent[before:]] == [
            "unsubscribe",
            "mode",
            "subscribe",
            "mode",
        ]
        assert session.unconfirmed == [2, 3]
        nursery.cancel_scope.cancel()


async def test_subscriptions_are_paced(clock, make):
    session, socket, wanted, _ = make(subscribe_batch=100, subscribe_pause="100ms")
    wanted.set(dict.fromkeys(range(1000), "full"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(session.run)
        await trio.sleep(0.95)
        assert len(socket.sent) == 10
        assert not session.synced
        await trio.sleep(1.2)
        assert len(socket.sent) == 20
        assert session.synced
        nursery.cancel_scope.cancel()


async def test_silence_is_told_and_then_ends_the_connection(clock, make):
    session, _, _, listener = make()
    begun = trio.current_time()
    outage = await ends(session)
    assert outage.reason == "silent"
    assert outage.detail == "no frame for 10 s"
    assert listener.silences == [5]
    assert trio.current_time() - begun == 10


async def test_heartbeats_alone_keep_it_alive(clock, make, fakes):
    session, socket, _, listener = make()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(session.run)
        for _ in range(100):
            socket.say(fakes.HEARTBEAT)
            await trio.sleep(4)
        nursery.cancel_scope.cancel()
    assert listener.silences == []


async def test_a_loop_that_was_blocked_is_not_taken_for_silence(mock_clock, make):
    session, _, _, listener = make()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(session.run)
        await trio.testing.wait_all_tasks_blocked()
        # the hand of the clock jumps past every deadline: what a blocked loop looks like from inside
        mock_clock.jump(30)
        await trio.testing.wait_all_tasks_blocked()
        assert listener.silences == []
        mock_clock.jump(5)
        await trio.testing.wait_all_tasks_blocked()
        assert listener.silences == [5]
        nursery.cancel_scope.cancel()


async def test_a_broker_that_takes_no_message_ends_the_connection(clock, make):
    session, socket, wanted, _ = make(reconnect_after="1h", stale_after="1h")
    socket.blocked = True
    wanted.set({1: "full"})
    outage = await ends(session)
    assert (outage.reason, outage.detail) == ("write_stalled", "the broker took no message for 10 s")


async def test_the_end_of_the_socket_ends_the_session(clock, make):
    session, socket, *_ = make()
    socket.end("closed", "the server closed the connection (code 1001)")
    assert (await ends(session)).reason == "closed"
