"""Sockets that systemd holds: a restart refuses nobody."""

import json
import textwrap

import pytest

pytestmark = [pytest.mark.full, pytest.mark.root]

LOAD = """
    import collections, http.client, json, os, socket, sys, threading, time
    counts = collections.Counter()
    longest = 0.0
    def connect(kind):
        if kind == "tcp":
            return socket.create_connection(("127.0.0.1", 7800), 20)
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(20)
        made.connect("/run/tickerd.sock")
        return made
    def ask(kind):
        global longest
        while not os.path.exists("/run/enough"):
            began = time.monotonic()
            try:
                with connect(kind) as to:
                    connected = f"{kind} connected"
                    counts[connected] += 1
                    to.sendall(b"GET /livez HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n")
                    answer = b""
                    while more := to.recv(4096):
                        answer += more
                counts[f"{kind} answered" if answer.startswith(b"HTTP/1.1 ") else f"{kind} empty"] += 1
            except (ConnectionRefusedError, FileNotFoundError):
                counts["refused"] += 1
            except OSError as error:
                counts[f"{kind} {type(error).__name__}"] += 1
            longest = max(longest, time.monotonic() - began)
            time.sleep(0.005)
    threads = [threading.Thread(target=ask, args=(kind,)) for kind in ("unix", "unix", "tcp", "tcp")]
    [one.start() for one in threads]
    [one.join() for one in threads]
    print(json.dumps({**counts, "longest": longest}))
"""


@pytest.fixture
def both(tickerd, default_config):
    """The service with both .socket units, and a sink that serves clients on the second."""
    stream = 'auth: {keys: {use: api_key}}\nsinks: {stream: {use: websocket, listen: "127.0.0.1:7800", auth: [keys]}, '
    tickerd.configure(default_config.replace("sinks: {", stream))
    tickerd.lab("systemctl", "start", "tickerd-stream.socket")
    tickerd.start()
    return tickerd


def test_five_restarts_under_load_refuse_no_connection(both):
    tickerd = both
    load = tickerd.lab.start("/usr/bin/python3", "-c", textwrap.dedent(LOAD))
    try:
        for _ in range(5):
            tickerd.lab("systemctl", "restart", "tickerd.service")
    finally:
        tickerd.lab("touch", "/run/enough")
        text = load.communicate(timeout=60)[0]
        tickerd.lab("rm", "/run/enough")
    counts = json.loads(text)
    assert "refused" not in counts, counts
    assert counts["tcp answered"] > 50, counts
    assert counts["unix answered"] > 50, counts
    asked = counts["tcp connected"] + counts["unix connected"]
    answered = counts["tcp answered"] + counts["unix answered"]
    assert asked - answered <= 0.02 * asked, counts  # accepted, without a complete request, when the end came
    assert counts["longest"] < 15, counts
    assert len(tickerd.log("ready")) == 6


def test_a_connection_starts_the_service(tickerd):
    tickerd.lab("systemctl", "start", "tickerd.socket")
    assert tickerd.show("ActiveState") == "inactive"
    assert tickerd.api("/livez")["status"] == "up"
    tickerd.until("active", lambda: tickerd.show("ActiveState") == "active")


def test_the_socket_is_open_to_its_group_and_outlives_the_service(tickerd):
    tickerd.start()
    assert tickerd.lab("stat", "-c", "%a %U %G", "/run/tickerd.sock").split() == [
        "660",
        "root",
        "tickerd-api",
    ]
    tickerd.lab("systemctl", "stop", "tickerd.service")
    assert tickerd.lab("stat", "-c", "%F", "/run/tickerd.sock").strip() == "socket"


def test_a_socket_that_the_configuration_does_not_use_is_told(both, default_config):
    both.configure(default_config)
    both.lab("systemctl", "restart", "tickerd.service")
    (told,) = both.log("sockets that systemd has opened are not used")
    assert told["addresses"] == ["127.0.0.1:7800"]


def test_a_request_in_flight_is_answered_before_the_end(both):
    """The event stream stays open: it is cut at the limit, and does not hold the end up for long."""
    stream = both.lab.start(
        "curl", "-sSN", "-m", "60", "--unix-socket", "/run/tickerd.sock", "http://tickerd/v1/events"
    )
    both.lab("sleep", "0.5")
    both.lab("systemctl", "restart", "tickerd.service", timeout=30)
    stream.communicate(timeout=30)
    assert both.api("/livez")["status"] == "up"
