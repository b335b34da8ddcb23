"""The audit trail."""

import sqlite3

import pytest

from tickerd.state import audit
from tickerd.state.audit import Change, Entry


def change(when_ns=1, **fields):
    plain = {"when_ns": when_ns, "who": "uid 1000", "what": "dlq.drop", "origin": "cli"}
    return Change(**plain | fields)


def test_an_entry_holds_what_was_there_before_and_after(connection):
    number = audit.append(connection, change(before={"a": 1}, after=[None, "b"]))
    (entry,) = audit.page(connection)
    assert entry == Entry(
        id=number,
        when_ns=1,
        who="uid 1000",
        what="dlq.drop",
        origin="cli",
        before={"a": 1},
        after=[None, "b"],
    )


def test_pages_go_from_the_newest_to_the_oldest(connection):
    for when in range(5):
        audit.append(connection, change(when))
    first = audit.page(connection, limit=2)
    second = audit.page(connection, before=first[-1].id, limit=2)
    assert [one.when_ns for one in (*first, *second)] == [4, 3, 2, 1]
    assert audit.page(connection, before=1) == []
    assert audit.page(connection, limit=-1) == []


def test_entries_are_never_rewritten(connection):
    audit.append(connection, change())
    with pytest.raises(sqlite3.IntegrityError, match="only added to"):
        connection.execute("UPDATE audit SET who = 'nobody'")


def test_the_oldest_make_room(connection, monkeypatch):
    monkeypatch.setattr(audit, "MOST", 3)
    numbers = [audit.append(connection, change(when)) for when in range(5)]
    assert numbers == [1, 2, 3, 4, 5]
    assert [one.when_ns for one in audit.page(connection)] == [4, 3, 2]


def test_a_value_that_is_too_long_is_told_by_its_length(connection):
    audit.append(connection, change(after="x" * audit.LONGEST))
    assert audit.page(connection)[0].after == {"left_out_bytes": audit.LONGEST + 2}


def test_no_text_is_ever_taken_for_sql(connection, hostile, dump):
    before = dump(connection)[""]
    value = hostile[:1000]
    audit.append(
        connection, change(who=hostile, what=hostile, origin=hostile, before=value, after={value: value})
    )
    (entry,) = audit.page(connection)
    assert (entry.who, entry.what, entry.origin) == (hostile, hostile, hostile)
    assert (entry.before, entry.after) == (value, {value: value})
    assert dump(connection)[""] == before
