"""The tokens that keys stand for, over all namespaces, kept up to date."""

import pytest

from tickerd.instruments import InstrumentTable, Selection, SelectorBook
from tickerd.instruments.selection import means
from tickerd.plugin import Instrument, Match

A, B, C = (Instrument("kite", n, "NSE", symbol, symbol) for n, symbol in ((1, "A1"), (2, "A2"), (3, "C")))


@pytest.fixture
def table():
    made = InstrumentTable()
    made.namespace("kite").load([A, B, C])
    return made


def test_every_kind_of_key_stands_for_its_tokens(table):
    selection = Selection(table, SelectorBook(), ["NSE:C", "NSE:A?", 99, Match(name="A1"), "NSE:GONE"])
    assert selection() == {1, 2, 3, 99}
    assert [one.symbol for one in selection.instruments()] == ["NSE:C", "NSE:A1", "NSE:A2", ":", "NSE:A1"]


def test_it_looks_again_only_when_something_is_another(table):
    selection = Selection(table, SelectorBook(), ["NSE:A?"])
    first = selection()
    assert selection() is first
    assert selection.version == 1
    table.namespace("kite").load([A, C])
    assert selection() == {1}
    assert selection.version == 2
    table.namespace("kite").load([A])
    assert selection() == {1}
    assert selection.version == 2
    table.namespace("other").load([Instrument("other", 7, "NSE", "A9")])
    assert selection() == {1, 7}


def test_what_may_not_be_seen_is_left_out(table):
    book = SelectorBook()
    assert Selection(table, book, ["NSE:*"], frozenset({"NSE:A1", "MCX"}))() == {1}
    assert Selection(table, book, ["NSE:*"], frozenset({"NSE"}))() == {1, 2, 3}


def test_what_has_expired_is_not_meant(table):
    table.namespace("kite").load([Instrument("kite", 5, "NFO", "X", expiry="2026-11-20")])
    assert Selection(table, SelectorBook(lambda: "2026-11-20"), ["NFO:X"])() == {5}
    assert Selection(table, SelectorBook(lambda: "2026-11-21"), ["NFO:X"])() == set()


@pytest.mark.parametrize(
    ("key", "expected"),
    [("NSE:A1", True), ("NSE:A2", False), (1, True), (2, False), ("NSE:A*", True), ("BSE:*", False),
     (Match(name="A1"), True), (Match(name="B"), False)],
)  # fmt: skip
def test_what_was_recorded_is_told_by_itself(key, expected):
    assert means(key, A) is expected
