"""What passes the gate, and what does not."""

import h11
import pytest

from tickerd.control.gate import GatedConnection, Refused, check_head
from tickerd.control.limits import Limits

LIMITS = Limits(head_bytes=2048, target_bytes=256, headers=8, body_bytes=100, chunks=10)


def status_of(head: bytes) -> int:
    try:
        check_head(head, LIMITS)
    except Refused as refused:
        return refused.status
    return 200


def request(*headers: bytes, line: bytes = b"GET / HTTP/1.1", host: bytes | None = b"Host: x") -> bytes:
    return b"\r\n".join([line, *([host] if host else []), *headers])


@pytest.mark.parametrize(
    "head",
    [
        request(),
        request(line=b"GET / HTTP/1.0", host=None),
        request(line=b"GET /v1/quotes?i=NSE:NIFTY%2050&x=%2f..%00 HTTP/1.1"),
        request(line=b"DELETE /a.b/..c/... HTTP/1.1"),
        request(b"Content-Length: 100", line=b"POST / HTTP/1.1"),
        request(b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.1"),
        request(b"X-Name: caf\xe9", b"Empty:", b"Expect: 100-continue"),
        request(host=b"Host: [::1]:7801"),
    ],
)
def test_what_rfc_9112_calls_a_request_passes(head: bytes) -> None:
    assert status_of(head) == 200


@pytest.mark.parametrize(
    ("head", "status"),
    [
        # framing that two programs may read differently
        (request(b"Content-Length: 1", b"Transfer-Encoding: chunked"), 400),
        (request(b"Content-Length: 1", b"Content-Length: 1"), 400),
        (request(b"Content-Length: 1, 1"), 400),
        (request(b"Content-Length: +1"), 400),
        (request(b"Content-Length: -1"), 400),
        (request(b"Content-Length: 0x10"), 400),
        (request(b"Content-Length:"), 400),
        (request(b"Content-Length: 101"), 413),
        (request(b"Content-Length: 99999999999999999999"), 400),
        (request(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), 400),
        (request(b"Transfer-Encoding: gzip, chunked"), 501),
        (request(b"Transfer-Encoding: identity"), 501),
        (request(b"Transfer-Encoding: \x0bchunked"), 400),
        (request(b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.0"), 400),
        # lines
        (request(b"Name : value"), 400),
        (request(b" folded: line"), 400),
        (request(b"A: b", b"\tc"), 400),
        (request(b"no colon"), 400),
        (request(b": no name"), 400),
        (request(b"A: b\x00c"), 400),
        (request(b"A: b\nEvil: c"), 400),
        (request(b"A: b\rEvil: c"), 400),
        (request(b"A: \x1b[31m"), 400),
        (request(*[b"A: b"] * 9), 431),
        (request(b"A: " + b"b" * 2048), 431),
        # hosts
        (request(host=None), 400),
        (request(b"Host: y"), 400),
        (request(host=b"Host: caf\xe9"), 400),
        (request(host=b"Host: a/b"), 400),
        (request(host=b"Host: " + b"a" * 300), 400),
        # other protocols
        (request(b"Upgrade: websocket", b"Connection: Upgrade"), 400),
        (request(b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"), 400),
        (request(b"HTTP2-Settings: !!"), 400),
        (request(line=b"PRI * HTTP/2.0", host=None), 505),
        (request(line=b"GET / HTTP/3.0"), 505),
        (request(line=b"GET / HTTP/1.2"), 505),
        (request(line=b"CONNECT evil:443 HTTP/1.1"), 405),
        (request(line=b"TRACE / HTTP/1.1"), 405),
        (request(line=b"BREW / HTTP/1.1"), 501),
        (request(line=b"get / HTTP/1.1"), 501),
        (request(b"Expect: 200-ok"), 417),
        # request lines
        (request(line=b"GET /"), 400),
        (request(line=b"GET  / HTTP/1.1"), 400),
        (request(line=b"GET / HTTP/1.1 "), 400),
        (request(line=b"GET /\xe9 HTTP/1.1"), 400),
        (request(line=b"GET http://x/ HTTP/1.1"), 400),
        (request(line=b"OPTIONS * HTTP/1.1"), 400),
        (request(line=b"GET ?a HTTP/1.1"), 400),
        (request(line=b"GET /" + b"a" * 256 + b" HTTP/1.1"), 414),
        (b"", 400),
        # paths that somebody might decode twice
        (request(line=b"GET /a/../b HTTP/1.1"), 400),
        (request(line=b"GET /a/.. HTTP/1.1"), 400),
        (request(line=b"GET /a/./b HTTP/1.1"), 400),
        (request(line=b"GET /a/%2e%2E/b HTTP/1.1"), 400),
        (request(line=b"GET /a%2fb HTTP/1.1"), 400),
        (request(line=b"GET /a%5Cb HTTP/1.1"), 400),
        (request(line=b"GET /a\\b HTTP/1.1"), 400),
        (request(line=b"GET /a%00 HTTP/1.1"), 400),
        (request(line=b"GET /a%zz HTTP/1.1"), 400),
        (request(line=b"GET /a#b HTTP/1.1"), 400),
    ],
)
def test_everything_else_is_refused(head: bytes, status: int) -> None:
    assert status_of(head) == status


def events(data: bytes) -> list[object]:
    """Names of the events that some bytes make, or the status of the refusal."""
    connection = GatedConnection(LIMITS)
    connection.receive_data(data)
    found: list[object] = []
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            return [*found, error.error_status_hint]
        if event in (h11.NEED_DATA, h11.PAUSED):
            return found
        found.append(bytes(event.data) if isinstance(event, h11.Data) else type(event).__name__)


def test_a_bare_line_feed_at_the_very_end_of_the_head_is_refused() -> None:
    assert events(b"GET / HTTP/1.1\r\nHost: x\n\r\n") == [400]
    assert events(b"GET / HTTP/1.1\r\nHost: x\r\n\n") == [400]
    assert events(b"GET / HTTP/1.1\nHost: x\n\n") == [400]


def test_a_head_without_an_end_is_refused_when_it_is_too_long() -> None:
    assert events(b"GET / HTTP/1.1\r\nA: " + b"b" * 2048) == [431]
    assert events(b"GET / HTTP/1.1\r\nA: b") == []


CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_the_pieces_of_a_body_are_handed_on_together() -> None:
    data = CHUNKED + b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n"
    assert events(data) == ["Request", b"ab", "EndOfMessage"]


def test_a_body_that_has_not_come_yet_is_waited_for() -> None:
    connection = GatedConnection(LIMITS)
    connection.receive_data(CHUNKED + b"1\r\na\r\n")
    assert type(connection.next_event()) is h11.Request
    assert connection.next_event().data == b"a"
    assert connection.next_event() is h11.NEED_DATA
    connection.receive_data(b"1\r\nb\r\n0\r\n\r\n")
    assert connection.next_event().data == b"b"
    assert type(connection.next_event()) is h11.EndOfMessage


def test_a_chunked_body_is_bounded_by_its_bytes_and_by_its_pieces() -> None:
    assert events(CHUNKED + b"65\r\n" + b"x" * 101) == ["Request", 413]
    assert events(CHUNKED + b"1\r\nx\r\n" * 11) == ["Request", 400]
    assert events(CHUNKED + b"1\r\nx\r\n" * 10 + b"0\r\n\r\n") == ["Request", b"x" * 10, "EndOfMessage"]


def test_many_small_pieces_are_not_worked_through_in_one_step() -> None:
    connection = GatedConnection(Limits())
    connection.receive_data(CHUNKED + b"1\r\nx\r\n" * 150 + b"0\r\n\r\n")
    seen: list[object] = []
    while len(seen) < 5:
        seen.append(connection.next_event())
    sizes = [len(event.data) for event in seen if isinstance(event, h11.Data)]
    assert sizes == [64, 64, 22]


def test_the_counts_begin_anew_with_each_request() -> None:
    connection = GatedConnection(LIMITS)
    for _ in range(3):
        connection.receive_data(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 60\r\n\r\n" + b"x" * 60)
        names = [type(connection.next_event()).__name__ for _ in range(3)]
        assert names == ["Request", "Data", "EndOfMessage"]
        for event in (h11.Response(status_code=204, headers=[]), h11.EndOfMessage()):
            connection.send(event)
        connection.start_next_cycle()


def test_a_refusal_says_why_without_quoting_the_request() -> None:
    connection = GatedConnection(LIMITS)
    connection.receive_data(b"GET / HTTP/1.1\r\nHost: x\r\nse cret: value\r\n\r\n")
    with pytest.raises(Refused, match="a header line is malformed") as raised:
        connection.next_event()
    assert connection.refused is raised.value
    assert "secret" not in str(raised.value)


def read_all(connection: GatedConnection) -> None:
    while connection.next_event() is not h11.NEED_DATA:
        pass


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nX:" + b" " * 16_000 + b"\0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: a" + b"\t" * 16_000 + b"b\r\n\r\n",
        CHUNKED + b"0\r\nX:" + b" " * 15_000 + b"\0\r\n\r\n",
    ],
)
def test_a_gap_that_would_take_the_parser_long_is_refused_before_it_looks(sent: bytes) -> None:
    connection = GatedConnection(Limits())
    connection.receive_data(sent)
    with pytest.raises(Refused, match=r"malformed|gap"):  # the parser raises an error of its own, or none
        read_all(connection)
