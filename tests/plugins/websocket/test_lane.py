"""What waits for a slow client, what is merged, dropped and told."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
import trio
import trio.testing

from tickerd_plugins.websocket.encoding import ENCODINGS, JSON, Body
from tickerd_plugins.websocket.groups import ROWS, Kind, Row, bodies
from tickerd_plugins.websocket.lane import Backpressure, Lane

LIVE = Kind(ENCODINGS[JSON], False, 0.0)
ALL = Kind(ENCODINGS[JSON], True, 0.0)
LIMIT = Backpressure(1000, 60.0, True)


class Outlet:
    """Takes so many frames, and remembers what it was told."""

    def __init__(self, room: int = 0) -> None:
        self.room = room
        self.is_open = True
        self.sent: list[Body] = []
        self.gaps: list[dict[str, Any]] = []

    def offer(self, body: Body) -> bool:
        if not self.room:
            return False
        self.room -= 1
        self.sent.append(body)
        return True

    def tell_gap(self, **about: Any) -> None:
        self.gaps.append(about)

    def evict(self) -> None:
        self.is_open = False


class Fixture:
    def __init__(self, kind: Kind, limit: Backpressure = LIMIT, room: int = 0) -> None:
        self.outlet = Outlet(room)
        self.counts: Counter[str] = Counter()
        self.lane = Lane(kind, self.outlet, limit, lambda reason, n: self.counts.update({reason: n}))

    def deliver(self, *rows: Row) -> None:
        self.lane.deliver(rows, bodies(self.lane.kind.encoding, rows))

    @property
    def sent(self) -> list[int]:
        return [int(n) for body in self.outlet.sent for n in body.data[1:-3].split(b"],[")]


def row(seq: int, ident: int = 1) -> Row:
    return b"%d" % seq, seq, ident


async def test_rows_go_out_while_there_is_room() -> None:
    one = Fixture(LIVE, room=9)
    one.deliver(row(1), row(2, 2))
    assert one.sent == [1, 2]
    assert not one.lane.waits


async def test_the_newest_of_each_waits_and_the_rest_is_counted() -> None:
    one = Fixture(LIVE)
    one.deliver(row(1), row(2, 2))
    one.deliver(row(3))
    one.outlet.room = 9
    one.deliver(row(4))  # what waits goes first
    assert one.sent == []
    one.lane.catch_up()
    assert one.sent == [2, 4]
    assert one.counts == {"rows_merged": 2}
    assert one.outlet.gaps == [], "it was not late"


async def test_who_was_late_is_told_how_much_was_merged(autojump_clock: trio.testing.MockClock) -> None:
    one = Fixture(LIVE)
    for seq in range(1, 6):
        one.deliver(row(seq))
        await trio.sleep(0.6)
    one.outlet.room = 1
    one.lane.catch_up()
    assert one.outlet.gaps == [{"reason": "slow_client", "since": 1, "until": 4, "conflated": 4}]
    one.outlet.room = 1
    one.deliver(row(9))
    one.lane.catch_up()
    assert len(one.outlet.gaps) == 1


async def test_what_does_not_fit_again_waits_again() -> None:
    one = Fixture(LIVE)
    one.deliver(*(row(seq, seq) for seq in range(1, 2 * ROWS + 2)))
    one.outlet.room = 1
    one.lane.catch_up()
    assert one.sent == list(range(1, ROWS + 1))
    one.outlet.room = 9
    one.lane.catch_up()
    assert one.sent == list(range(1, 2 * ROWS + 2))


async def test_every_tick_waits_where_every_tick_counts() -> None:
    one = Fixture(ALL)
    one.deliver(row(1))
    one.deliver(row(2), row(3))
    one.outlet.room = 1
    one.lane.catch_up()
    one.deliver(row(4))
    one.outlet.room = 9
    one.lane.catch_up()
    assert one.sent == [1, 2, 3, 4]
    assert one.lane._size == 0


async def test_too_much_of_it_ends_the_client() -> None:
    one = Fixture(ALL, Backpressure(10, 60.0, True))
    one.deliver(*(row(seq) for seq in range(11)))
    assert not one.outlet.is_open
    assert not one.lane.waits
    one.deliver(row(12))
    assert not one.lane.waits


async def test_too_old_of_it_ends_the_client(autojump_clock: trio.testing.MockClock) -> None:
    one = Fixture(ALL)
    one.deliver(row(1))
    await trio.sleep(61)
    one.deliver(row(2))
    assert not one.outlet.is_open


async def test_or_the_oldest_is_dropped_counted_and_told() -> None:
    one = Fixture(ALL, Backpressure(3, 60.0, False))
    for seq in range(1, 6):
        one.deliver(row(seq))
    one.deliver(row(10), row(11), row(12), row(13))
    one.outlet.room = 9
    one.lane.catch_up()
    assert one.sent == []
    assert one.outlet.gaps == [{"reason": "slow_client", "since": 1, "until": 13, "dropped": 9}]
    assert one.counts["rows_dropped"] == 9


@pytest.mark.parametrize("kind", [LIVE, ALL])
async def test_what_was_let_go_does_not_wait_any_more(kind: Kind) -> None:
    one = Fixture(kind)
    one.deliver(row(1), row(2, 2))
    one.deliver(row(3))
    one.lane.forget({1})
    one.outlet.room = 9
    one.lane.catch_up()
    assert one.sent == [2]
    assert one.lane._size == 0


async def test_everything_waits_while_the_lane_is_held() -> None:
    one = Fixture(ALL, room=9)
    one.lane.held = True
    one.deliver(row(1))
    one.lane.catch_up()
    assert one.sent == []
    one.lane.held = False
    one.lane.catch_up()
    assert one.sent == [1]


_: type[Sequence[Row]] = Sequence
