"""One connection: what is written on it, what is made of the answer, and when it may be used again."""

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from tickerd_plugins.webhook.outbound import Limits, Unreachable
from tickerd_plugins.webhook.outbound.connect import Link
from tickerd_plugins.webhook.outbound.exchange import Exchange, Stale

LINES = [(b"host", b"public.test"), (b"x-a", b"b"), (b"content-length", b"2")]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Wire:
    """A connection whose other end is the test."""

    def __init__(self, **limits):
        self.ours, self.theirs = trio.testing.memory_stream_pair()
        self.something_came = False
        link = Link(self.ours, ("8.8.8.8", 443), lambda: self.something_came)
        self.exchange = Exchange(link, Limits(**limits))

    async def post(self, *said, body=b"{}", end=False):
        for piece in said:
            await self.theirs.send_all(piece)
        if end:
            await self.theirs.send_eof()
        return await self.exchange.post(
            "/hook?a=b", [*LINES[:2], (b"content-length", b"%d" % len(body))], body
        )

    async def refusal(self, *said, end=False):
        with pytest.raises(Unreachable) as refused:
            await self.post(*said, end=end)
        return refused.value


async def test_a_request_is_one_write_and_its_answer_is_read():
    wire = Wire()
    answer = await wire.post(b"HTTP/1.1 202 Fine\r\nContent-Length: 2\r\nX-B: \xe9\r\n\r\nok")
    assert (answer.status, answer.body) == (202, b"ok")
    assert answer.headers == (("content-length", "2"), ("x-b", "\xe9"))
    assert await wire.theirs.receive_some() == (
        b"POST /hook?a=b HTTP/1.1\r\nhost: public.test\r\nx-a: b\r\ncontent-length: 2\r\n\r\n{}"
    )


@pytest.mark.parametrize(
    "said",
    [
        OK,
        b"HTTP/1.1 204 Nothing\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * 3 + OK,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-trailer: a\r\n\r\n",
    ],
)
async def test_the_connection_takes_the_next_request_after_any_complete_answer(said):
    wire = Wire()
    for _ in range(3):
        answer = await wire.post(said)
        assert answer.status in (200, 204)
        assert answer.body in (b"ok", b"")
        assert wire.exchange.end_request()
    assert wire.exchange.reused


async def test_an_answer_in_single_bytes_is_the_same():
    wire = Wire()
    async with trio.open_nursery() as nursery:

        async def drip():
            for byte in OK:
                await wire.theirs.send_all(bytes([byte]))
                await trio.lowlevel.checkpoint()

        nursery.start_soon(drip)
        assert (await wire.post()).body == b"ok"


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        OK + b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno",
    ],
)
async def test_a_connection_that_ends_or_that_says_more_takes_no_other_request(said):
    wire = Wire()
    assert (await wire.post(said)).body == b"ok"
    assert not wire.exchange.end_request()


async def test_a_body_that_ends_with_the_connection_is_read_to_the_end():
    wire = Wire()
    answer = await wire.post(b"HTTP/1.0 200 OK\r\n\r\nfine", end=True)
    assert answer.body == b"fine"
    assert not wire.exchange.end_request()


async def test_only_the_beginning_of_the_body_is_kept_and_it_is_not_decompressed():
    body = b"\x1f\x8b" + b"a" * 5000
    wire = Wire()
    answer = await wire.post(
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    )
    assert answer.body == body[:1024]
    assert wire.exchange.end_request()


async def test_the_longest_body_is_read_and_one_more_byte_is_a_failure():
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n"
    assert (await Wire().post(head % 16384, bytes(16384))).status == 200
    error = await Wire().refusal(head % 16385, bytes(16385))
    assert error.kind == "too_large"


@pytest.mark.parametrize("status", [301, 410, 429, 503])
async def test_the_status_of_a_long_failure_counts_and_its_connection_does_not(status):
    wire = Wire()
    answer = await wire.post(
        b"HTTP/1.1 %d No\r\ncontent-length: 99999\r\nretry-after: 7\r\n\r\n" % status, bytes(20000)
    )
    assert answer.status == status
    assert ("retry-after", "7") in answer.headers
    assert not wire.exchange.end_request()


OK_LINE = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK_LINE + b"transfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "said",
    [
        OK_LINE + b"x: " + b" " * 32000 + b"\0\r\n\r\n",
        OK_LINE + b"x: " + b"\t " * 16000 + b"\0\r\n\r\n",
        OK_LINE + b"x:\r\n" + b" \r\n" * 10000 + b" \0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK_LINE + b"x: " + b" " * 30000 + b"\0\r\n\r\n",
        OK_LINE + b"x: " + (b" " * 256 + b"a") * 120 + b"\0\r\n\r\n",
        CHUNKED + b"0\r\nx: " + b" " * 30000 + b"\0\r\n\r\n",
        CHUNKED + b"1\r\na\r\n0\r\nx:\r\n" + b" \r\n" * 9000 + b" \0\r\n\r\n",
    ],
)
async def test_white_space_that_would_keep_the_processor_busy_never_reaches_the_parser(said):
    error = await Wire().refusal(said)
    assert error.kind in ("protocol", "too_large")
    assert error.__cause__ is None  # the parser, which takes seconds to find out, would be named here


