"""A ping from a configuration alone, to a receiver in this process that the command, in another one, reaches."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import standardwebhooks

SECRET = "whsec_" + "A" * 44


@pytest.fixture
def receiver():
    got = []

    class Handler(BaseHTTPRequestHandler):
        status = 200

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append((dict(self.headers.items()), body))
            self.send_response(Handler.status)
            self.send_header("content-length", "6")
            self.end_headers()
            self.wfile.write(b"hi\x1b[2J")

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.got, server.handler = got, Handler
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def tickerd(tmp_path, receiver):
    port = receiver.server_address[1]
    rule = f"{{network: 127.0.0.1/32, host: 127.0.0.1, port: {port}, http: true}}"
    file = tmp_path / "tickerd.yaml"
    file.write_text(
        f"sources: {{s: {{use: replay, paths: [x.jsonl]}}}}\nstate: {{dir: {tmp_path}}}\nsinks:\n"
        f"  w: {{use: webhook, url: 'http://127.0.0.1:{port}/h', secret: {SECRET}, allow_private: [{rule}]}}\n"
        "  f: {use: file, path: x.jsonl}\n"
    )

    def run(*words):
        command = [sys.executable, "-m", "tickerd", "webhooks", "test", *words, "-c", str(file)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    return run


def test_a_signed_ping_is_sent_and_what_came_back_is_shown(tickerd, receiver):
    done = tickerd("w")
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("w took it: status 200, accepted (0.")
    assert second == r"it said: hi\x1b[2J"
    ((headers, body),) = receiver.got
    told = standardwebhooks.Webhook(SECRET).verify(body, headers)
    assert told["type"] == "endpoint.ping"
    assert SECRET not in done.stdout + done.stderr


def test_one_that_is_not_taken_ends_with_1(tickerd, receiver):
    receiver.handler.status = 410
    done = tickerd("w", "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert (told["ok"], told["status"]) == (False, 410)


@pytest.mark.parametrize(
    ("name", "words"), [("x", "there is no sink 'x'"), ("f", "'f' is no sink that can be")]
)
def test_what_cannot_be_tried_out_is_told(tickerd, name, words):
    done = tickerd(name)
    assert done.returncode == 2
    assert words in done.stderr
