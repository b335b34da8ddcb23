"""The download process: the official client against a server that answers well and badly."""

import gzip
import subprocess
import sys
import threading
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest
import trustme

from tickerd_plugins.kite import dump
from tickerd_plugins.kite.dump import Request, UnusableError, answer, explain, table
from tickerd_plugins.kite.rows import unpack

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
        header, runs = unpack(answer(Request(**values)))
        return header, [instrument for run in runs for instrument in run]

    return run


def test_the_dump_comes_through_the_official_client(ask, server):
    header, instruments = ask()
    assert header.error == ""
    assert [i.symbol for i in instruments] == ["NSE:INFY", "NSE:NIFTY 50", "NFO:NIFTY26DEC26000CE"]
    option = instruments[2]
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


def test_a_process_of_its_own_reads_the_request_from_its_input(server):
    request = msgspec.json.encode(Request(api_key="KEY", access_token="SECRETTOKEN", root=server.root))
    code = (
        "import runpy, sys; sys.argv = ['dump']; runpy.run_module('tickerd_plugins.kite.dump', run_name='__main__');"
        "assert not any(m.startswith(('twisted.internet', 'autobahn')) for m in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=request, capture_output=True, check=True, timeout=60
    )
    header, runs = unpack(done.stdout)
    assert (header.error, header.rows, sum(map(len, runs))) == ("", 3, 3)
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


def test_an_answer_that_unpacks_into_too_much_memory_is_refused(server):
    bomb = gzip.compress(bytes(400 * 2**20), compresslevel=1)
    server.reply = (200, {"Content-Type": "text/csv", "Content-Encoding": "gzip"}, bomb)
    request = msgspec.json.encode(Request(api_key="K", root=server.root, memory=512 * 2**20))
    done = subprocess.run(
        [sys.executable, "-m", dump.__name__], input=request, capture_output=True, check=True
    )
    assert unpack(done.stdout)[0].error == "the dump is too large for the memory that a download may use"