@pytest.mark.parametrize("gap", [1, 200])
async def test_ordinary_gaps_are_read_and_a_body_may_have_any(gap):
    body = b" " * 5000 + b"\n \n\t\r\n\r\n" + b"\r" * 500
    wire = Wire()
    answer = await wire.post(
        b"HTTP/1.1 200 OK\r\nx:" + b" " * gap + b"a\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    )
    assert answer.body == body[:1024]
    assert ("x", "a") in answer.headers
    assert wire.exchange.end_request()


async def test_little_of_a_broken_header_is_repeated():
    error = await Wire().refusal(b"HTTP/1.1 200 OK\r\nx: " + b"\0" * 9000 + b"\r\n\r\n")
    assert error.kind == "protocol"
    assert len(error.detail) < 300
    assert error.detail.isprintable()


async def test_sixty_four_headers_are_read_and_one_more_is_a_failure():
    assert (await Wire().post(b"HTTP/1.1 204 OK\r\n" + b"a: b\r\n" * 64 + b"\r\n")).status == 204
    error = await Wire().refusal(b"HTTP/1.1 204 OK\r\n" + b"a: b\r\n" * 65 + b"\r\n")
    assert error.detail == "the answer has more than 64 headers"


async def test_what_was_said_before_a_hang_up_counts_although_the_request_could_not_be_sent():
    wire = Wire()
    await wire.theirs.send_all(b"HTTP/1.1 413 Too Long\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")

    async def fails(_data):
        raise trio.BrokenResourceError

    wire.ours.send_all = fails
    assert (await wire.post()).status == 413


async def test_a_used_connection_that_has_gone_is_stale_and_a_new_one_is_a_failure():
    fresh = Wire()
    error = await fresh.refusal(end=True)
    assert (error.kind, error.detail) == ("protocol", "the server hung up without an answer")
    used = Wire()
    await used.post(OK)
    assert used.exchange.end_request()
    with pytest.raises(Stale):
        await used.post(end=True)


async def test_a_used_connection_that_breaks_in_the_middle_of_its_answer_is_a_failure():
    wire = Wire()
    await wire.post(OK)
    assert wire.exchange.end_request()
    error = await wire.refusal(b"HTTP/1.1 200 OK\r\n", end=True)
    assert error.kind == "protocol"


async def test_more_around_chunks_than_in_them_is_a_failure():
    chunk = b"1;" + b"x" * 300 + b"\r\na\r\n"
    error = await Wire().refusal(CHUNKED + chunk * 1000 + b"0\r\n\r\n")
    assert error.kind == "too_large"


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200"])
@pytest.mark.parametrize("used", [False, True])
async def test_a_reset_says_when_it_came(said, used):
    wire = Wire()
    if used:
        await wire.post(OK)
        assert wire.exchange.end_request()
    if said:
        await wire.theirs.send_all(said)

    real = wire.ours.receive_some

    async def fails(_most):
        if wire.exchange._read or not said:
            raise trio.BrokenResourceError
        return await real(_most)

    wire.ours.receive_some = fails
    if used and not said:
        with pytest.raises(Stale):
            await wire.post()
        return
    error = await wire.refusal()
    middle = " in the middle of its answer" if said else ""
    assert (error.kind, error.detail) == ("protocol", f"the connection was reset{middle}")


async def test_a_kept_connection_grows_old_and_stale(autojump_clock):
    wire = Wire(idle=5, age=12)
    assert wire.exchange.fresh(trio.current_time())
    await trio.sleep(5)
    assert not wire.exchange.fresh(trio.current_time())
    for _ in range(2):
        await wire.post(OK)
        assert wire.exchange.end_request()
        assert wire.exchange.fresh(trio.current_time())
        await trio.sleep(4)
    await wire.post(OK)
    assert wire.exchange.end_request()
    assert not wire.exchange.fresh(trio.current_time())  # thirteen seconds old


async def test_a_kept_connection_on_which_something_came_is_not_used():
    wire = Wire()
    wire.something_came = True
    assert not wire.exchange.fresh(trio.current_time())


async def test_closing_does_not_wait_for_a_goodbye_that_does_not_go_out(autojump_clock):
    wire = Wire()

    async def stuck():
        await trio.sleep_forever()

    wire.ours.aclose = stuck
    began = trio.current_time()
    await wire.exchange.aclose()
    assert trio.current_time() - began == pytest.approx(0.2)


PIECES = st.sampled_from(
    [
        *(
            b"HTTP/1.1 ",
            b"200",
            b"503 X",
            b"101 A",
            b"100 C",
            b" OK",
            b"\r\n",
            b"\r\n\r\n",
            b"\n",
            b"\r",
            b" ",
            b"\0",
            b":",
        ),
        *(
            b"content-length: ",
            b"transfer-encoding: chunked",
            b"connection: close",
            b"upgrade: x",
            b"0",
            b"1",
            b"5;a=b",
        ),
        *(
            b"-1",
            b"ffffffffffffffffffff",
            b"\xff",
            b"a: b\r\n",
            OK,
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.0 204\r\n",
        ),
    ]
)


@given(st.lists(st.one_of(PIECES, st.binary(max_size=4)), max_size=25), st.booleans())
@settings(max_examples=300)
async def test_any_bytes_are_an_answer_or_a_failure_and_never_a_bug(pieces, good_start):
    wire = Wire(head=200, body=50)
    said = b"HTTP/1.1 200 OK\r\n" * good_start + b"".join(pieces)
    try:
        answer = await wire.post(said, end=True) if said else None
    except Unreachable as error:
        kind = error.kind
    else:
        kind = answer and 100 <= answer.status < 1000 and len(answer.body) <= 50 + 50
        wire.exchange.end_request()
    assert kind in ("protocol", "too_large", True, None)
