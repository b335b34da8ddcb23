"""Instruments are values."""

import pytest

from tickerd.plugin import Instrument


def test_a_symbol_is_what_a_person_writes() -> None:
    assert Instrument("kite", 256265, "NSE", "NIFTY 50").symbol == "NSE:NIFTY 50"


def test_instruments_compare_by_value_and_can_be_keys() -> None:
    one, same = Instrument("kite", 1, "NSE", "INFY"), Instrument("kite", 1, "NSE", "INFY")
    assert one == same
    assert {one: "full"}[same] == "full"
    with pytest.raises(AttributeError):
        one.token = 2  # type: ignore[misc]
