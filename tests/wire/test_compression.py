"""Reading gzip and zstd: several frames, torn ends, damage, and bombs in bounded pieces."""

import gzip

import pytest

from tickerd.wire.compression import PIECE, Compression, DamagedError, decompressed, kind_of, zstd

TEXT = b'{"instrument_token":1}\n' * 5_000
PACKED: dict[Compression, bytes] = {"gzip": gzip.compress(TEXT), "zstd": zstd.compress(TEXT)}


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
@pytest.mark.parametrize("size", [1, 100, 10**6])
def test_several_frames_are_one_text(kind: Compression, size: int) -> None:
    data = PACKED[kind] * 2
    assert kind_of(data[:4]) == kind
    assert b"".join(decompressed(pieces(data, size), kind)) == TEXT * 2


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_torn_end_is_no_error(kind: Compression) -> None:
    data = PACKED[kind] + PACKED[kind][:-20]
    assert b"".join(decompressed([data], kind)).startswith(TEXT)


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_damage_is_told_after_what_came_before(kind: Compression) -> None:
    got: list[bytes] = []
    with pytest.raises(DamagedError, match=f"damaged {kind} data"):
        got.extend(decompressed([PACKED[kind], b"garbage" * 10], kind))
    assert b"".join(got) == TEXT


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_bomb_comes_out_in_bounded_pieces(kind: Compression) -> None:
    bomb = gzip.compress(bytes(20 * PIECE)) if kind == "gzip" else zstd.compress(bytes(20 * PIECE))
    sizes = [len(piece) for piece in decompressed([bomb], kind)]
    assert sum(sizes) == 20 * PIECE
    assert max(sizes) <= PIECE


def test_plain_bytes_pass() -> None:
    assert kind_of(b'{"in') == "none"
    assert list(decompressed([b"a", b"b"], "none")) == [b"a", b"b"]
