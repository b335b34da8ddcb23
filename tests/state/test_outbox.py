"""The outbox: kept with the cursor in one step, in order, capped, settled, spread, and filled again by a redrive."""

import pytest

from tickerd.plugin import Message, Position
from tickerd.state import cursors, deadletters, outbox
from tickerd.state.outbox import OVERHEAD, Later, Settled, Standing, Taken

SINK = "alerts"
ROOM = 2**20


def message(number, body=b"{}"):
    return Message(f"msg_{number}", Position(1, number), "feed.gap", body)


@pytest.fixture
def put(connection):
    """Put messages with these numbers in, at a time."""

    def do(*numbers, now_ns=1000, body=b"{}", max_bytes=ROOM, cursor=None, sink=SINK, wait_ns=0):
        messages = [message(number, body) for number in numbers]
        return outbox.take_in(
            connection, sink, messages, cursor=cursor, max_bytes=max_bytes, now_ns=now_ns, wait_ns=wait_ns
        )

    return do


@pytest.fixture
def due(connection):
    def find(until_ns=10_000, limit=100, max_bytes=ROOM, **more):
        found = outbox.due(connection, SINK, until_ns=until_ns, limit=limit, max_bytes=max_bytes, **more)
        return [one.message.position.seq for one in found]

    return find


@pytest.fixture
def rows(connection):
    """Number of the message → its row."""
    return lambda: {
        one.message.position.seq: one.row
        for one in outbox.due(connection, SINK, until_ns=2**62, limit=1000, max_bytes=ROOM)
    }


def standing(connection):
    """The totals, which triggers keep, must be what a count would find."""
    found = outbox.standing(connection, SINK)
    query = "SELECT count(*), coalesce(sum(size), 0) FROM outbox WHERE sink = ?"
    assert (found.messages, found.bytes) == connection.execute(query, (SINK,)).fetchone()
    return found


def test_a_message_comes_back_as_it_went_in(connection, put):
    put(7, body=b'{"a": 1}', now_ns=5000)
    (one,) = outbox.due(connection, SINK, until_ns=5000, limit=9, max_bytes=ROOM)
    assert one.message == message(7, b'{"a": 1}')
    assert one[2:] == (0, 5000, None, 5000, False)
    assert standing(connection) == Standing(1, OVERHEAD + 8, None, 0)


def test_messages_and_the_cursor_are_kept_in_one_step(connection, put):
    assert put(1, 2, cursor=("sink.alerts", Position(1, 2), b"kept")) == Taken(2, 0)
    found = cursors.get(connection, "sink.alerts")
    assert found is not None
    assert (found.position, found.kept) == (Position(1, 2), b"kept")
    put(3)
    found = cursors.get(connection, "sink.alerts")
    assert found is not None
    assert found.position == Position(1, 2)  # none was given


def test_a_message_that_is_there_is_not_put_in_twice(connection, put):
    put(1)
    assert put(1, 2, body=b"other") == Taken(1, 0)
    first = outbox.due(connection, SINK, until_ns=9999, limit=9, max_bytes=ROOM)[0]
    assert first.message.body == b"{}"  # what may have been sent under this id stays
    assert standing(connection).messages == 2


def test_sinks_do_not_see_each_others_messages(connection, put, due):
    put(1)
    put(1, 2, sink="other")
    assert due() == [1]
    assert outbox.forget(connection, "other") == 2
    assert due() == [1]
    assert outbox.standing(connection, "other") == Standing()


def test_the_first_attempt_may_have_to_wait(put, due, connection):
    put(1, now_ns=1000, wait_ns=500)
    assert due(until_ns=1499) == []
    assert due(until_ns=1500) == [1]
    assert outbox.next_due(connection, SINK, after_ns=1000) == 1500
    assert outbox.next_due(connection, SINK, after_ns=1500) is None


def test_a_page_has_limits_and_at_least_one_message(connection, put, due):
    put(1, 2, 3, body=b"x" * 100)
    assert due(limit=2) == [1, 2]
    assert due(max_bytes=250) == [1, 2]
    assert due(max_bytes=1) == [1]
    found = outbox.in_order(connection, SINK, after=0, limit=9, max_bytes=1)
    assert [one.message.position.seq for one in found] == [1]


