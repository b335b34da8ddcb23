"""Suggestions for misspelt symbols."""

import pytest

from tickerd.instruments import suggest

SYMBOLS = ["NSE:INFY", "NSE:TCS", "BSE:TCS", "BSE:SENSEX", "NSE:NIFTY 50", "NSE:RELIANCE", "MCX:GOLD26DECFUT"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("NSE:INFI", "NSE:INFY"),
        ("nse:infy", "NSE:INFY"),
        ("NSE:NIFTY50", "NSE:NIFTY 50"),
        ("NSE:SENSEX", "BSE:SENSEX"),
        ("RELIANCE", "NSE:RELIANCE"),
        ("NSE:RELIANEC", "NSE:RELIANCE"),
        ("NSE:ZZZZ", None),
        ("", None),
    ],
)
def test_the_nearest_symbol_is_suggested(written, meant):
    assert suggest(written, SYMBOLS) == meant
