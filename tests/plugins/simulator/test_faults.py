"""Faults as values, and the frames that are not as they should be."""

import json

import pytest

from tickerd.wire.kite import KITE
from tickerd_plugins.simulator.faults import (
    MALFORMED_KINDS,
    Clear,
    Close,
    Drop,
    Expire,
    HalfOpen,
    Malformed,
    Mute,
    MuteInstrument,
    Reject,
    Slow,
    Text,
    Timed,
    from_json,
    malformed_frame,
    parse,
    parse_timed,
    text_frame,
)

PACKET = (408065).to_bytes(4, "big") + b"\1" * 180


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("mute", Mute()),
        ("mute=2.5", Mute(seconds=2.5)),
        ("mute-instrument=408065", MuteInstrument(instrument=408065)),
        ("mute-instrument=NSE:NIFTY 50", MuteInstrument(instrument="NSE:NIFTY 50")),
        ("drop", Drop()),
        ("drop=mid-frame", Drop(mid_frame=True)),
        ("close", Close()),
        ("close=4001", Close(code=4001)),
        ("half-open", HalfOpen()),
        ("slow=1", Slow(bytes_per_second=1.0)),
        ("malformed", Malformed()),
        ("malformed=65535-packets", Malformed(kind="65535-packets")),
        ("reject", Reject()),
        ("reject=429", Reject(status=429)),
        ("reject=500:3", Reject(status=500, count=3)),
        ("expire", Expire()),
        ("expire=cut", Expire(cut=True)),
        ("text", Text()),
        ("text=error:no", Text(kind="error", data="no")),
        ('text=order:{"order_id": "1"}', Text(kind="order", data={"order_id": "1"})),
        ("text=unknown", Text(kind="unknown")),
        ("clear", Clear()),
    ],
)
def test_the_command_line_can_write_every_fault(text: str, fault: object) -> None:
    assert parse(text) == fault


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("explode", "unknown fault 'explode'; there are change-secret, clear, close"),
        ("mute=soon", "fault 'mute' cannot take 'soon'"),
        ("mute-instrument", "needs an argument"),
        ("half-open=1", "takes no argument"),
        ("drop=hard", "expected drop or drop=mid-frame"),
        ("expire=now", "expected expire or expire=cut"),
        ("malformed=ugly", "cannot take 'ugly'"),
        ("text=shout", "cannot take 'shout'"),
        ("reject=no", "cannot take 'no'"),
        ("slow=0", "Expected `float` > 0"),
        ("slow=nan", "Expected `float` > 0"),
        ("reject=200", "Expected `int` >= 400"),
        ("close=5", "Expected `int` >= 1000"),
    ],
)
def test_a_fault_that_is_none_is_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(text)


def test_a_timed_fault_says_when() -> None:
    assert parse_timed("mute=5@1.5") == Timed(Mute(seconds=5), 1.5)
    assert parse_timed("text=error:a@b@3").fault == Text(kind="error", data="a@b")


@pytest.mark.parametrize("text", ["mute", "mute@", "mute@soon", "mute@-1", "mute@inf", "mute@nan", "@3"])
def test_a_timed_fault_without_a_time_or_a_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"say when|not a number|not a time|unknown fault"):
        parse_timed(text)


def test_faults_come_as_json_too() -> None:
    assert from_json(b'{"fault": "mute", "seconds": 2}') == Mute(seconds=2)
    assert from_json(b'{"fault": "drop", "connection": 2, "mid_frame": true}') == Drop(
        connection=2, mid_frame=True
    )


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"fault": "no"}', b'{"fault": "drop", "much": 1}',
     b'{"fault": "slow", "bytes_per_second": "x"}', b'{"fault": "slow", "bytes_per_second": 0}',
     b"[" * 100_000, b"\xff"],
)  # fmt: skip
def test_json_that_is_no_fault_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="not a fault"):
        from_json(body)


def test_malformed_frames_are_counted_as_what_they_are() -> None:
    def split(kind):
        frame = malformed_frame(kind, PACKET)
        assert isinstance(frame, bytes)
        return KITE.split(frame)

    assert split("truncated").faults == {"truncated": 1}
    assert split("zero-packets").faults == {"no_packets": 1}
    assert split("wrong-length").faults == {"truncated": 1}
    assert split("unknown-length").faults == {"unknown_length": 1}
    assert split("trailing-bytes").faults == {"trailing_bytes": 1}
    assert split("65535-packets").faults == {}
    assert split("empty").faults == {"empty": 1}
    for kind in ("truncated", "wrong-length", "trailing-bytes"):
        assert split(kind).packets == [PACKET]
    assert split("unknown-length").packets == [PACKET, PACKET]
    assert len(split("65535-packets").tokens) == 65_535


def test_malformed_text_frames_are_text() -> None:
    huge, torn = malformed_frame("huge-text", PACKET), malformed_frame("not-json", PACKET)
    assert isinstance(huge, str)
    assert len(huge) > 2**20
    assert isinstance(torn, str)
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(torn)


def test_every_kind_of_malformed_frame_can_be_made() -> None:
    assert all(malformed_frame(kind, PACKET) is not None for kind in MALFORMED_KINDS)


def test_text_frames_have_an_example_for_every_kind() -> None:
    assert json.loads(text_frame("order", None))["data"]["status"] == "COMPLETE"
    assert isinstance(json.loads(text_frame("error", None))["data"], str)
    assert json.loads(text_frame("unknown", None))["type"] not in ("order", "error", "message")
    assert json.loads(text_frame("message", "hello")) == {"type": "message", "data": "hello"}


def test_a_mute_ends_after_its_seconds_or_never() -> None:
    assert Mute(seconds=2).until(10) == 12
    assert Mute().until(10) == float("inf")
