"""The download process: the official client against a server that answers well and badly."""

import gzip
import resource
import subprocess
import sys
import threading
import time
from datetime import date
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest
import trustme

from tickerd.plugin import Listing
from tickerd_plugins.kite import dump
from tickerd_plugins.kite.dump import Request, UnusableError, ahead_s, answer, compare, explain, table
from tickerd_plugins.kite.instruments import decode, download
from tickerd_plugins.kite.rows import NAMESPACE, Header, unpack

COLUMNS = (
    "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,"
    "instrument_type,segment,exchange"
)
CSV = f"""\
{COLUMNS}
408065,1594,INFY,INFOSYS,0,,0,0.05,1,EQ,NSE,NSE
256265,1001,NIFTY 50,NIFTY 50,0,,0,0,0,EQ,INDICES,NSE
12345602,48225,NIFTY26DEC26000CE,NIFTY,0,2026-12-31,26000,0.05,75,CE,NFO-OPT,NFO
""".encode()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        status, headers, body = self.server.reply
        self.server.seen.append((self.path, dict(self.headers)))
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    """An HTTP server whose answer the test sets: (status, headers, body)."""
    found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.reply = (200, {"Content-Type": "text/csv"}, CSV)
    found.seen = []
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    found.root = f"http://127.0.0.1:{found.server_port}"
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


@pytest.fixture
def ask(server):
    """What the download says of the server's answer: its header and instruments."""

    def run(**values):
        values = {
            "api_key": "KEY",
            "access_token": "SECRETTOKEN",
            "root": server.root,
            "timeout": 5.0,
        } | values
        header, rows = unpack(answer(Request(**values)))
        return header, list(Listing.unpack(rows).values()) if rows else []

    return run


def test_the_dump_comes_through_the_official_client(ask, server):
    header, instruments = ask()
    assert header.error == ""
    assert [i.symbol for i in instruments] == ["NFO:NIFTY26DEC26000CE", "NSE:INFY", "NSE:NIFTY 50"]
    option = instruments[0]
    assert (option.expiry, option.strike, option.lot_size, option.name) == (
        "2026-12-31",
        26000.0,
        75,
        "NIFTY",
    )
    ((path, headers),) = server.seen
    assert path == "/instruments"
    assert headers["Authorization"] == "token KEY:SECRETTOKEN"
    assert headers["X-Kite-Version"] == "3"


@pytest.mark.parametrize(("off_s", "ahead_s"), [(0, 0), (-600, 600), (600, -600)])
def test_a_clock_that_is_wrong_shows_in_the_answers_date(ask, server, monkeypatch, off_s, ahead_s):
    wrong = formatdate(time.time() + off_s, usegmt=True)
    monkeypatch.setattr(Handler, "date_time_string", lambda self: wrong)
    assert ask()[0].host_ahead_s == pytest.approx(ahead_s, abs=5)


@pytest.mark.parametrize("text", [None, "", "yesterday", "Thu, 01 Jan 1970 00:00:00 -0000"])
def test_a_date_that_says_nothing_is_no_date(text):
    assert ahead_s(text, 0.0) is None


def test_how_long_to_wait_after_a_429_is_handed_over(ask, server):
    server.reply = (429, {"Content-Type": "text/html", "Retry-After": "33"}, b"slow down")
    header, _ = ask()
    assert (header.too_often, header.retry_after) == (True, 33)
    server.reply = (502, {"Content-Type": "text/html", "Retry-After": "33"}, b"bad gateway")
    header, _ = ask()
    assert (header.too_often, header.retry_after) == (False, None)


