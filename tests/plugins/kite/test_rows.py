"""The dump as bytes."""

import pytest

from tickerd.plugin import Instrument, Listing
from tickerd_plugins.kite.rows import Header, pack, unpack

ROW = (408065, "NSE", "INFY", "INFOSYS", "NSE", "EQ", "", 0.0, 1, 0.05)
INFY = Instrument("kite", *ROW)


def test_what_is_packed_comes_back_with_what_is_said_of_it():
    header, rows = unpack(pack(Header(skipped=2), [ROW], {"root": "http://x", "fetched_ns": 5}))
    assert (header.rows, header.skipped) == (1, 2)
    listing = Listing.unpack(rows)
    assert list(listing.values()) == [INFY]
    assert listing.about == {"root": "http://x", "fetched_ns": 5}


def test_an_error_comes_without_rows():
    header, rows = unpack(pack(Header(error="refused", auth=True)))
    assert (header.error, header.auth, rows) == ("refused", True, b"")


def test_every_cut_is_noticed():
    raw = pack(Header(), [ROW])
    for length in range(len(raw)):
        with pytest.raises(ValueError, match=r"empty|cut off|not a"):
            Listing.unpack(unpack(raw[:length])[1])


@pytest.mark.parametrize("raw", [b"<html>", b"\0\0\0\1x", pack(Header(version=1))])
def test_other_bytes_are_refused(raw):
    with pytest.raises(ValueError, match=r"cut off|not a dump|version 1"):
        unpack(raw)
