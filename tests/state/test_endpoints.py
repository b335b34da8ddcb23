"""Registrations of webhooks in the state file."""

from sqlite3 import Connection

from tickerd.state import endpoints
from tickerd.state.endpoints import OldSecret, Registration

ONE = Registration(
    name="pager",
    url="https://x.example/hook?token=hush",
    options={"events": ["gap"], "class": "event"},
    secret="whsec_new",
    old_secrets=(OldSecret("whsec_old", 200), OldSecret("whsec_older", 100)),
    created_ns=5,
    created_by="key a",
)


def test_what_was_put_in_comes_back_whole(connection: Connection) -> None:
    endpoints.put(connection, ONE)
    assert endpoints.every(connection) == [ONE]


def test_a_name_is_there_once_and_the_newest_counts(connection: Connection) -> None:
    endpoints.put(connection, ONE)
    other = Registration(name="pager", url="u", options={}, secret="s", created_ns=6, created_by="b")
    endpoints.put(connection, other)
    assert endpoints.every(connection) == [other]


def test_they_are_listed_by_name_and_removed_once(connection: Connection) -> None:
    for name in ("b", "a"):
        endpoints.put(
            connection,
            Registration(name=name, url="u", options={}, secret="s", created_ns=6, created_by="b"),
        )
    assert [one.name for one in endpoints.every(connection)] == ["a", "b"]
    assert endpoints.remove(connection, "a")
    assert not endpoints.remove(connection, "a")
    assert [one.name for one in endpoints.every(connection)] == ["b"]


def test_nothing_secret_prints() -> None:
    assert not any(word in repr(ONE) for word in ("hush", "whsec"))


def test_a_replaced_secret_signs_until_its_time_and_no_longer() -> None:
    assert [old.secret for old in ONE.live(99)] == ["whsec_old", "whsec_older"]
    assert [old.secret for old in ONE.live(100)] == ["whsec_old"]
    assert ONE.live(200) == ()


def test_texts_are_bound_not_written_into_statements(connection: Connection, hostile: str) -> None:
    one = Registration(
        name=hostile, url=hostile, options={"x": hostile}, secret=hostile, created_ns=1, created_by=hostile
    )
    endpoints.put(connection, one)
    assert endpoints.every(connection) == [one]