def test_what_is_settled_goes_waits_or_becomes_a_dead_letter(connection, put, due, rows):
    put(1, 2, 3)
    row = rows()
    third = outbox.due(connection, SINK, until_ns=9999, limit=9, max_bytes=ROOM)[2]
    letter = outbox.letter_of(SINK, third, "status 500", 7000, attempts=9, response=b"oh no")
    later = Later(row[2], attempts=1, tried_ns=2000, due_ns=60_000, aside=False)
    outbox.settle(connection, SINK, Settled([row[1]], [later], [(row[3], letter)], 2000, 4))
    assert due() == []
    (left,) = outbox.due(connection, SINK, until_ns=60_000, limit=9, max_bytes=ROOM)
    assert left[2:] == (1, 1000, 2000, 60_000, False)
    assert standing(connection)[2:] == (2000, 4)
    (line,) = deadletters.page(connection, SINK)
    kept = deadletters.get(connection, SINK, line.id)
    assert kept is not None
    assert (kept.message_id, kept.payload, kept.response) == ("msg_3", b"{}", b"oh no")
    assert (kept.position, kept.attempts, kept.first_ns, kept.last_ns) == (Position(1, 3), 9, 1000, 7000)


def test_what_was_passed_by_is_not_in_the_order_any_more(connection, put, due, rows):
    put(1, 2, 3)
    later = Later(rows()[1], attempts=2, tried_ns=2000, due_ns=3000, aside=True)
    outbox.settle(connection, SINK, Settled(later=[later]))
    found = outbox.in_order(connection, SINK, after=0, limit=9, max_bytes=ROOM)
    assert [one.message.position.seq for one in found] == [2, 3]
    assert due(only_aside=True) == [1]
    assert outbox.next_due(connection, SINK, after_ns=0, only_aside=True) == 3000
    assert outbox.next_due(connection, SINK, after_ns=0) == 1000
    after = outbox.in_order(connection, SINK, after=rows()[2], limit=9, max_bytes=ROOM)
    assert [one.message.position.seq for one in after] == [3]


def test_beyond_its_room_the_oldest_become_dead_letters(connection, put, due):
    size = OVERHEAD + 2
    put(1, 2, 3, max_bytes=3 * size)
    assert put(4, 5, max_bytes=3 * size) == Taken(2, 2)
    assert due() == [3, 4, 5]
    lines = deadletters.page(connection, SINK)
    assert [line.seq for line in lines] == [1, 2]
    assert "full" in lines[0].reason
    assert standing(connection).bytes == 3 * size


def test_after_a_restart_what_had_failed_is_spread_and_nothing_else(connection, put, rows):
    put(*range(1, 41))
    row = rows()
    failed = [Later(row[n], attempts=1, tried_ns=1, due_ns=1500, aside=False) for n in range(1, 31)]
    failed.append(Later(row[31], attempts=1, tried_ns=1, due_ns=99_000, aside=False))
    outbox.settle(connection, SINK, Settled(later=failed))
    assert outbox.spread(connection, SINK, 2000, 10_000) == 30
    found = outbox.due(connection, SINK, until_ns=2**62, limit=99, max_bytes=ROOM)
    when = {one.message.position.seq: one.due_ns for one in found}
    assert all(2000 <= when[n] <= 12_000 for n in range(1, 31))
    assert len({when[n] for n in range(1, 31)}) > 5
    assert when[31] == 99_000
    assert all(when[n] == 1000 for n in range(32, 41))


def test_dead_letters_that_somebody_wants_offered_again_go_back_under_their_ids(connection, put, due, rows):
    put(1)
    (one,) = outbox.due(connection, SINK, until_ns=9999, limit=9, max_bytes=ROOM)
    bare = deadletters.Letter(sink=SINK, position=Position(1, 9), reason="lost", first_ns=1, last_ns=1)
    letters = [(one.row, outbox.letter_of(SINK, one, "gone", 1, attempts=9)), (0, bare)]
    outbox.settle(connection, SINK, Settled(given_up=letters))
    assert due() == []
    deadletters.request_redrive(connection, SINK, now_ns=3000)
    assert outbox.take_back(connection, SINK, limit=100, now_ns=4000) == 2
    (again,) = outbox.due(connection, SINK, until_ns=4000, limit=9, max_bytes=ROOM)
    assert (again.message, again.attempts) == (message(1), 0)
    (left,) = deadletters.page(connection, SINK)
    assert (left.seq, left.redrive_requested_ns) == (9, None)
    assert "not kept" in left.reason
    assert outbox.take_back(connection, SINK, limit=100, now_ns=4000) == 0
    assert standing(connection).messages == 1
