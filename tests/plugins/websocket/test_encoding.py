"""Messages with rows, in both encodings."""

import json
import zlib
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
    ticks = decoded(encoding, b"".join(encoding.ticks(2**40, body)))
    assert ticks == {"t": "ticks", "fs": 2**40, "n": count, "rows": rows}
    message = {"t": "snapshot", "id": None, "fs": 1}
    assert decoded(encoding, b"".join(encoding.rows(message, body))) == {**message, "rows": rows}


def test_rows_are_compressed_once_for_all_and_each_gets_its_own_beginning() -> None:
    encoding = ENCODINGS[JSON]
    body = encoding.join(encoding.pieces([[n, 1.5, None, []] for n in range(500)]))
    found = []
    for fs in (1, 2):
        head, data = encoding.ticks(fs, body, compress=True)
        assert data is body.deflated
        assert head[0] == 0xC1
        found.append(json.loads(zlib.decompress(payload(head + data) + b"\0\0\xff\xff\x01\0\0\xff\xff", -15)))
        assert len(data) < len(body.data) / 3
    assert [one["fs"] for one in found] == [1, 2]
    assert found[0]["rows"] == found[1]["rows"]


def test_what_is_short_is_not_compressed() -> None:
    encoding = ENCODINGS[JSON]
    body = encoding.join(encoding.pieces([[1]]))
    assert encoding.ticks(1, body, compress=True) == encoding.ticks(1, body)


@pytest.mark.parametrize("name", [JSON, MSGPACK])
def test_a_message_is_a_finished_frame(name: str) -> None:
    encoding = ENCODINGS[name]
    assert decoded(encoding, encoding.frame({"t": "hb", "fs": 1})) == {"t": "hb", "fs": 1}