def test_a_process_of_its_own_reads_the_request_from_its_input(server):
    request = msgspec.json.encode(Request(api_key="KEY", access_token="SECRETTOKEN", root=server.root))
    code = (
        "import runpy, sys; sys.argv = ['dump']; runpy.run_module('tickerd_plugins.kite.dump', run_name='__main__');"
        "assert not any(m.startswith(('twisted.internet', 'autobahn')) for m in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=request, capture_output=True, check=True, timeout=60
    )
    header, rows = unpack(done.stdout)
    assert (header.error, header.rows, len(Listing.unpack(rows))) == ("", 3, 3)
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (
            (200, {"Content-Type": "text/html; charset=utf-8"}, b"<html>Bad gateway</html>"),
            "the answer is not an instrument dump (content type text/html; charset=utf-8)",
        ),
        (
            (200, {"Content-Type": "text/csv"}, b"<html>Bad gateway</html>\nmore"),
            "the answer is not an instrument dump, or is cut off",
        ),
        (
            (200, {"Content-Type": "text/csv"}, CSV.replace(b"strike", b"struck")),
            "the answer has no column 'strike'",
        ),
        ((200, {"Content-Type": "text/csv"}, b""), "the dump holds no rows"),
        ((200, {"Content-Type": "text/csv"}, CSV[:-5]), "the dump is cut off in row 3"),
        (
            (200, {"Content-Type": "text/csv"}, CSV[:-20]),
            "the answer is not an instrument dump, or is cut off",
        ),
        ((200, {"Content-Type": "text/csv", "Content-Length": "100000"}, CSV), "the dump is cut off"),
        (
            (200, {"Content-Type": "application/json"}, b"{"),
            "the answer is not an instrument dump (not what was announced)",
        ),
        (
            (
                500,
                {"Content-Type": "application/json"},
                b'{"status":"error","error_type":"OrderException","message":"x"}',
            ),
            "HTTP 500, OrderException: x",
        ),
        (
            (502, {"Content-Type": "text/html"}, b"<html>"),
            "the answer is not an instrument dump (content type text/html)",
        ),
    ],
)
def test_a_bad_answer_is_told_in_words(ask, server, reply, words):
    server.reply = reply
    header, instruments = ask()
    assert header.error == words
    assert not header.auth
    assert instruments == []


def test_a_refused_token_is_told_apart_and_never_shown(ask, server):
    words = "Incorrect `api_key` or `access_token` SECRETTOKEN"
    body = msgspec.json.encode({"status": "error", "error_type": "TokenException", "message": words})
    server.reply = (403, {"Content-Type": "application/json"}, body)
    header, _ = ask()
    assert header.auth
    assert header.error == "HTTP 403, TokenException: Incorrect `api_key` or `access_token` …"


def test_an_answer_above_the_limit_is_not_read(ask):
    assert ask(max_bytes=100)[0].error == "the dump is larger than 100 bytes"


def test_nobody_there_is_told_in_words(ask):
    assert ask(root="http://127.0.0.1:1")[0].error == "cannot reach rest_url: connection refused"


@pytest.fixture
def tls(server, tmp_path):
    """Makes the server speak TLS with a certificate for that name; returns the file of its authority."""

    def secure(name):
        import ssl

        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.root = server.root.replace("http:", "https:")
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        return str(tmp_path / "ca.pem")

    return secure


def test_a_certificate_of_the_extra_authority_is_trusted(ask, tls):
    assert ask(ca_file=tls("127.0.0.1"))[0].error == ""


def test_an_unknown_certificate_is_refused_before_the_token_leaves(ask, tls, server):
    tls("127.0.0.1")
    header, _ = ask()
    assert header.error.startswith("tls: certificate verify failed: ")
    assert server.seen == []


def test_a_certificate_for_another_name_is_refused_before_the_token_leaves(ask, tls, server):
    header, _ = ask(ca_file=tls("example.org"))
    assert header.error.startswith("tls: certificate verify failed: ")
    assert server.seen == []


def good(token, **changes):
    return {
        "instrument_token": token, "tradingsymbol": f"S{token}", "name": "", "expiry": "", "strike": 0.0,
        "tick_size": 0.05, "lot_size": 1, "instrument_type": "EQ", "segment": "NSE", "exchange": "NSE", **changes,
    }  # fmt: skip


def test_single_bad_rows_are_left_out_and_counted():
    raw = [good(token) for token in range(1, 1001)]
    raw[10]["exchange"] = None
    raw[11]["tradingsymbol"] = "x" * 200
    raw[12]["instrument_token"] = 0
    raw[13]["tradingsymbol"] = "S20"
    raw[14]["expiry"] = date(2026, 12, 31)
    rows, skipped = table(raw)
    assert (len(rows), skipped) == (996, 4)
    assert {row[2]: row[6] for row in rows}["S15"] == "2026-12-31"


def test_the_name_of_a_derivative_that_has_none_is_what_its_symbol_begins_with():
    raw = [
        good(1, tradingsymbol="M&M26DEC3500CE", instrument_type="CE"),
        good(2, tradingsymbol="BAJAJ-AUTO26DECFUT", instrument_type="FUT"),
        good(3, tradingsymbol="NIFTY26DECFUT", instrument_type="FUT", name="GIVEN"),
        good(4, tradingsymbol="3MINDIA26DECFUT", instrument_type="FUT"),
        good(5, tradingsymbol="ABC26"),
    ]
    assert [row[3] for row in table(raw)[0]] == ["M&M", "BAJAJ-AUTO", "GIVEN", "", ""]


def listing(*rows):
    """Of (symbol, token, expiry)."""
    return Listing.of_rows(
        NAMESPACE, [(t, "NFO", s, "", "NFO-OPT", "CE", e, 1.0, 1, 0.05) for s, t, e in rows]
    )


