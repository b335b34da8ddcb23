"""Frames with random damage go all the way from bytes to JSON without an exception."""

import random

import msgspec
import pytest

from tickerd.plugin import Batch, Stamp
from tickerd.wire.arrays import encode_arrays
from tickerd.wire.kite import KITE, official, row
from tickerd.wire.kite.frame import join
from tickerd.wire.kite.layout import MODES

QUICK, ALL, CHUNK = 20_000, 1_000_000, 50_000
_STAMP = Stamp("NSE:INFY", "kite", 0, 1, 1, 1, 0)


def frame(rng: random.Random) -> bytearray:
    """A good frame of one to six packets."""
    return bytearray(join(rng.randbytes(rng.choice((*MODES,))) for _ in range(rng.randint(1, 6))))


def damage(raw: bytearray, rng: random.Random) -> bytes:
    """The frame with one to four bytes changed, cut out, put in, or the end lost."""
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(raw) + 1)
        match rng.randrange(6):
            case 0:
                del raw[at:]
            case 1:
                raw[at:at] = rng.randbytes(rng.randint(1, 9))
            case 2:
                del raw[at : at + rng.randint(1, 9)]
            case 3:
                raw[at : at + 4] = rng.choice(
                    (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0")
                )
            case 4:
                raw[:2] = rng.randbytes(2)
            case _:
                raw[at : at + 1] = rng.randbytes(1)
    return bytes(raw)


def run(seed: int, count: int) -> int:
    """Decode ``count`` damaged frames in every way; how many packets were found in them."""
    rng = random.Random(seed)
    found = 0
    for _ in range(count):
        batch = Batch.read(KITE, damage(frame(rng), rng), connection=0, ts_recv=1)
        assert len(batch.split.tokens) == len(batch.split.packets) == len(batch)
        for packet in batch.split.packets:
            row(packet, _STAMP)
            official(packet)
        lines = batch.lines()
        assert lines == b"".join(tick.json + b"\n" for tick in batch.ticks)
        assert msgspec.json.decode(encode_arrays(batch)) is not None
        found += len(batch)
    return found


@pytest.mark.full
def test_damaged_frames_raise_nothing() -> None:
    assert run(0, QUICK) > QUICK


@pytest.mark.full
@pytest.mark.parametrize("seed", range(1, ALL // CHUNK + 1))
def test_a_million_damaged_frames_raise_nothing(seed: int) -> None:
    assert run(seed, CHUNK) > CHUNK
