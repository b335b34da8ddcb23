"""What the broker's client in Go would do with our bytes. It looks before it leaps nowhere: each slip ends its program.

`GoClient` walks messages as that client does, and raises where it would panic. Further it leaves a server that is
silent for five seconds.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tickerd.plugin import AnyRecord, Batch, Instrument, Notice, Order, Position, Principal, Row, Tick
from tickerd.testing.fakes import stamped
from tickerd.wire.kite import KITE, frame, text
from tickerd.wire.kite.layout import FULL, INDEX_FULL, INDEX_QUOTE, LTP, QUOTE
from tickerd_plugins.websocket.kite_client import KiteClient
from tickerd_plugins.websocket.kite_feed import KiteFeed

TOKENS = (408_065, 2_953_217, 256_265)
LENGTHS = (LTP, INDEX_QUOTE, INDEX_FULL, QUOTE, FULL)


class Panic(Exception):
    """It would have ended."""


class GoClient:
    """Reads WebSocket frames as they are on the wire: unfragmented and unmasked."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self.heartbeats = 0
        self.texts: list[Any] = []

    def frame(self, raw: bytes) -> None:
        """One frame."""
        assert raw[0] in (0x81, 0x82), "a text or binary frame that is whole"
        length, start = raw[1], 2
        if length == 126:
            length, start = int.from_bytes(raw[2:4]), 4
        elif length == 127:
            length, start = int.from_bytes(raw[2:10]), 10
        assert len(raw) == start + length, "nothing is missing and nothing is left"
        if raw[0] == 0x81:
            self.text(raw[start:])
        else:
            self.binary(raw[start:])

    def binary(self, message: bytes) -> None:
        """One binary message."""
        if len(message) < 2:
            self.heartbeats += len(message)
            return
        count, at = int.from_bytes(message[:2]), 2
        for _ in range(count):
            length = int.from_bytes(_slice(message, at, at + 2))
            self.packet(_slice(message, at + 2, at + 2 + length))
            at += 2 + length
        assert at == len(message), "nothing is left over, which this client would not see"

    def packet(self, packet: bytes) -> None:
        """One packet: what is no known length is read as a quote."""
        _slice(packet, 0, 8)
        if len(packet) not in (LTP, INDEX_QUOTE, INDEX_FULL):
            _slice(packet, 40, 44)
        assert len(packet) in LENGTHS, "a length that no mode has is read as a quote that it is not"
        self.packets.append(packet)

    def text(self, message: bytes) -> None:
        """One text message. Names match whatever their case; the last of equal ones counts."""
        try:
            found = json.loads(message)
        except ValueError:
            return
        if not isinstance(found, dict):
            return
        lower = {name.lower(): value for name, value in found.items()}
        if lower.get("type") == "error" and not isinstance(lower.get("data"), str):
            raise Panic("interface conversion: the data of an error is not a string")
        self.texts.append(found)


def _slice(data: bytes, start: int, end: int) -> bytes:
    if end > len(data):
        raise Panic(f"slice bounds out of range [:{end}] with capacity {len(data)}")
    return data[start:end]


class Link:
    """Hands everything to a Go client; can be clogged."""

    id, last_sent, is_open, clogged = "1", 0.0, True, False

    def __init__(self, go: GoClient) -> None:
        self._go = go

    def offer(self, *parts: bytes) -> bool:
        if not self.clogged:
            self._go.frame(b"".join(parts))
        return not self.clogged

    def send(self, *parts: bytes) -> None:
        self._go.frame(b"".join(parts))


class Context:
    """A hub in which everything is an instrument of Kite's."""

    def __init__(self) -> None:
        self.seq, self.newest = 0, dict[int, Tick]()

    @property
    def position(self) -> Position:
        return Position(1, self.seq)

    @property
    def instruments(self) -> "Context":
        return self

    def find(self, key: str | int) -> Instrument:
        return Instrument("kite", int(key), "NSE", str(key))

    def tables(self) -> list[object]:
        return []

    def latest(self, instruments: Iterable[Instrument]) -> list[Tick]:
        return [self.newest[one.token] for one in instruments if one.token in self.newest]

    def count(self, reason: str, n: int = 1) -> None:
        pass

    def set(self, owner: str, items: Mapping[Instrument, str]) -> dict[str, str]:
        return {}

    def drop(self, owner: str) -> None:
        pass

    def publish(self, batch: Batch) -> Batch:
        stamped(batch, self.seq + 1)
        self.seq += len(batch)
        if batch.origin is not None:
            batch.origin.namespace = "kite"
        self.newest |= {tick.instrument_token: tick for tick in batch.ticks}
        return batch


def begin() -> tuple[Context, KiteFeed, KiteClient, GoClient, Link]:
    ctx, go = Context(), GoClient()
    feed, link = KiteFeed(ctx, ctx, orders=True), Link(go)
    client = KiteClient(link, Principal(id="key 1", scopes=frozenset({"ticks:read"})), 3)
    feed.join(client)
    return ctx, feed, client, go, link


async def run(feed: KiteFeed, client: KiteClient, steps: Iterable[Any], ctx: Context, link: Link) -> None:
    for step in steps:
        if isinstance(step, Batch):
            await feed.distribute([ctx.publish(step)])
        elif isinstance(step, str):
            await feed.ask(client, step)
        else:
            link.clogged = step
            if not step:
                client.catch_up()


