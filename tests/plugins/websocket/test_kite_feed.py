"""From batches to the frames of Kite clients: snapshots, modes, entitlements, what upstream is asked for."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tickerd.plugin import Batch, Gap, Instrument, Notice, Order, Position, Principal, Row, Tick
from tickerd.testing.fakes import stamped
from tickerd.wire.kite import KITE, frame, prefix
from tickerd.wire.kite.layout import FULL, LTP, QUOTE
from tickerd_plugins.websocket.kite_client import KiteClient
from tickerd_plugins.websocket.kite_feed import KiteFeed

INFY, TCS, NIFTY, SBIN_BSE = 408_065, 2_953_217, 256_265, 128_028_676
TABLE = {
    INFY: Instrument("kite", INFY, "NSE", "INFY"),
    TCS: Instrument("kite", TCS, "NSE", "TCS"),
    NIFTY: Instrument("kite", NIFTY, "NSE", "NIFTY 50"),
    SBIN_BSE: Instrument("kite", SBIN_BSE, "BSE", "SBIN"),
}


class Context:
    """A hub with last values, and an instrument table that can be replaced."""

    def __init__(self) -> None:
        self.position = Position(1, 0)
        self.table: dict[int, Instrument] = dict(TABLE)
        self.newest: dict[tuple[str, int], Tick] = {}
        self.counts: dict[str, int] = {}
        self.wants: dict[str, dict[str, str]] = {}
        self.too_much: set[str] = set()

    @property
    def instruments(self) -> "Context":
        return self

    def find(self, key: str | int) -> Instrument | None:
        return self.table.get(key)  # type: ignore[arg-type]

    def tables(self) -> list[object]:
        return [self.table]

    def latest(self, instruments: Iterable[Instrument]) -> list[Tick]:
        keys = [(one.namespace, one.token) for one in instruments]
        return [self.newest[key] for key in keys if key in self.newest]

    def count(self, reason: str, n: int = 1) -> None:
        self.counts[reason] = self.counts.get(reason, 0) + n

    def set(self, owner: str, items: Mapping[Instrument, str]) -> dict[str, str]:
        self.wants[owner] = {one.symbol: mode for one, mode in items.items()}
        return {name: "over_capacity" for name in self.wants[owner] if name in self.too_much}

    def drop(self, owner: str) -> None:
        self.wants.pop(owner, None)

    def publish(self, batch: Batch, namespace: str = "kite") -> Batch:
        """What the hub does, short of handing it on."""
        stamped(batch, self.position.seq + 1, instruments=self.table)
        if batch.origin is not None:
            batch.origin.namespace = namespace
            for tick in batch.ticks:
                self.newest[namespace, tick.instrument_token] = tick
        self.position = batch.last
        return batch


class Link:
    """A connection that takes everything."""

    def __init__(self, name: str) -> None:
        self.id, self.is_open, self.last_sent, self.clogged = name, True, 0.0, False
        self.frames: list[bytes] = []
        self.texts: list[Any] = []

    def offer(self, *parts: bytes) -> bool:
        if not self.clogged:
            self._take(b"".join(parts))
        return not self.clogged

    def send(self, *parts: bytes) -> None:
        self._take(b"".join(parts))

    def _take(self, one: bytes) -> None:
        body = one[2:] if one[1] < 126 else one[4:] if one[1] == 126 else one[10:]
        if one[0] == 0x81:
            self.texts.append(json.loads(body))
        else:
            assert one[0] == 0x82
            self.frames.append(body)

    def packets(self) -> list[bytes]:
        """All since the last call."""
        frames, self.frames = self.frames, []
        found = [KITE.split(one) for one in frames]
        assert not any(one.faults for one in found)
        return [packet for one in found for packet in one.packets]


@pytest.fixture
def ctx() -> Context:
    return Context()


@pytest.fixture
def feed(ctx: Context) -> KiteFeed:
    return KiteFeed(ctx, ctx, orders=True)


def join(
    feed: KiteFeed, name: str = "1", instruments: Iterable[str] | None = None, limit: int = 3000
) -> KiteClient:
    seen = None if instruments is None else frozenset(instruments)
    who = Principal(id=name, scopes=frozenset({"ticks:read"}), instruments=seen)
    client = KiteClient(Link(name), who, limit)
    feed.join(client)
    return client


async def ask(feed: KiteFeed, client: KiteClient, action: str, *tokens: int) -> None:
    mode = action in ("ltp", "quote", "full")
    value = [action, list(tokens)] if mode else list(tokens)
    await feed.ask(client, json.dumps({"a": "mode" if mode else action, "v": value}))


def full(token: int, price: int = 1, volume: int = 0) -> bytes:
    return (token.to_bytes(4) + price.to_bytes(4) + bytes(8) + volume.to_bytes(4)).ljust(FULL, b"\0")


def kite(*packets: bytes) -> Batch:
    return Batch.read(KITE, frame.join(packets), connection=1, ts_recv=1)


async def test_ticks_are_what_the_broker_sent_in_the_mode_of_each_client(
    ctx: Context, feed: KiteFeed
) -> None:
    modes = {"full": FULL, "quote": QUOTE, "ltp": LTP}
    clients = {mode: join(feed, mode) for mode in modes}
    for mode, client in clients.items():
        await ask(feed, client, mode, INFY)
    await feed.distribute([ctx.publish(kite(full(INFY), full(TCS)))])
    for mode, client in clients.items():
        assert client.link.packets() == [full(INFY)[: modes[mode]]]


async def test_the_newest_packet_comes_at_once_in_the_client_s_mode(ctx: Context, feed: KiteFeed) -> None:
    await feed.distribute([ctx.publish(kite(full(INFY, 1), full(TCS, 2)))])
    client = join(feed)
    await ask(feed, client, "subscribe", INFY, TCS, NIFTY)
    assert client.link.packets() == [full(INFY, 1)[:QUOTE], full(TCS, 2)[:QUOTE]]
    await ask(feed, client, "full", INFY)
    assert client.link.packets() == [full(INFY, 1)]
    await ask(feed, client, "subscribe", INFY, TCS)
    await ask(feed, client, "full", INFY)
    assert client.link.packets() == []


async def test_what_was_shown_is_not_sent_again_and_nothing_older_after_it(
    ctx: Context, feed: KiteFeed
) -> None:
    late = [ctx.publish(kite(full(INFY, price), full(TCS, price))) for price in (1, 2)]
    client = join(feed)
    await ask(feed, client, "full", INFY)
    assert client.link.packets() == [full(INFY, 2)]
    after = ctx.publish(kite(full(INFY, 3)))
    await ask(feed, client, "full", TCS)
    assert client.link.packets() == [full(TCS, 2)]
    await feed.distribute(late)
    assert client.link.packets() == []
    await feed.distribute([after])
    assert client.link.packets() == [full(INFY, 3)]
    await feed.distribute([ctx.publish(kite(full(TCS, 3)))])
    assert client.link.packets() == [full(TCS, 3)]
    assert feed._shown == {}


async def test_a_second_client_is_shown_what_was_distributed_last(ctx: Context, feed: KiteFeed) -> None:
    first, second = join(feed, "1"), join(feed, "2")
    await ask(feed, first, "full", INFY)
    await feed.distribute([ctx.publish(kite(full(INFY, 1)))])
    late = ctx.publish(kite(full(INFY, 2)))
    first.link.packets()
    await ask(feed, second, "ltp", INFY)
    assert second.link.packets() == [full(INFY, 1)[:LTP]]
    await feed.distribute([late])
    assert first.link.packets() == [full(INFY, 2)]
    assert second.link.packets() == [full(INFY, 2)[:LTP]]


async def test_nothing_comes_after_an_unsubscribe(ctx: Context, feed: KiteFeed) -> None:
    client = join(feed)
    await ask(feed, client, "full", INFY, TCS)
    await ask(feed, client, "unsubscribe", INFY)
    await feed.distribute([ctx.publish(kite(full(INFY), full(TCS)))])
    assert client.link.packets() == [full(TCS)]


async def test_what_waits_for_a_slow_client_follows_what_it_wants(ctx: Context, feed: KiteFeed) -> None:
    client = join(feed)
    await ask(feed, client, "full", INFY, TCS, NIFTY)
    client.link.clogged = True
    await feed.distribute([ctx.publish(kite(full(INFY, 1), full(TCS, 1), full(NIFTY, 1)))])
    await ask(feed, client, "unsubscribe", INFY)
    await ask(feed, client, "ltp", TCS)
    client.link.clogged = False
    client.catch_up()
    assert client.link.packets() == [full(TCS, 1)[:LTP], full(NIFTY, 1)]


async def test_rows_of_other_sources_arrive_as_kite_packets(ctx: Context, feed: KiteFeed) -> None:
    ctx.table = {INFY: Instrument("other", INFY, "NSE", "INFY")}
    client = join(feed)
    await ask(feed, client, "ltp", INFY)
    batch = ctx.publish(Batch.of([Row(INFY, last_price=15.5), Row(TCS, last_price=1.0)]), "other")
    await feed.distribute([batch])
    expected = INFY.to_bytes(4) + (1550).to_bytes(4)
    assert client.link.packets() == [expected]
    await ask(feed, join(feed, "2"), "full", TCS)
    again = join(feed, "3")
    await ask(feed, again, "quote", INFY)
    assert again.link.packets() == [expected.ljust(QUOTE, b"\0")]


async def test_what_no_packet_can_hold_is_counted(ctx: Context, feed: KiteFeed) -> None:
    ctx.table = {INFY: Instrument("other", INFY, "NSE", "INFY")}
    client = join(feed)
    await ask(feed, client, "ltp", INFY)
    await feed.distribute([ctx.publish(Batch.of([Row(INFY)]), "other")])
    feed.leave(client)
    await ask(feed, join(feed, "2"), "ltp", INFY)
    assert ctx.counts == {"kite_unfit": 2}


async def test_equal_tokens_of_two_namespaces_are_two_instruments(ctx: Context, feed: KiteFeed) -> None:
    client = join(feed)
    await ask(feed, client, "full", INFY)
    await feed.distribute([ctx.publish(kite(full(INFY, 1))), ctx.publish(kite(full(INFY, 2)), "replay")])
    assert client.link.packets() == [full(INFY, 1)]


async def test_a_key_sees_what_it_may(ctx: Context, feed: KiteFeed) -> None:
    ctx.publish(kite(full(INFY), full(SBIN_BSE)))
    client = join(feed, instruments={"NSE"})
    await ask(feed, client, "full", INFY, SBIN_BSE)
    assert client.link.packets() == [full(INFY)]
    assert client.link.texts == [
        {"type": "error", "data": "1 instruments left out: this key may not see them"}
    ]
    await feed.distribute([ctx.publish(kite(full(SBIN_BSE, 2)))])
    assert client.link.packets() == []
    assert client.wants.modes == {INFY: "full"}


async def test_the_surplus_is_told_and_the_rest_goes_on(ctx: Context, feed: KiteFeed) -> None:
    client = join(feed, limit=2)
    await ask(feed, client, "full", INFY, TCS, NIFTY, SBIN_BSE)
    assert client.link.texts == [{"type": "error", "data": "2 instruments left out: a connection may have 2"}]
    await feed.distribute([ctx.publish(kite(full(INFY), full(NIFTY)))])
    assert client.link.packets() == [full(INFY)]


async def test_what_no_dump_knows_yet_comes_when_one_does(ctx: Context, feed: KiteFeed) -> None:
    table, ctx.table = ctx.table, {}
    open_to_all, narrowed = join(feed, "1"), join(feed, "2", instruments={"BSE"})
    for client in (open_to_all, narrowed):
        await ask(feed, client, "full", INFY, SBIN_BSE)
    await feed.refresh()
    ctx.publish(kite(full(INFY), full(SBIN_BSE)))
    ctx.table = table
    await feed.refresh()
    assert open_to_all.link.packets() == [full(INFY), full(SBIN_BSE)]
    assert narrowed.link.packets() == [full(SBIN_BSE)]
    assert len(narrowed.link.texts) == 1
    await feed.refresh()
    ctx.table = dict(table)
    await feed.refresh()
    assert open_to_all.link.packets() == []


async def test_nameless_instruments_are_for_keys_that_may_see_everything(
    ctx: Context, feed: KiteFeed
) -> None:
    named, ctx.table = ctx.table, {INFY: Instrument("kite", INFY, "", "")}
    open_to_all, narrowed = join(feed, "1"), join(feed, "2", instruments={"NSE"})
    for client in (open_to_all, narrowed):
        await ask(feed, client, "full", INFY)
    await feed.distribute([ctx.publish(kite(full(INFY, 1)))])
    assert open_to_all.link.packets() == [full(INFY, 1)]
    assert (narrowed.link.packets(), narrowed.link.texts) == ([], [])
    ctx.table = named
    await feed.refresh()
    assert narrowed.link.packets() == [full(INFY, 1)]


async def test_an_instrument_that_moves_to_another_namespace_is_followed(
    ctx: Context, feed: KiteFeed
) -> None:
    client = join(feed)
    await ask(feed, client, "full", INFY)
    ctx.table = {INFY: Instrument("other", INFY, "NSE", "INFY")}
    await feed.refresh()
    await feed.distribute([ctx.publish(kite(full(INFY, 1))), ctx.publish(kite(full(INFY, 2)), "other")])
    assert client.link.packets() == [full(INFY, 2)]


async def test_upstream_hears_once_of_what_came_in_several_messages(
    ctx: Context, feed: KiteFeed, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    nursery.start_soon(feed.follow)
    client, other = join(feed, "1"), join(feed, "2")
    await ask(feed, client, "subscribe", INFY, TCS)
    await ask(feed, client, "full", INFY)
    await ask(feed, other, "ltp", INFY)
    await wait_all_tasks_blocked()
    assert ctx.wants == {}
    await trio.sleep(0.1)
    assert ctx.wants == {"1": {"NSE:INFY": "full", "NSE:TCS": "quote"}, "2": {"NSE:INFY": "ltp"}}
    await ask(feed, client, "unsubscribe", INFY)
    await trio.sleep(0.1)
    assert ctx.wants["1"] == {"NSE:TCS": "quote"}
    await ask(feed, client, "subscribe", INFY)
    feed.leave(client)
    await trio.sleep(0.1)
    assert ctx.wants == {"2": {"NSE:INFY": "ltp"}}


async def test_nothing_is_wanted_for_a_client_that_left_while_others_were_told_of(
    ctx: Context, feed: KiteFeed, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    clients = [join(feed, str(n)) for n in range(2)]
    for client in clients:
        await ask(feed, client, "full", INFY)
    told = ctx.set

    def leave_meanwhile(owner: str, items: Mapping[Instrument, str]) -> dict[str, str]:
        for client in clients:
            if client.link.id != owner:
                feed.leave(client)
        return told(owner, items)

    ctx.set = leave_meanwhile  # type: ignore[method-assign]
    nursery.start_soon(feed.follow)
    await trio.sleep(0.1)
    assert list(ctx.wants) == ["0"]


async def test_what_upstream_cannot_bring_is_told(
    ctx: Context, feed: KiteFeed, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    nursery.start_soon(feed.follow)
    ctx.too_much = {"NSE:TCS", "BSE:SBIN"}
    client = join(feed)
    await ask(feed, client, "full", INFY, TCS, SBIN_BSE)
    await trio.sleep(0.1)
    assert client.link.texts == [{"type": "error", "data": "2 instruments cannot be had: over_capacity"}]


async def test_orders_and_notices_go_to_every_key_that_may_see_everything(
    ctx: Context, feed: KiteFeed
) -> None:
    clients = [join(feed, "1"), join(feed, "2"), join(feed, "3", instruments={"NSE"})]
    records = [
        Order(data={"order_id": "1"}),
        Notice(kind="error", data="something is wrong"),
        Notice(kind="message", data={"text": "hello"}),
        Gap(reason="reset"),
    ]
    await feed.distribute([ctx.publish(Batch.control(*records))])
    told = [
        {"type": "order", "data": {"order_id": "1"}},
        {"type": "error", "data": "something is wrong"},
        {"type": "message", "data": {"text": "hello"}},
    ]
    assert [client.link.texts for client in clients] == [told, told, []]


async def test_orders_can_be_kept_from_all(ctx: Context) -> None:
    feed = KiteFeed(ctx, ctx, orders=False)
    client = join(feed)
    await feed.distribute([ctx.publish(Batch.control(Order(data={"order_id": "1"})))])
    assert client.link.texts == []


async def test_frames_are_built_once_for_clients_alike(ctx: Context, feed: KiteFeed) -> None:
    clients = [join(feed, str(n)) for n in range(40)]
    for client in clients:
        await ask(feed, client, "full", INFY, TCS)
    await feed.refresh()
    offered: list[bytes] = []
    for client in clients:
        client.link.offer = lambda frame: offered.append(frame) or True  # type: ignore[method-assign]
    await feed.distribute([ctx.publish(kite(full(INFY), full(TCS)))])
    assert len(offered) == 40
    assert len({id(one) for one in offered}) == 1


async def test_many_tokens_leave_others_their_turn(ctx: Context, feed: KiteFeed) -> None:
    ctx.table = {token: Instrument("kite", token, "NSE", f"S{token}") for token in range(3000)}
    ctx.publish(kite(*[full(token) for token in range(3000)]))
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count_turns)
        client = join(feed)
        await ask(feed, client, "quote", *range(3000))
        nursery.cancel_scope.cancel()
    assert turns >= 4
    assert [prefix(full(token), "quote") for token in range(3000)] == client.link.packets()


async def test_nothing_is_left_of_clients_that_have_gone(ctx: Context, feed: KiteFeed) -> None:
    clients = [join(feed, str(n)) for n in range(5)]
    for client in clients:
        await ask(feed, client, "full", INFY, TCS)
    clients[0].merged = 7
    for client in clients:
        feed.leave(client)
        feed.leave(client)
    assert (len(feed.clients), feed._told, [len(fan) for fan in feed._fans.values()]) == (0, {}, [0])
    assert ctx.counts["kite_merged"] == 14
    await ask(feed, clients[0], "full", NIFTY)  # its last message was still being looked at
    assert list(feed._fans["kite"].wanted()) == []
