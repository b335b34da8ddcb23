"""Server frames: header lengths at their borders."""

import pytest
from websockets.frames import Frame, Opcode

from tickerd_plugins.websocket import frames


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536, 70_000])
def test_frames_are_those_of_the_library(length: int) -> None:
    payload = b"x" * length
    assert frames.text(payload) == Frame(Opcode.TEXT, payload).serialize(mask=False)
    assert frames.binary(payload) == Frame(Opcode.BINARY, payload).serialize(mask=False)


def test_the_bit_of_a_compressed_frame_is_set() -> None:
    assert frames.header(frames.TEXT, 5, compressed=True)[0] == 0xC1
