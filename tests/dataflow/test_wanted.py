"""What is wanted of recorded batches."""

import pytest

from tickerd.dataflow.wanted import Wanted
from tickerd.plugin import Batch, Gap, Instrument, Match, Row, Status
from tickerd.testing.fakes import stamped

TABLE = {1: Instrument("x", 1, "NSE", "INFY"), 2: Instrument("x", 2, "NSE", "TCS")}


@pytest.fixture
def ticks():
    return stamped(Batch.of([Row(n) for n in (1, 2, 3, 1)]), 1, instruments=TABLE)


@pytest.fixture
def records():
    return stamped(Batch.control(Gap(reason="x"), Status(state="y")))


def tokens(batch):
    return None if batch is None else [tick.instrument_token for tick in batch.ticks]


def test_everything_passes_as_it_is(ticks, records):
    everything = Wanted(("tick", "gap", "status"))
    assert everything(ticks) is ticks
    assert everything(records) is records


def test_instruments_go_by_symbol_and_by_token(ticks):
    assert tokens(Wanted(("tick",), {"NSE:INFY"})(ticks)) == [1, 1]
    assert tokens(Wanted(("tick",), {"NSE:TCS", 3})(ticks)) == [2, 3]
    assert tokens(Wanted(("tick",), {"NSE:GONE"})(ticks)) is None


def test_all_conditions_must_hold(ticks):
    assert tokens(Wanted(("tick",), None, {1, 3}, ["NSE:INFY", 2])(ticks)) == [1, 1]


def test_instruments_do_not_concern_records(records):
    assert Wanted(("tick", "gap", "status"), {1})(records) is records


def test_kinds_are_left_out(ticks, records):
    assert Wanted(("gap",))(ticks) is None
    assert [type(record) for record in Wanted(("tick", "status"))(records).records] == [Status]
    assert Wanted(("tick",))(records) is None
    ticks.records = records.records
    both = Wanted(("tick", "gap"))(ticks)
    assert (tokens(both), [type(record) for record in both.records]) == ([1, 2, 3, 1], [Gap])


def test_selectors_are_told_by_what_was_recorded(ticks):
    assert tokens(Wanted(("tick",), ["NSE:IN*"])(ticks)) == [1, 1]
    assert tokens(Wanted(("tick",), [Match(exchange="NSE")])(ticks)) == [1, 2, 1]
    assert tokens(Wanted(("tick",), [Match(exchange="BSE"), "NSE:TCS"])(ticks)) == [2]
    assert tokens(Wanted(("tick",), ["BSE:*"])(ticks)) is None


def test_each_symbol_is_tried_once(ticks, monkeypatch):
    tried = []
    monkeypatch.setattr("tickerd.dataflow.wanted.means", lambda key, one: tried.append(one.symbol) or True)
    wanted = Wanted(("tick",), ["NSE:*"])
    assert tokens(wanted(ticks)) == tokens(wanted(ticks)) == [1, 2, 1]
    assert sorted(tried) == ["NSE:INFY", "NSE:TCS"]


def test_what_follows_the_day_is_what_it_means_now(ticks):
    key = Match(exchange="NSE", expiry="nearest")
    table = {
        1: Instrument("x", 1, "NSE", "INFY", expiry="2026-11-24"),
        2: Instrument("x", 2, "NSE", "TCS", expiry="2026-11-24"),
    }
    ticks.origin.instruments = table
    assert tokens(Wanted(("tick",), [key])(ticks)) == [1, 2, 1]
    assert tokens(Wanted(("tick",), [key], current=lambda: {2, 3})(ticks)) == [2]
    assert tokens(Wanted(("tick",), [key, "NSE:I*"], current=lambda: {2, 3})(ticks)) == [1, 2, 1]
