"""Whoever the daemon connects to: real sockets on loopback, with certificates made for the test."""

import socket
import ssl
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import trustme

from tickerd.cli.checkup.network import network, peers

KITE = """
sources:
  kite: {{use: kite, api_key: abcdefgh, access_token: secrettoken, {1}}}
state: {{dir: 'DIR/state'}}
"""


def yaml(url, more=""):
    web = url.replace("ws", "http", 1) if url.startswith("ws") else url
    stream = url.replace("http", "ws", 1) if url.startswith("http") else url
    return KITE.format("", f'ws_url: "{stream}", rest_url: "{web}", login_url: "{web}"{more}')


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@contextmanager
def serving(answer, context=None):
    """Answers each connection with these bytes; its port."""
    listening = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def serve():
        while not stop.is_set():
            taken, _ = listening.accept()
            try:
                secured = taken if context is None else context.wrap_socket(taken, server_side=True)
                secured.settimeout(2)
                if secured.recv(4096):
                    secured.sendall(answer)
                secured.close()
            except OSError:
                taken.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        stop.set()
        socket.create_connection(listening.getsockname()).close()
        thread.join()
        listening.close()


@pytest.fixture
def tls(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


def dated(moment):
    return f"HTTP/1.1 200 OK\r\nDate: {format_datetime(moment, usegmt=True)}\r\nContent-Length: 0\r\n\r\n".encode()


def kite(patient, port, authority, tmp_path, **more):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    text = yaml(f"https://localhost:{port}", f", ca_file: {tmp_path / 'ca.pem'}")
    return patient(text=text, timeout_s=2.0, **more)


def test_an_address_that_answers_with_the_right_time_is_fine(patient, said, authority, tls, tmp_path):
    with serving(dated(datetime.now(UTC)), tls) as port:
        found = list(network(kite(patient, port, authority, tmp_path)))
    assert [(one.check, one.level) for one in found] == [("network", "ok"), ("clock", "ok")]
    assert f"source.kite: localhost:{port}: answers with TLSv1.3" in found[0].text
    assert "secrettoken" not in str(found)


@pytest.mark.parametrize(("hours", "side"), [(1, "behind"), (-1, "ahead of")])
def test_a_clock_that_differs_is_told(patient, said, authority, tls, tmp_path, hours, side):
    with serving(dated(datetime.now(UTC) + timedelta(hours=hours)), tls) as port:
        ((level, text),) = said(network(kite(patient, port, authority, tmp_path)))
    assert level == "warning"
    assert f" s {side} localhost's" in text


def test_a_server_that_is_no_web_server_is_fine_too(patient, said, authority, tls, tmp_path):
    with serving(b"whatever\r\n", tls) as port:
        assert said(network(kite(patient, port, authority, tmp_path))) == []


def test_a_certificate_that_nobody_trusts_is_told(patient, said, tls):
    with serving(b"", tls) as port:
        ((level, text),) = said(network(patient(text=yaml(f"https://localhost:{port}"))))
    assert level == "problem"
    assert "its certificate is not trusted" in text


def test_nobody_there_and_an_unknown_name_are_told(patient, said):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ((level, text),) = said(network(patient(text=yaml(f"http://127.0.0.1:{port}"))))
    assert level == "problem"
    assert "refused" in text


def test_an_unknown_name_is_told(patient, said, monkeypatch):
    def unknown(*_):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "create_connection", unknown)
    ((level, text),) = said(network(patient(text=yaml("https://nowhere.example"))))
    assert (level, text) == (
        "problem", "source.kite: nowhere.example:443: the name is not known to DNS (Name or service not known)"
    )  # fmt: skip


def test_without_tls_it_answers_and_no_time_is_asked(patient, said):
    with serving(b"") as port:
        (one,) = network(patient(text=yaml(f"ws://127.0.0.1:{port}")))
    assert one.text.endswith("answers, without TLS")


def test_offline_asks_nobody(patient, monkeypatch):
    monkeypatch.setattr(socket, "create_connection", None)
    (one,) = network(patient(text=yaml("https://localhost:1"), is_offline=True))
    assert one.text == "1 addresses not tried: --offline"


def test_only_host_and_port_are_taken_of_a_url(patient):
    (peer,) = set(peers(patient(text=yaml("wss://ws.example:8443/path"))))
    assert str(peer) == "source.kite: ws.example:8443"
