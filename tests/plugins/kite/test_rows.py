"""The dump as bytes."""

import pytest

from tickerd.plugin import Instrument
from tickerd_plugins.kite.rows import Header, headed, pack, unpack

ROW = (408065, "NSE", "INFY", "INFOSYS", "NSE", "EQ", "", 0.0, 1, 0.05)
INFY = Instrument("kite", *ROW)


def rows(n):
    return [(token, "NSE", f"S{token}", "", "NSE", "EQ", "", 0.0, 1, 0.05) for token in range(1, n + 1)]


def everything(raw):
    header, runs = unpack(raw)
    return header, [instrument for run in runs for instrument in run]


def test_what_is_packed_comes_back_as_instruments():
    header, found = everything(pack(Header(root="http://x", skipped=2), [ROW]))
    assert (header.root, header.rows, header.skipped) == ("http://x", 1, 2)
    assert found == [INFY]
    assert type(found[0]) is Instrument


def test_numbers_that_are_equal_keep_their_types():
    index = (256265, "NSE", "NIFTY 50", "", "INDICES", "EQ", "", 0.0, 0, 0.0)
    other = (1, "MCX", "X", "", "MCX", "FUT", "", 1.0, 1, 1.0)
    _, found = everything(pack(Header(), [index, other]))
    for instrument in found:
        numbers = instrument.strike, instrument.lot_size, instrument.tick_size
        assert list(map(type, numbers)) == [float, int, float]


def test_many_rows_come_in_runs():
    header, runs = unpack(pack(Header(), rows(5000)))
    assert [len(run) for run in runs] == [2000, 2000, 1000]
    assert header.rows == 5000


def test_another_header_keeps_the_rows():
    raw = headed(Header(root="y", fetched_ns=7, rows=1), pack(Header(root="x"), [ROW]))
    header, found = everything(raw)
    assert (header.root, header.fetched_ns, found) == ("y", 7, [INFY])


def test_every_cut_is_noticed():
    raw = pack(Header(), rows(3))
    for length in range(len(raw)):
        with pytest.raises(ValueError, match=r"empty|cut off|not a dump"):
            everything(raw[:length])


@pytest.mark.parametrize(
    "raw", [b"<html>", b"\0\0\0\1x", pack(Header(version=2)), pack(Header()) + pack(Header())]
)
def test_other_bytes_are_refused(raw):
    with pytest.raises(ValueError, match=r"cut off|not a dump|version 2"):
        everything(raw)
