"""The newest batches in memory."""

import pytest

from tickerd.plugin import Batch, Position, Row
from tickerd.testing import stamped
from tickerd_plugins.websocket.backlog import Backlog, Overtaken, Recent


def batch(seq: int) -> Batch:
    return stamped(Batch.of([Row(1, last_price=1.0)]), seq)


def filled(size: int = 2**20, count: int = 10) -> Backlog:
    backlog = Backlog(size, Position(1, 0))
    for seq in range(1, count + 1):
        backlog.add(batch(seq))
    return backlog


async def test_it_gives_what_came_after_a_position_also_later() -> None:
    backlog = filled()
    history = backlog.history(Position(1, 7))
    assert history is not None
    assert [one.last.seq for one in await history.read(Position(1, 9), 100)] == [8, 9]
    backlog.add(batch(11))
    assert [one.last.seq for one in await history.read(Position(1, 11), 100)] == [10, 11]
    assert await history.read(Position(1, 20), 100) == []
    assert history.at == Position(1, 20)


async def test_so_many_ticks_are_read_at_once() -> None:
    history = filled().history(Position(1, 0))
    assert history is not None
    assert len(await history.read(Position(1, 10), 3)) == 3


@pytest.mark.parametrize("position", [Position(2, 1), Position(0, 1), Position(1, 11)])
def test_positions_that_it_never_had_are_refused(position: Position) -> None:
    assert filled().history(position) is None


async def test_it_is_bounded_and_knows_what_it_has_lost() -> None:
    backlog = filled(size=2000, count=100)
    assert backlog._held <= 2000
    assert backlog.history(Position(1, 50)) is None
    assert backlog.history(Position(1, 99)) is not None
    with pytest.raises(Overtaken):
        await Recent(backlog, Position(1, 50)).read(Position(1, 100), 100)


def test_of_no_size_it_keeps_nothing_but_where_it_stands() -> None:
    backlog = filled(size=0, count=3)
    assert backlog.history(Position(1, 2)) is None
    assert backlog.history(Position(1, 3)) is not None


def test_after_a_hole_it_begins_anew() -> None:
    backlog = filled()
    backlog.clear(Position(1, 12))
    assert backlog.history(Position(1, 10)) is None
    backlog.add(batch(13))
    assert backlog.history(Position(1, 12)) is not None
