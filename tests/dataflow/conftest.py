"""Ticks and batches for the tests of the data path."""

import pytest

from tickerd.plugin import Batch, Instrument, Row
from tickerd.wire.kite import KITE, frame
from tickerd.wire.kite.layout import FULL_PACKET, LTP_PACKET


def _full(token, last=10_000, second=1_700_000_000, volume=1):
    return FULL_PACKET.pack(
        token,
        last,
        1,
        last,
        volume,
        1,
        1,
        last,
        last,
        last,
        last,
        second,
        0,
        0,
        0,
        second,
        *[1, last, 1] * 10,
    )


@pytest.fixture
def full():
    """One full packet."""
    return _full


@pytest.fixture
def ltp():
    """One ltp packet."""
    return lambda token, last=10_000: LTP_PACKET.pack(token, last)


@pytest.fixture
def read():
    """A batch as one network read produces it."""

    def make(*packets, connection=1, ts_recv=1_000):
        return Batch.read(KITE, frame.join(packets), connection=connection, ts_recv=ts_recv)

    return make


@pytest.fixture
def plain():
    """A batch of plain rows, one for each token."""
    return lambda *tokens: Batch.of([Row(token, last_price=1.0) for token in tokens])


@pytest.fixture
def infy():
    return Instrument("kite", 408065, "NSE", "INFY")


@pytest.fixture
def tcs():
    return Instrument("kite", 2953217, "NSE", "TCS")
