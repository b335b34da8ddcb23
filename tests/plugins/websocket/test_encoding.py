"""Messages with rows, in both encodings."""

import json
from typing import Any

import msgspec
import pytest

from tickerd_plugins.websocket.encoding import ENCODINGS, JSON, MSGPACK, Encoding


def payload(frame: bytes) -> bytes:
    short = frame[1] & 127
    return frame[{126: 4, 127: 10}.get(short, 2) :]


def decoded(encoding: Encoding, frame: bytes) -> Any:
    assert frame[0] == (0x82 if encoding.binary else 0x81)
    data = payload(frame)
    return msgspec.msgpack.decode(data) if encoding.binary else json.loads(data)


@pytest.mark.parametrize("name", [JSON, MSGPACK])
@pytest.mark.parametrize("count", [0, 1, 15, 16, 70_000])
def test_rows_stand_behind_what_is_said_before_them(name: str, count: int) -> None:
    encoding = ENCODINGS[name]
    rows = [[n, 1.5, None, []] for n in range(count)]
    body = encoding.join(encoding.pieces(rows))
    assert body.rows == count
    ticks = decoded(encoding, encoding.ticks(2**40, body) + body.data)
    assert ticks == {"t": "ticks", "fs": 2**40, "n": count, "rows": rows}
    message = {"t": "snapshot", "id": None, "fs": 1}
    assert decoded(encoding, encoding.head(message, body) + body.data) == {**message, "rows": rows}


@pytest.mark.parametrize("name", [JSON, MSGPACK])
def test_a_message_is_a_finished_frame(name: str) -> None:
    encoding = ENCODINGS[name]
    assert decoded(encoding, encoding.frame({"t": "hb", "fs": 1})) == {"t": "hb", "fs": 1}
