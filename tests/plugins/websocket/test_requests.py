"""What clients ask, right and wrong; nothing that they send does more than that."""

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd_plugins.websocket import requests
from tickerd_plugins.websocket.encoding import ENCODINGS, JSON, MSGPACK
from tickerd_plugins.websocket.requests import Bad, WrongType, read

J, M = ENCODINGS[JSON], ENCODINGS[MSGPACK]


@pytest.mark.parametrize(
    ("message", "asked"),
    [
        ({"op": "auth", "key": "k"}, requests.Auth(key="k")),
        ({"op": "sub", "id": "a", "tokens": [1]}, requests.Subscribe(id="a", tokens=[1])),
        ({"op": "resume", "epoch": 1, "seq": 2}, requests.Resume(epoch=1, seq=2)),
        ({"op": "unsub", "all": True}, requests.Unsubscribe(all=True)),
        ({"op": "list", "id": -1}, requests.List(id=-1)),
        ({"op": "ping", "t": 1.5}, requests.Ping(t=1.5)),
    ],
)
def test_each_request_is_read_in_both_encodings(message: Any, asked: requests.Request) -> None:
    assert read(msgspec.json.encode(message).decode(), J) == asked
    assert read(msgspec.msgpack.encode(message), M) == asked


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "null",
        "[]",
        "{}",
        '{"op":"other"}',
        '{"op":"sub","op":"ping","tokens":[]}',
        '{"op":"ping","id":1.5}',
        '{"op":"ping","id":"' + "x" * 37 + '"}',
        '{"op":"ping","id":1e400}',
        '{"op":"ping","id":' + "1" * 400 + "}",
        '{"op":"ping","t":NaN}',
        '{"op":"ping","t":"\\ud800"}',
        '{"op":"sub","tokens":[' + "9" * 65_000 + "]}",
        '{"op":"sub","tokens":[4294967296]}',
        '{"op":"sub","tokens":[true]}',
        '{"op":"sub","symbols":["' + "x" * 101 + '"]}',
        '{"op":"auth","key":"' + "x" * 600 + '"}',
        "[" * 100_000,
        '{"op":' * 10_000,
        '{"op":"ping","x":' + "[" * 60_000,
    ],
)
def test_what_is_no_request_is_bad(text: str) -> None:
    with pytest.raises(Bad) as caught:
        read(text, J)
    assert caught.value.code == "bad_request"
    assert len(caught.value.text) <= 200


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xffx",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\xc7\x04\x01\xc7\x02\x01x",
        b"\x91" * 60_000,
        b"\x81\xa2op\xa4ping\x00",
        b"\xc1",
    ],
)
def test_what_is_no_request_in_msgpack_is_bad(data: bytes) -> None:
    with pytest.raises(Bad):
        read(data, M)


def test_text_and_bytes_are_not_mixed() -> None:
    with pytest.raises(WrongType):
        read(b"{}", J)
    with pytest.raises(WrongType):
        read("{}", M)


@given(st.binary(max_size=300))
def test_no_bytes_do_anything_else(data: bytes) -> None:
    for message, encoding in ((data, M), (data.decode("latin-1"), J)):
        with suppress(Bad):
            read(message, encoding)


def test_keys_of_a_request_count_once() -> None:
    assert requests.Subscribe(tokens=[1, 2, 1], symbols=["a", "a"]).keys == [1, 2, "a"]
