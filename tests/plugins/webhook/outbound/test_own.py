"""What belongs to this machine, as the kernel tells it."""

import os
import socket
from ipaddress import ip_address

import pytest

from tickerd_plugins.webhook.outbound import own


@pytest.mark.parametrize("text", ["127.0.0.1", "::1"])
def test_loopback_is_an_address_of_this_machine(text):
    if text == "::1" and not _has_ipv6():
        pytest.skip("needs IPv6 on loopback")
    assert own.Kernel().address(ip_address(text))


def _has_ipv6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


class FakeSocket:
    """A route lookup whose answer is given."""

    source = "192.0.2.1"
    error = None

    def __init__(self, *_arguments):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        pass

    def connect(self, _place):
        if self.error:
            raise self.error

    def getsockname(self):
        return (self.source, 1)


def test_an_address_is_ours_when_packets_to_it_come_from_it(monkeypatch):
    monkeypatch.setattr(own.socket, "socket", FakeSocket)
    assert own.Kernel().address(ip_address("192.0.2.1"))
    assert not own.Kernel().address(ip_address("192.0.2.2"))
    monkeypatch.setattr(FakeSocket, "error", OSError("network is unreachable"))
    assert not own.Kernel().address(ip_address("192.0.2.1"))


def test_ports_that_this_process_listens_on_are_found_and_no_others():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            found = own.listening_ports()
            assert port in found
            assert client.getsockname()[1] not in found
            assert bound.getsockname()[1] not in found
            assert own.Kernel().port(port)
            assert server.fileno() >= 0
            client.sendall(b"x")  # looking closed nothing
    assert port not in own.listening_ports()


def test_files_and_unix_sockets_are_passed_over_and_left_open(tmp_path):
    read, write = os.pipe()
    with (tmp_path / "file").open("w") as file, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "s"))
        unix.listen()
        before = set(own._descriptors())
        own.listening_ports()
        assert len(set(own._descriptors()) ^ before) <= 2  # that of the listing itself
        file.write("still open")
    os.close(read)
    os.close(write)


def test_a_descriptor_that_is_gone_is_no_error(monkeypatch):
    monkeypatch.setattr(own, "_descriptors", lambda: ["99999"])
    assert own.listening_ports() == frozenset()
