"""What one client holds, and what is forgotten with it."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from tickerd.plugin import Batch, Instrument, Mode, Row
from tickerd.testing import stamped
from tickerd_plugins.websocket.client import Client, Held
from tickerd_plugins.websocket.encoding import ENCODINGS, JSON
from tickerd_plugins.websocket.groups import Groups, Kind
from tickerd_plugins.websocket.lane import Backpressure, Lane

A, B = Instrument("n", 1, "X", "A"), Instrument("n", 2, "X", "B")


class Connection:
    """Takes frames or does not."""

    deflates = False
    is_open = True
    clogged = False
    cleared: Callable[[], None]

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.ended = ""

    def offer(self, *parts: bytes) -> bool:
        if not self.clogged:
            self.frames.append(b"".join(parts))
        return not self.clogged

    def send(self, *parts: bytes) -> None:
        self.frames.append(b"".join(parts))

    def abort(self, reason: str) -> None:
        self.ended = f"cut {reason}"

    def close(self, code: int, reason: str) -> None:
        self.ended = f"{code} {reason}"


class Setup:
    def __init__(self) -> None:
        self.connection: Any = Connection()
        self.groups = Groups()
        self.counts: Counter[str] = Counter()
        self.client = Client(
            self.connection,
            ENCODINGS[JSON],
            self.groups,
            Backpressure(1000, 60, True),
            lambda reason, n: self.counts.update({reason: n}),
        )
        self.seq = 0

    def lane(self, interval: float = 0.0, *, stream: bool = False) -> Lane:
        return self.client.lane(Kind(ENCODINGS[JSON], stream, interval))

    def take(self, lane: Lane, *instruments: Instrument, mode: Mode = "ltp") -> None:
        self.client.take(lane, [(one.token, Held(one, mode, lane)) for one in instruments])

    def tick(self, *tokens: int) -> None:
        batch = stamped(Batch.of([Row(token, last_price=1.0) for token in tokens]), self.seq + 1)
        assert batch.origin is not None
        batch.origin.namespace = "n"
        self.seq += len(tokens)
        self.groups.route([batch])
        for group in self.groups.due((0.0, 0.1)):
            flight = group.take(self.groups.position)
            assert flight is not None
            for _ in flight:
                pass
            group.flight = None


async def test_what_is_let_go_does_not_come_when_the_client_can_take_more() -> None:
    one = Setup()
    one.take(one.lane(), A, B)
    one.connection.clogged = True
    one.tick(1, 2)
    one.client.drop([A.token])
    assert one.client.waits
    one.connection.clogged = False
    one.connection.cleared()
    (frame,) = one.connection.frames
    assert b'"rows":[[2,' in frame
    assert b"],[" not in frame
    assert list(one.client.held) == [B.token]


async def test_an_instrument_is_in_one_lane_at_a_time() -> None:
    one = Setup()
    slow, fast = one.lane(0.1), one.lane()
    assert one.lane() is fast
    one.take(slow, A, B)
    one.take(fast, A)
    one.tick(1, 2)
    assert len(one.connection.frames) == 2
    assert one.client.fs == 2
    one.client.leave()
    one.tick(1, 2)
    assert len(one.connection.frames) == 2
    assert len(one.groups) == 0


async def test_while_one_lane_fills_the_socket_the_next_one_waits() -> None:
    one = Setup()
    one.take(one.lane(), A)
    one.take(one.lane(0.1), B)
    one.connection.clogged = True
    one.tick(1, 2)
    one.connection.clogged = False
    offer = one.connection.offer

    def once(*parts: bytes) -> bool:
        taken = bool(offer(*parts))
        one.connection.clogged = True
        return taken

    one.connection.offer = once
    one.connection.cleared()
    assert len(one.connection.frames) == 1
    assert one.client.waits


async def test_who_cannot_be_written_to_is_cut_others_are_told() -> None:
    one = Setup()
    one.client.evict()
    assert one.connection.ended == "4008 slow_client"
    one.connection.clogged = True
    one.client.evict()
    assert one.connection.ended == "cut slow_client"


def test_errors_are_counted_by_their_code() -> None:
    one = Setup()
    one.client.fail("rate_limited", "slowly", id=3, temporary=True, retry_after_ms=5)
    assert one.counts == {"errors_rate_limited": 1}
    assert b'"temporary":true' in one.connection.frames[0]
