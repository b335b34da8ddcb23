"""A control API for commands to talk to."""

import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from tickerd.observe.picture import JournalPicture, Picture, SinkPicture, SourcePicture, Totals


class FakeApi:
    """Answers what tests have put into it, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}
        """By path without its query: status, and a value for JSON or bytes."""
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.socket = ""
        self.url = ""

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """For a server."""
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                api.asked.append((self.command, self.path, headers, self.rfile.read(length)))
                status, value = api.answers.get(self.path.partition("?")[0], (404, {}))
                body = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_DELETE = do_GET

            def address_string(self) -> str:
                return "unix"

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


class UnixServer(socketserver.UnixStreamServer):
    """HTTP over a Unix socket."""


@pytest.fixture
def fake_api(tmp_path: Path) -> Iterator[FakeApi]:
    """One on a Unix socket and on TCP, served by threads."""
    api = FakeApi()
    api.socket = str(tmp_path / "api.sock")
    servers = [UnixServer(api.socket, api.handler()), HTTPServer(("127.0.0.1", 0), api.handler())]
    api.url = f"http://127.0.0.1:{servers[1].server_address[1]}"
    threads = [threading.Thread(target=server.serve_forever, args=(0.01,)) for server in servers]
    for thread in threads:
        thread.start()
    yield api
    for server, thread in zip(servers, threads, strict=True):
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def overview() -> dict[str, Any]:
    """What ``/v1/status`` answers, of a daemon with one source and one sink."""

    picture = Picture(
        version="1.2.3",
        epoch=4,
        now_ns=1_790_000_000_000_000_000,
        uptime_s=3723.0,
        ready=True,
        ticks_per_s=1234.0,
        totals=Totals(ticks=5000, gaps=1),
        sources=(
            SourcePicture(
                name="kite",
                use="kite",
                state="running",
                reported="connected",
                totals=Totals(ticks=5000, bytes=920_000),
                last_tick_age_s=0.25,
                wanted=300,
                unresolved_count=2,
                reconnects={"reset": 3},
            ),
        ),
        sinks=(
            SinkPicture(
                name="archive",
                use="file",
                state="running",
                written=4990,
                dropped={"slow_consumer": 10},
                queued_bytes=2048,
                queue_age_s=0.1,
            ),
        ),
        journal=JournalPicture(state="writing", bytes=3 * 2**20, segments=2),
    )
    shown = json.loads(TypeAdapter(Picture).dump_json(picture))
    return {"status": "up", "reasons": [], "picture": shown}
