"""Cursors: set, moved, listed, removed."""

from tickerd.plugin import Position
from tickerd.state import cursors


def test_a_cursor_is_what_was_put_last(connection):
    assert cursors.get(connection, "sink.a") is None
    cursors.put(connection, "sink.a", Position(2, 5), kept=b"\x00\xff", now_ns=7)
    assert cursors.get(connection, "sink.a") == ("sink.a", (2, 5), b"\x00\xff", 7)
    cursors.put(connection, "sink.a", Position(1, 9), now_ns=8)
    assert cursors.get(connection, "sink.a") == ("sink.a", (1, 9), b"", 8)
    assert isinstance(cursors.get(connection, "sink.a").position, Position)


def test_they_are_listed_by_name(connection):
    for name in ("b", "a"):
        cursors.put(connection, name, Position(1, 1), now_ns=1)
    assert [one.unit for one in cursors.every(connection)] == ["a", "b"]


def test_the_lowest_compares_epochs_before_numbers(connection):
    assert cursors.lowest(connection) is None
    for name, position in {"a": (2, 1), "b": (1, 999), "c": (3, 0)}.items():
        cursors.put(connection, name, Position(*position), now_ns=1)
    assert cursors.lowest(connection).unit == "b"
    assert cursors.remove(connection, "b")
    assert not cursors.remove(connection, "b")
    assert cursors.lowest(connection).unit == "a"


def test_no_text_is_ever_taken_for_sql(connection, hostile, dump):
    before = dump(connection)[""]
    cursors.put(connection, "bystander", Position(9, 9), now_ns=1)
    cursors.put(connection, hostile, Position(1, 1), kept=hostile.encode(), now_ns=1)
    assert cursors.get(connection, hostile) == (hostile, (1, 1), hostile.encode(), 1)
    assert cursors.lowest(connection).unit == hostile
    assert cursors.remove(connection, hostile)
    assert [one.unit for one in cursors.every(connection)] == ["bystander"]
    assert dump(connection)[""] == before