def _packet(token: int, length: int, price: int) -> bytes:
    return (token.to_bytes(4) + price.to_bytes(4)).ljust(length, b"\1")


GOOD = st.builds(_packet, st.sampled_from(TOKENS), st.sampled_from(LENGTHS), st.integers(0, 3))
ODD = st.binary(max_size=60)
RAW = st.one_of(
    st.lists(GOOD, max_size=5).map(frame.join),
    st.lists(st.one_of(GOOD, ODD), max_size=5).map(frame.join),
    st.tuples(st.lists(GOOD, min_size=1, max_size=5).map(frame.join), st.integers(0, 80)).map(
        lambda pair: pair[0][: -pair[1] or None]
    ),
    ODD,
)
READS = RAW.map(lambda raw: Batch.read(KITE, raw, connection=1, ts_recv=1))
ROWS = st.lists(
    st.builds(
        Row,
        st.sampled_from([*TOKENS, 2**33]),
        mode=st.sampled_from(["ltp", "quote", "full", "odd"]),
        last_price=st.one_of(st.none(), st.floats()),
        volume_traded=st.one_of(st.none(), st.integers(-1, 2**40)),
    ),
    max_size=3,
).map(Batch.of)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "TYPE", "Data", "data", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
RECORDS = st.one_of(
    st.builds(lambda data: Order(data=data), st.dictionaries(st.text(max_size=3), JSON, max_size=3)),
    st.builds(
        lambda kind, data: Notice(kind=kind, data=data),
        st.sampled_from(["error", "message", "unknown"]),
        JSON,
    ),
)
REQUESTS = st.one_of(
    st.lists(st.sampled_from(TOKENS)).map(text.subscribe),
    st.lists(st.sampled_from(TOKENS)).map(text.unsubscribe),
    st.builds(
        text.set_mode, st.sampled_from(["ltp", "quote", "full"]), st.lists(st.sampled_from([*TOKENS, 1, 2]))
    ),
    JSON.map(json.dumps),
)
STEPS = st.lists(
    st.one_of(READS, READS, ROWS, RECORDS.map(Batch.control), REQUESTS, REQUESTS, st.booleans()), max_size=25
)


@given(STEPS)
def test_whatever_upstream_sends_it_lives(steps: list[Any]) -> None:
    ctx, feed, client, _, link = begin()
    trio.run(run, feed, client, [text.set_mode("full", TOKENS), *steps, False], ctx, link)


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 7, 9, 43, 45, 183, 185])
async def test_a_packet_of_unknown_length_is_left_out_and_the_others_are_sent(length: int) -> None:
    ctx, feed, client, go, _ = begin()
    await feed.ask(client, text.set_mode("full", TOKENS))
    good = _packet(TOKENS[0], FULL, 1)
    raw = frame.join([bytes(length), good, bytes(length)])
    await feed.distribute([ctx.publish(Batch.read(KITE, raw, connection=1, ts_recv=1))])
    assert go.packets == [good]


@pytest.mark.parametrize("cut", [1, 100, 183, 184, 185, 186, 187, 300])
async def test_of_a_truncated_frame_the_whole_packets_are_sent(cut: int) -> None:
    ctx, feed, client, go, _ = begin()
    await feed.ask(client, text.set_mode("full", TOKENS))
    packets = [_packet(token, FULL, 1) for token in TOKENS]
    raw = frame.join(packets)[:-cut]
    await feed.distribute([ctx.publish(Batch.read(KITE, raw, connection=1, ts_recv=1))])
    assert go.packets == packets[: 3 - (cut + 185) // 186]


async def test_nothing_to_send_is_no_frame() -> None:
    ctx, feed, client, go, _ = begin()
    await feed.ask(client, text.subscribe(TOKENS))
    await feed.ask(client, text.unsubscribe(TOKENS))
    packets = [_packet(token, FULL, 1) for token in TOKENS]
    batch = Batch.read(KITE, frame.join(packets), connection=1, ts_recv=1)
    await feed.distribute([ctx.publish(batch), ctx.publish(Batch.control(Order(data={})))])
    client.catch_up()
    assert (go.packets, go.heartbeats, go.texts) == ([], 0, [{"type": "order", "data": {}}])


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (Notice(kind="error", data="text"), [{"type": "error", "data": "text"}]),
        (Notice(kind="error", data={"code": 1}), [{"type": "error", "data": '{"code":1}'}]),
        (Notice(kind="unknown", data={"TYPE": "error", "data": 1}), []),
        (
            Notice(kind="unknown", data={"type": "new", "Type": "error", "Data": 1}),
            [{"type": "new", "data": None}],
        ),
    ],
)
async def test_an_error_is_always_a_text(record: AnyRecord, told: list[Any]) -> None:
    ctx, feed, _, go, _ = begin()
    await feed.distribute([ctx.publish(Batch.control(record))])
    assert go.texts == told


@pytest.mark.parametrize(
    "message", [b"\0\1", b"\0\1\0", b"\0\1\0\x08", b"\0\1\0\x0a" + bytes(10), b"\0\2\0\x08" + bytes(8)]
)
def test_the_walk_panics_where_the_client_does(message: bytes) -> None:
    with pytest.raises(Panic):
        GoClient().binary(message)
