"""Values that come out of a log call."""

import enum
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd.observe.clean import LONGEST, MOST_ITEMS, Cleaner, escape, shorten_middle
from tickerd.observe.redact import Redactor


class Colour(enum.Enum):
    RED = 1


class Loud(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class Broken(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        yield "a"

    def __len__(self) -> int:
        return 1


class BrokenSet(frozenset[int]):
    def __iter__(self) -> Iterator[int]:
        raise RuntimeError


@pytest.fixture
def cleaner() -> Cleaner:
    redactor = Redactor()
    redactor.add("hunter2")
    return Cleaner(redactor)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        (-7, -7),
        (1.5, 1.5),
        (2**64, "18446744073709551616"),
        ("hunter2!", "***!"),
        (Loud("a hunter2"), "a ***"),
        (b"hunter2", "b'***'"),
        (Path("/tmp/hunter2"), "/tmp/***"),
        (datetime(2026, 7, 31, tzinfo=UTC), "2026-07-31 00:00:00+00:00"),
        (Colour.RED, "<Colour.RED: 1>"),
        (["a", ("b", {3})], ["a", ["b", [3]]]),
        ({1: "hunter2", "hunter2": 1}, {"1": "***", "***": 1}),
        ({"Access_Token": "xyz", "n": None}, {"Access_Token": "***", "n": None}),
        ([[[[[["deep"]]]]]], [[[[["['deep']"]]]]]),
        (Unprintable(), "<Unprintable: unprintable, RuntimeError>"),
        (Broken(), {"…": "unreadable: KeyError"}),
        (BrokenSet(), ["… unreadable: RuntimeError"]),
    ],
)
def test_values_become_plain(cleaner: Cleaner, value: object, shown: object) -> None:
    assert cleaner.value(value) == shown


def test_newlines_and_cursor_moves_are_escaped() -> None:
    assert escape("a\nb\r\x1b[2J\x9b\u202e\u2028\ud800é") == "a\\nb\\r\\x1b[2J\\x9b\\u202e\\u2028\\ud800é"


def test_a_long_value_is_cut_and_says_so(cleaner: Cleaner) -> None:
    shown = cleaner.text("x" * (LONGEST + 5))
    assert shown == "x" * LONGEST + "… [5 more characters]"


def test_a_megabyte_costs_no_more_than_its_beginning(cleaner: Cleaner) -> None:
    assert len(cleaner.text("x" * 2**20)) < LONGEST + 100
    assert len(str(cleaner.value(b"x" * 2**20))) < LONGEST + 100


def test_a_secret_that_the_cut_goes_through_does_not_show_in_part() -> None:
    secret = "0123456789abcdefghijklmnopqrstuvwxyzABCD"
    redactor = Redactor()
    redactor.add(secret)
    # so much shorter when redacted that the cut's place is among what is shown
    assert "0123" not in Cleaner(redactor).text(secret * 3000)


def test_long_containers_are_cut(cleaner: Cleaner) -> None:
    items = cleaner.value(list(range(MOST_ITEMS + 3)))
    assert isinstance(items, list)
    assert items[-1] == "… 3 more"
    table = cleaner.value({str(n): n for n in range(MOST_ITEMS + 3)})
    assert isinstance(table, dict)
    assert table["…"] == "3 more"


@pytest.mark.parametrize("name", ["access_token", "Authorization", "password"])
def test_a_field_whose_name_is_that_of_a_secret_is_hidden(cleaner: Cleaner, name: str) -> None:
    assert cleaner.field(name, "anything") == "***"
    assert cleaner.field(name, None) is None


def test_a_traceback_keeps_its_lines_and_loses_its_middle(cleaner: Cleaner) -> None:
    assert cleaner.field("exception", "a\n\tb hunter2\x1b") == "a\n\tb ***\\x1b"
    assert cleaner.field("exception", 3) == 3
    assert shorten_middle("a" * 10 + "b" * 30, 20) == "aaaaa\n… [20 characters left out] …\n" + "b" * 15


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner),
    max_leaves=20,
)


@given(anything)
def test_whatever_it_is_json_takes_it(value: Any) -> None:
    assert orjson.dumps(Cleaner(Redactor()).value(value))
