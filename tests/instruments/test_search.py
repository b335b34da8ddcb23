"""Searching a table: the same in columns and in a mapping."""

import pytest

from tickerd.instruments.search import search


@pytest.fixture(params=["columns", "mapping"])
def table(request, listing, market):
    return listing if request.param == "columns" else {one.symbol: one for one in market}


def found(table, words=(), columns=None, limit=1000, **more):
    return [one.symbol for one in search(table, words, columns or {}, limit=limit, **more)]


def test_all_words_are_part_of_the_symbol_or_the_name_in_any_case(table):
    assert found(table, ["infosys"]) == ["BSE:INFY", "NSE:INFY"]
    assert found(table, ["nifty", "bank"]) == ["NSE:NIFTY BANK"]
    assert found(table, ["nifty", "silver"]) == []


def test_columns_hold_exactly(table):
    assert found(table, [], {"exchange": "NSE", "segment": "INDICES"}) == ["NSE:NIFTY 50", "NSE:NIFTY BANK"]
    assert found(table, ["25000"], {"instrument_type": "PE", "expiry": "2026-12-01"}) == [
        "NFO:NIFTY26120125000PE"
    ]
    assert found(table, [], {"name": "NIFT"}) == []


def test_pages_follow_each_other_by_symbol(table):
    first = found(table, ["nifty"], limit=5)
    second = found(table, ["nifty"], limit=5, after=first[-1])
    assert first + second == found(table, ["nifty"], limit=10)
    assert first == sorted(first)


def test_what_may_not_be_seen_does_not_count(table):
    assert found(table, ["infosys"], limit=1, may_see=lambda one: one.exchange == "NSE") == ["NSE:INFY"]
