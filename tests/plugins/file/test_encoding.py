"""Writes that leave a whole file behind each time."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd.wire.compression import Compression, zstd
from tickerd_plugins.file.encoding import FRAME, Piece, encoder


def put(file: bytearray, end: int, piece: Piece) -> int:
    """What `Output` does with a piece."""
    at = len(file) if piece.fresh else end
    del file[at:]
    file += piece.body + piece.closing
    return at + len(piece.body)


def read(kind: Compression, data: bytes) -> bytes:
    if not data or kind == "none":
        return data
    return gzip.decompress(data) if kind == "gzip" else zstd.decompress(data)


writes = st.lists(st.tuples(st.binary(min_size=1, max_size=500), st.booleans()), max_size=12)


@pytest.mark.parametrize("kind", ["none", "gzip", "zstd"])
@given(writes=writes)
def test_after_each_write_the_file_is_whole(kind: Compression, writes: list[tuple[bytes, bool]]) -> None:
    file, end, text = bytearray(), 0, b""
    encode = encoder(kind)
    for data, lost in writes:
        if lost:  # this write did not reach the file
            encode.encode(data)
            encode.reset()
            continue
        end = put(file, end, encode.encode(data))
        text += data
        assert read(kind, bytes(file)) == text


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_frames_are_bounded(kind: Compression) -> None:
    encode = encoder(kind)
    line = b"x" * (FRAME // 4)
    assert [encode.encode(line).fresh for _ in range(9)] == [True] + [False] * 3 + [True] + [False] * 3 + [
        True
    ]


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_small_writes_share_what_they_have_in_common(kind: Compression) -> None:
    encode = encoder(kind)
    line = b'{"instrument_token":408065,"symbol":"NSE:INFY","mode":"full","tradable":true,"last_price":1412.95}\n'
    first, *others = [len(encode.encode(line).body) for _ in range(10)]
    assert max(others) < first / 2
