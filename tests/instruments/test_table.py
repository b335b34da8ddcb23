"""The instrument table."""

import pytest

from tickerd.instruments import InstrumentTable, Namespace
from tickerd.plugin import Instrument, Listing

INFY = Instrument("kite", 408065, "NSE", "INFY")
NIFTY = Instrument("kite", 256265, "NSE", "NIFTY 50")


def test_instruments_are_found_by_symbol_and_token():
    kite = InstrumentTable().namespace("kite")
    kite.load([INFY, NIFTY])
    assert kite.find("NSE:NIFTY 50") is NIFTY
    assert kite.find(408065) is INFY
    assert kite.get(1) is None
    assert kite.find("NSE:NOSUCH") is None
    assert len(kite) == 2


def test_a_token_no_dump_has_named_gives_a_nameless_instrument():
    kite = InstrumentTable().namespace("kite")
    assert kite.find(7) == Instrument("kite", 7, "", "")
    assert not kite.loaded


def test_loading_replaces_the_table_and_tells_listeners_afterwards():
    kite = InstrumentTable().namespace("kite")
    seen = []

    def listener():
        seen.append(len(kite))

    kite.on_load(listener)
    kite.load([INFY])
    before = kite.by_token
    kite.load([INFY, NIFTY])
    kite.forget(listener)
    kite.load([])
    assert seen == [1, 2]
    assert list(before) == [408065]


def test_namespaces_are_kept_apart():
    table = InstrumentTable()
    table.namespace("a").load([INFY])
    assert table.namespace("b").get(408065) is None
    assert table.namespace("a") is table.namespace("a")
    assert [n.name for n in table.namespaces()] == ["a", "b"]
    assert len(table) == 1


# -- in columns ---------------------------------------------------------------------------------------------


@pytest.fixture
def kite():
    namespace = Namespace("kite")
    namespace.load(Listing.of("kite", [INFY, NIFTY]))
    return namespace


def test_a_table_in_columns_is_found_in_like_any_other(kite):
    assert kite.find("NSE:INFY") == kite.find(408065) == kite.get(408065) == INFY
    assert kite.find(7) == Instrument("kite", 7, "", "")
    assert kite.get(7) is None
    assert len(kite) == 2
    assert kite.listing is kite.by_symbol


def test_it_names_ticks_only_after_instruments_that_were_kept(kite):
    assert dict(kite.by_token) == {}
    kite.keep(INFY)
    kite.keep(Instrument("kite", 5, "", ""))
    assert dict(kite.by_token) == {408065: INFY}


def test_what_was_kept_is_named_by_the_next_table_as_that_has_it(kite):
    kite.keep(INFY)
    kite.keep(NIFTY)
    other = Instrument("kite", 408065, "NSE", "OTHER")
    before = kite.by_token
    kite.load(Listing.of("kite", [other]))
    assert dict(kite.by_token) == {408065: other}
    assert before[408065] == INFY  # ticks made before keep their name


def test_what_has_expired_names_no_more_ticks():
    kite = Namespace("kite")
    old = Instrument("kite", 1, "NFO", "OLD", expiry="2026-11-20")
    kite.load([old, INFY])
    version = kite.version
    kite.retire("2026-11-20")
    assert (1 in kite.by_token, kite.version) == (True, version)
    kite.retire("2026-11-21")
    assert (1 in kite.by_token, kite.version) == (False, version + 1)
    assert kite.find("NFO:OLD") == old  # it can still be looked up


def test_a_table_of_instruments_makes_its_columns_when_they_are_asked_for():
    kite = Namespace("kite")
    kite.load([NIFTY, INFY])
    assert list(kite.listing) == ["NSE:INFY", "NSE:NIFTY 50"]
    assert kite.listing is kite.listing


def test_the_version_of_all_tables_grows_with_each_change_and_each_namespace():
    table = InstrumentTable()
    seen = [table.version]
    table.namespace("a")
    seen.append(table.version)
    table.namespace("a").load([INFY])
    seen.append(table.version)
    assert seen == sorted(set(seen))
