"""The instrument table."""

from tickerd.instruments import InstrumentTable
from tickerd.plugin import Instrument

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