def test_what_is_another_than_in_the_copy_is_counted():
    header = Header()
    old = listing(("A", 1, ""), ("B", 2, ""), ("C", 3, "2026-11-20"), ("D", 4, "2026-11-30"), ("E", 5, ""))
    new = listing(("A", 1, ""), ("B", 3, ""), ("E", 5, ""), ("F", 6, ""), ("G", 7, ""))
    compare(header, old, new, "2026-11-23")
    assert (header.added, header.changed, header.expired, header.lost) == (2, 1, 1, 1)
    assert header.compared == 4  # all but what had to go


@pytest.mark.parametrize(("root", "lost"), [("here", 1), ("elsewhere", 0)])
def test_only_a_copy_from_the_same_place_is_compared_with(ask, server, tmp_path, root, lost):
    where = server.root if root == "here" else "http://elsewhere"
    copy = tmp_path / "copy"
    copy.write_bytes(listing(("GONE", 1, "")).pack({"root": where}))
    header, _ = ask(previous=str(copy), now_ns=10**18)
    assert (header.lost, header.compared) == (lost, lost)
    copy.write_bytes(b"rubbish")
    assert ask(previous=str(copy))[0].compared == 0


def test_the_rows_say_where_they_come_from_and_when(server):
    _, rows = unpack(answer(Request(api_key="K", root=server.root, now_ns=77)))
    assert Listing.unpack(rows).about == {"root": server.root, "fetched_ns": 77}


def test_many_bad_rows_are_a_bad_dump():
    raw = [good(token, name=None if token % 50 == 0 else "") for token in range(1, 1002)]
    with pytest.raises(UnusableError, match="20 of 1001 rows cannot be used"):
        table(raw)


def test_a_bad_last_row_means_that_the_dump_is_cut_off():
    with pytest.raises(UnusableError, match="the dump is cut off in row 1000"):
        table([*(good(token) for token in range(1, 1000)), good(1000, exchange=None)])


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "the dump is too large for the memory that a download may use"),
        (TimeoutError("timed out"), "no answer in time"),
        (OSError("getaddrinfo failed"), "dns: cannot look up the host of rest_url"),
        (OSError("something else"), "the download failed (OSError)"),
        (RuntimeError("x"), "the download failed (RuntimeError)"),
    ],
)
def test_other_errors_become_short_words(error, words):
    assert explain(error).error == words


def test_a_tls_failure_without_a_certificate_is_told():
    from requests.exceptions import SSLError

    assert explain(SSLError("WRONG_VERSION_NUMBER")).error == "tls: handshake failed"


@pytest.mark.full
def test_an_answer_that_unpacks_into_too_much_memory_is_refused(server):
    bomb = gzip.compress(bytes(400 * 2**20), compresslevel=1)
    server.reply = (200, {"Content-Type": "text/csv", "Content-Encoding": "gzip"}, bomb)
    request = msgspec.json.encode(Request(api_key="K", root=server.root, memory=512 * 2**20))
    done = subprocess.run(
        [sys.executable, "-m", dump.__name__], input=request, capture_output=True, check=True
    )
    assert unpack(done.stdout)[0].error == "the dump is too large for the memory that a download may use"


@pytest.mark.full
async def test_a_hundred_and_twenty_thousand_rows_cost_the_daemon_next_to_nothing(server, tmp_path):
    """The whole way, in seconds of processor time: the download process, and what is left for the daemon."""
    shares = (f"{n * 256 + 1},{n},STOCK{n},COMPANY {n},0,,0,0.05,1,EQ,NSE,NSE" for n in range(9_000))
    options = (
        f"{n * 256 + 2},{n},N{n % 200}26NOV{n // 200 * 50}CE,N{n % 200},0,2026-11-{n % 28 + 1:02d},{n // 200 * 50},"
        "0.05,75,CE,NFO-OPT,NFO"
        for n in range(9_000, 120_000)
    )
    server.reply = (200, {"Content-Type": "text/csv"}, "\n".join([COLUMNS, *shares, *options]).encode())
    request = msgspec.json.encode(Request(api_key="KEY", root=server.root))
    begun, own = resource.getrusage(resource.RUSAGE_CHILDREN), time.process_time()
    raw = await download(request, 60, 2**26)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    before = time.process_time()
    listing = decode(raw).listing
    loading = time.process_time() - before
    assert len(listing) == 120_000
    assert listing["NSE:STOCK8999"].token == 8999 * 256 + 1
    assert loading < 0.3
    assert before - own < 1.0
    assert ended.ru_utime - begun.ru_utime < 4.0
