"""Packets and frames for the codec's tests."""

import json
import struct
from collections.abc import Callable
from typing import Any

import pytest
from kiteconnect import KiteTicker

from tickerd.plugin import Stamp
from tickerd.wire.kite.layout import FULL_PACKET, QUOTE_PACKET

INFY = 408_065
_INFY_OHLC = (156_915, 157_500, 156_105, 156_780)


@pytest.fixture(scope="session")
def infy_quote() -> bytes:
    """The 44 bytes of the public mock packet `ticker_quote`."""
    return QUOTE_PACKET.pack(INFY, 157_315, 1, 157_033, 1_175_986, 256_511, 360_503, *_INFY_OHLC)


@pytest.fixture(scope="session")
def infy_full() -> bytes:
    """The 184 bytes of the public mock packet `ticker_full`."""
    bids = (5, 157_340, 1, 140, 157_300, 2, 2, 157_295, 1, 219, 157_290, 7, 50, 157_285, 1)
    offers = (172, 157_370, 3, 44, 157_375, 3, 302, 157_385, 3, 141, 157_390, 2, 724, 157_395, 5)
    head = (INFY, 157_370, 7, 157_037, 1_192_471, 256_443, 363_009, *_INFY_OHLC)
    return FULL_PACKET.pack(*head, 1_625_461_887, 0, 0, 0, 1_625_461_887, *bids, *offers)


@pytest.fixture(scope="session")
def stamp() -> Stamp:
    """What the hub knows of a tick."""
    return Stamp("NSE:INFY", "kite", 2, 1_790_000_000_123_456_789, 3, 41, 0)


@pytest.fixture(scope="session")
def framed() -> Callable[..., bytes]:
    """Packets to a frame, written without the code under test."""

    def make(*packets: bytes) -> bytes:
        body = b"".join(struct.pack(">H", len(packet)) + packet for packet in packets)
        return struct.pack(">H", len(packets)) + body

    return make


@pytest.fixture(scope="session")
def parse_officially() -> Callable[[bytes], list[dict[str, Any]]]:
    """The official Python client's parser."""
    return KiteTicker("key", "token")._parse_binary  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def exact() -> Callable[[bytes], Any]:
    """Reads JSON and keeps every number with a point or an exponent as the text that it is."""
    return lambda text: json.loads(text, parse_float=str)
