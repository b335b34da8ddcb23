"""The cases of the Autobahn test suite for servers, by their numbers there, as bytes on a socket of the real sink.

Autobahn's server repeats what it is sent; ours answers an application's ping with its text. Where a case wants messages
longer than our limit of 64 KiB, the limit is what is tested.
"""

import json
import zlib
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple

import pytest
import trio

Serve = Callable[..., AbstractAsyncContextManager[Any]]

FIN, CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x80, 0, 1, 2, 8, 9, 10
MOST = 65_536
MASK = b"\x37\xfa\x21\x3d"
GREETING = "Hello-µ@ßöäüàá-UTF-8!!"


def frame(first: int, payload: bytes = b"") -> bytes:
    """A client's frame, masked."""
    size = len(payload)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 65_536:
        head = bytes((first, 0xFE)) + size.to_bytes(2)
    else:
        head = bytes((first, 0xFF)) + size.to_bytes(8)
    repeated = (MASK * (size // 4 + 1))[:size]
    return head + MASK + (int.from_bytes(payload) ^ int.from_bytes(repeated)).to_bytes(size)


def ask(text: str | bytes = "x", size: int = 0) -> bytes:
    """A request that is answered with this text; blanks make it longer."""
    raw = text.encode() if isinstance(text, str) else text
    return (b'{"op":"ping","t":"' + raw + b'"}').ljust(size)


def text(content: bytes, first: int = FIN | TEXT) -> bytes:
    return frame(first, content)


def pieces(content: bytes, size: int, *between: bytes) -> list[bytes]:
    """One message in fragments, with other frames after each but the last."""
    parts = [content[at : at + size] for at in range(0, len(content), size)]
    made = []
    for place, part in enumerate(parts):
        last = place == len(parts) - 1
        made.append(frame((FIN if last else 0) | (CONT if place else TEXT), part))
        if not last:
            made += between
    return made


def close(code: int, reason: bytes = b"") -> bytes:
    return frame(FIN | CLOSE, code.to_bytes(2) + reason)


class Case(NamedTuple):
    """What is sent, and what has to come: ``("pong", payload)``, ``("text", echo)``, ``("error",)``.

    ``code`` closes it; None: it is still open, and closes normally when it is asked to. What comes before a failure is
    not looked at. Those with ``chops`` are sent again in pieces of so many bytes.
    """

    number: str
    sent: Sequence[bytes]
    heard: Sequence[tuple[Any, ...]] = ()
    code: int | None = None
    binary: bool = False
    chops: int = 0


X = ("text", "x")
CASES: list[Case] = []


def case(number: str, *sent: bytes, heard: Sequence[tuple[Any, ...]] = (), **more: Any) -> None:
    CASES.append(Case(number, sent, heard, **more))


def both(number: str, *sent: bytes, **more: Any) -> None:
    """At once, and octet by octet."""
    case(number, *sent, **more)
    case(f"{number}-octets", *sent, chops=1, **more)


# 1: framing
case("1.1.1", text(b""), heard=[("error",)])
for number, size in enumerate((125, 126, 127, 128, 65_535, 65_536), 2):
    case(f"1.1.{number}", text(ask(size=size)), heard=[X])
case("1.1.8", text(ask(size=65_536)), heard=[X], chops=997)
for number, size in enumerate((0, 125, 126, 127, 128, 65_535, 65_536), 1):
    case(f"1.2.{number}", frame(FIN | BINARY, b"\xfe" * size), heard=[("error",)], binary=True)
case("1.2.8", frame(FIN | BINARY, b"\xfe" * 65_536), heard=[("error",)], binary=True, chops=997)

# 2: pings and pongs
case("2.1", frame(FIN | PING), heard=[("pong", b"")])
case("2.2", frame(FIN | PING, b"Hello, world!"), heard=[("pong", b"Hello, world!")])
case("2.3", frame(FIN | PING, b"\0\xff\xfe\xfd"), heard=[("pong", b"\0\xff\xfe\xfd")])
both("2.4", frame(FIN | PING, b"\xfe" * 125), heard=[("pong", b"\xfe" * 125)])
case("2.5", frame(FIN | PING, b"\xfe" * 126), code=1002)
case("2.7", frame(FIN | PONG))
case("2.8", frame(FIN | PONG, b"unasked"))
case("2.9", frame(FIN | PONG, b"unasked"), frame(FIN | PING, b"asked"), heard=[("pong", b"asked")])
both(
    "2.10",
    *[frame(FIN | PING, b"payload-%d" % n) for n in range(10)],
    heard=[("pong", b"payload-%d" % n) for n in range(10)],
)

# 3: reserved bits
case("3.1", text(ask(), FIN | 0x10 | TEXT), code=1002)
case("3.2", text(ask()), text(ask(), FIN | 0x20 | TEXT), frame(FIN | PING), code=1002)
case("3.3", text(ask()), text(ask(), FIN | 0x30 | TEXT), frame(FIN | PING), code=1002)
both("3.4", text(ask()), text(ask(), FIN | 0x40 | TEXT), frame(FIN | PING), code=1002)
case("3.5", frame(FIN | 0x50 | BINARY, b"\xff" * 8), code=1002)
case("3.6", frame(FIN | 0x60 | PING, b"Hello"), code=1002)
case("3.7", frame(FIN | 0x70 | CLOSE), code=1002)

# 4: opcodes that mean nothing
for number, opcode in enumerate((3, 4, 5, 6, 7), 1):
    both(f"4.1.{number}", text(ask()), frame(FIN | opcode, b"x" * (number > 1)), frame(FIN | PING), code=1002)
for number, opcode in enumerate((11, 12, 13, 14, 15), 1):
    both(f"4.2.{number}", text(ask()), frame(FIN | opcode, b"x" * (number > 1)), frame(FIN | PING), code=1002)

# 5: fragments
case("5.1", frame(PING, b"frag"), frame(FIN | CONT, b"ment"), code=1002)
case("5.2", frame(PONG, b"frag"), frame(FIN | CONT, b"ment"), code=1002)
both("5.3", *pieces(ask(), 12), heard=[X])
both("5.6", *pieces(ask(), 12, frame(FIN | PING, b"now")), heard=[("pong", b"now"), X])
both("5.9", frame(FIN | CONT, b"nothing"), text(ask()), code=1002)
both("5.12", frame(CONT, b"nothing"), text(ask()), code=1002)
both("5.15", *pieces(ask(), 12), frame(CONT, b"nothing"), text(ask()), code=1002)
case("5.16", *[frame(CONT, b"a"), frame(TEXT, b"b"), frame(FIN | CONT, b"c")] * 2, code=1002)
case("5.17", *[frame(FIN | CONT, b"a"), frame(TEXT, b"b"), frame(FIN | CONT, b"c")] * 2, code=1002)
both("5.18", frame(TEXT, b"frag"), frame(FIN | TEXT, b"ment"), code=1002)
both(
    "5.19",
    *pieces(ask(size=50), 10, frame(FIN | PING, b"p")),
    heard=[*[("pong", b"p")] * 4, X],
)

# 6: UTF-8
case("6.1.2", frame(TEXT), frame(CONT), frame(FIN | CONT), heard=[("error",)])
case("6.1.3", frame(TEXT), frame(CONT, ask()), frame(FIN | CONT), heard=[X])
both("6.2.1", text(ask(GREETING)), heard=[("text", GREETING)])
case("6.2.2", *pieces(ask(GREETING), 25), heard=[("text", GREETING)])
case("6.2.3", *pieces(ask(GREETING), 1), heard=[("text", GREETING)])
VALID = {
    "6.5.1": "κόσμε",
    "6.7": "\x80ࠀ\U00010000",
    "6.9": "\x7f߿￿\U0010ffff",
    "6.11": "퟿�\U0010ffff",
    "6.22": "".join(chr(plane << 16 | end) for plane in range(17) for end in (0xFFFE, 0xFFFF)),
    "6.23": "".join(map(chr, range(0xFFF9, 0x10000))),
}
for name, content in VALID.items():
    case(name, text(ask(content)), heard=[("text", content)])
    case(f"{name}-fragments", *pieces(ask(content), 1), heard=[("text", content)])
WRONG = {
    "6.3": b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    "6.4.1": "κόσμε".encode() + b"\xf4\x90\x80\x80edited",
    "6.6.1": b"\xce",
    "6.6.3": b"\xce\xba\xe1",
    "6.6.4": b"\xce\xba\xe1\xbd",
    "6.8.1": b"\xf8\x88\x80\x80\x80",
    "6.8.2": b"\xfc\x84\x80\x80\x80\x80",
    "6.10.1": b"\xf7\xbf\xbf\xbf",
    "6.10.2": b"\xfb\xbf\xbf\xbf\xbf",
    "6.10.3": b"\xfd\xbf\xbf\xbf\xbf\xbf",
    "6.11.5": b"\xf4\x90\x80\x80",
    "6.12.1": b"\x80",
    "6.12.2": b"\xbf",
    "6.12.8": bytes(range(0x80, 0xBF)),
    "6.13.1": b"".join(bytes((n, 0x20)) for n in range(0xC0, 0xE0)),
    "6.13.2": b"".join(bytes((n, 0x20)) for n in range(0xE0, 0xF0)),
    "6.13.3": b"".join(bytes((n, 0x20)) for n in range(0xF0, 0xF8)),
    "6.14.1": b"\xc0",
    "6.14.2": b"\xe0\x80",
    "6.14.3": b"\xf0\x80\x80",
    "6.14.6": b"\xdf",
    "6.14.7": b"\xef\xbf",
    "6.14.8": b"\xf7\xbf\xbf",
    "6.15.1": b"\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xfc\x80\x80\x80\x80\xdf\xef\xbf\xf7\xbf\xbf",
    "6.16.1": b"\xfe",
    "6.16.2": b"\xff",
    "6.16.3": b"\xfe\xfe\xff\xff",
    "6.17.1": b"\xc0\xaf",
    "6.17.2": b"\xe0\x80\xaf",
    "6.17.3": b"\xf0\x80\x80\xaf",
    "6.18.1": b"\xc1\xbf",
    "6.18.2": b"\xe0\x9f\xbf",
    "6.18.3": b"\xf0\x8f\xbf\xbf",
    "6.19.1": b"\xc0\x80",
    "6.19.2": b"\xe0\x80\x80",
    "6.20.1": b"\xed\xa0\x80",
    "6.20.7": b"\xed\xbf\xbf",
    "6.21.1": b"\xed\xa0\x80\xed\xb0\x80",
    "6.21.8": b"\xed\xaf\xbf\xed\xbf\xbf",
}
for name, broken in WRONG.items():
    case(name, text(ask(broken)), code=1007)
case("6.3.2", *pieces(ask(WRONG["6.3"]), 1), code=1007)
case("6.14-end", text(b"\xce"), code=1007)  # cut off where the message ends

# 7: closing
case("7.1.1", text(ask()), heard=[X])
case("7.1.2", close(1000), close(1000), code=1000)
case("7.1.3", close(1000), frame(FIN | PING), code=1000)
case("7.1.4", close(1000), text(ask()), code=1000)
# the library calls it an error that the message before was not finished
case("7.1.5", frame(TEXT, b"frag"), close(1000), frame(FIN | CONT, b"ment"), code=1002)
case("7.1.6", frame(FIN | TEXT, b"BAsd7&jh23" * 26_000), close(1000), frame(FIN | PING), code=1009)
case("7.3.1", frame(FIN | CLOSE), code=0)
case("7.3.2", frame(FIN | CLOSE, b"a"), code=1002)
case("7.3.3", close(1000), code=1000)
case("7.3.4", close(1000, b"Hello, world!"), code=1000)
case("7.3.5", close(1000, b"*" * 123), code=1000)
case("7.3.6", close(1000, b"*" * 124), code=1002)
case("7.5.1", close(1000, WRONG["6.3"]), code=1007)
for number, code in enumerate(
    (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999), 1
):
    case(f"7.7.{number}", close(code), code=code)
for number, code in enumerate((0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999), 1):
    case(f"7.9.{number}", close(code), code=1002)
case("7.13.1", close(5000), code=1002)
case("7.13.2", close(65_535), code=1002)

# 9 and 10: sizes
case("9.1-over", text(ask(size=MOST + 1)), code=1009)
case("9.2-over", frame(FIN | BINARY, bytes(MOST + 1)), code=1009, binary=True)
for size in (256, 1024, 4096, 16_384, 65_536):
    case(f"9.3-fragments-{size}", *pieces(ask(size=MOST), size), heard=[X])
    case(f"9.3-over-{size}", *pieces(ask(size=MOST + 1), size), code=1009)
for size in (64, 128, 256, 512, 1024, 2048):
    case(f"9.5-chops-{size}", text(ask(size=MOST)), heard=[X], chops=size)
case("9.7", *[text(ask(size=1000))] * 50, heard=[X] * 50)
case("10.1.1", *pieces(ask(size=MOST), 1300), heard=[X])


async def play(raw: Any, one: Case) -> tuple[list[tuple[Any, ...]], int]:
    """What comes back, and the code of the close frame (0: none), which is asked for when the case itself does not."""
    heard: list[tuple[Any, ...]] = []
    expected = len(one.heard)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            sent = trio.Event()
            nursery.start_soon(_send, raw, one, sent)
            while True:
                if one.code is None and len(heard) >= expected:
                    expected = 10**6
                    nursery.start_soon(_close, raw, sent)
                opcode, payload = await raw.frame()
                if opcode == CLOSE:
                    nursery.cancel_scope.cancel()
                    return heard, int.from_bytes(payload[:2])
                assert opcode != -1, "it ended without a close frame"
                if opcode == PONG:
                    heard.append(("pong", payload))
                elif opcode == TEXT:
                    said = json.loads(payload)
                    heard += {"pong": [("text", said.get("echo"))], "error": [("error",)]}.get(said["t"], [])
                elif opcode == BINARY and b"bad_request" in payload:
                    heard.append(("error",))
    raise AssertionError


async def _send(raw: Any, one: Case, sent: trio.Event) -> None:
    whole = b"".join(one.sent)
    step = one.chops or len(whole)
    try:
        for at in range(0, len(whole), step):
            await raw.send(whole[at : at + step])
            await trio.sleep(0)
    except trio.BrokenResourceError:
        assert one.code is not None
    sent.set()


async def _close(raw: Any, sent: trio.Event) -> None:
    await sent.wait()
    await raw.send(close(1000))


@pytest.mark.parametrize("one", CASES, ids=[one.number for one in CASES])
async def test_a_case_of_the_suite(serve: Serve, one: Case) -> None:
    headers = ("Sec-WebSocket-Protocol: tickerd.v1.msgpack",) if one.binary else ()
    async with serve(limits={"control_rate": 1000}) as served:
        async with served.raw(*headers) as raw:
            heard, code = await play(raw, one)
            assert code == (1000 if one.code is None else one.code)
            if one.code is None:
                assert heard == list(one.heard)
            assert await raw.is_over()
        await served.alone()
        assert served.ctx.counts["failed_connections"] == 0


def deflated(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return (packer.compress(content) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


@pytest.mark.parametrize(
    ("sent", "heard", "code"),
    [
        pytest.param([frame(FIN | 0x40 | TEXT, deflated(ask()))], [X], None, id="12.1-message"),
        pytest.param([frame(FIN | TEXT, ask())], [X], None, id="12.1-plain"),
        pytest.param(
            [frame(FIN | 0x40 | TEXT, deflated(ask(size=MOST)))] * 3, [X] * 3, None, id="12.2-largest"
        ),
        pytest.param(
            [frame(0x40 | TEXT, deflated(ask())[:9]), frame(FIN, deflated(ask())[9:])], [X], None, id="12.3-fragments"
        ),
        pytest.param(
            [frame(0x40 | TEXT, deflated(ask())[:9]), frame(FIN | 0x40, deflated(ask())[9:])],
            [], 1002, id="13-bit-on-a-continuation",
        ),
        pytest.param([frame(FIN | 0x40 | PING, b"x")], [], 1002, id="13-bit-on-a-ping"),
        pytest.param([frame(FIN | 0x40 | TEXT, b"\xff" * 20)], [], 1002, id="13-no-deflate"),
        pytest.param([frame(FIN | 0x40 | TEXT, deflated(ask(size=MOST + 1)))], [], 1009, id="13-over"),
        pytest.param([frame(FIN | 0x40 | TEXT, deflated(ask(b"\xff")))], [], 1007, id="13-utf-8"),
    ],
)  # fmt: skip
async def test_a_compressed_case_of_the_suite(
    serve: Serve, sent: list[bytes], heard: list[Any], code: int | None
) -> None:
    async with serve(compress=True) as served:
        async with served.raw("Sec-WebSocket-Extensions: permessage-deflate") as raw:
            found, ended = await play(raw, Case("", sent, heard, code))
            assert ended == (1000 if code is None else code)
            if code is None:
                assert found == heard
        await served.alone()
        assert served.ctx.counts["failed_connections"] == 0
