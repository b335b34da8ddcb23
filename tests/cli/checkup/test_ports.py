"""Addresses to listen on."""

import os
import socket
from pathlib import Path

import pytest

from tickerd.cli.checkup import ports as module
from tickerd.cli.checkup.ports import addresses, holders, ports

STREAM = """
sinks: {{stream: {{use: websocket, listen: "127.0.0.1:{0}", auth: [keys]}}}}
auth: {{keys: {{use: api_key}}}}
control: {{listen: ["unix:DIR/api.sock"], auth: [keys]}}
"""


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.fixture
def free(taken):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def test_all_addresses_are_looked_at(patient, free, tmp_path):
    hooks = "hooks: {listen: '127.0.0.1:9'}\n"
    assert addresses(patient(STREAM.format(free) + hooks)) == [
        f"unix:{tmp_path}/api.sock", "127.0.0.1:9", f"127.0.0.1:{free}",
    ]  # fmt: skip


def test_free_addresses_are_fine(patient, said, free):
    assert said(ports(patient(STREAM.format(free)))) == []


def test_one_that_another_program_has_is_told_with_its_name(patient, said, taken):
    name = Path("/proc/self/comm").read_text().strip()
    expected = ("problem", f"127.0.0.1:{taken}: taken by {name} (process {os.getpid()})")
    assert said(ports(patient(STREAM.format(taken)))) == [expected]
    assert holders(taken) == {os.getpid(): name}


def test_one_that_the_daemon_has_is_fine(patient, said, taken):
    assert said(ports(patient(STREAM.format(taken), process=os.getpid()))) == []


def test_one_that_systemd_holds_for_it_is_fine(patient, said, taken, monkeypatch):
    monkeypatch.setattr(module, "holders", lambda _: {1: "systemd"})
    assert said(ports(patient(STREAM.format(taken)))) == []


@pytest.mark.parametrize(("process", "level"), [(None, "problem"), (77, "warning")])
def test_where_it_cannot_be_seen_who_has_it(patient, said, taken, monkeypatch, process, level):
    monkeypatch.setattr(module, "holders", lambda _: {})
    assert [found for found, _ in said(ports(patient(STREAM.format(taken), process=process)))] == [level]


def test_an_address_that_is_not_this_machines_is_told(patient, said, free, monkeypatch):
    def unknown(*_, **__):
        raise OSError(99, "Cannot assign requested address")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert said(ports(patient(STREAM.format(free)))) == [
        ("problem", f"127.0.0.1:{free}: Cannot assign requested address")
    ]


def test_a_port_that_this_user_may_not_open_is_told(patient, said, free, monkeypatch):
    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "getaddrinfo", refused)
    assert [level for level, _ in said(ports(patient(STREAM.format(free))))] == ["warning"]


def test_a_socket_of_ours_anothers_and_one_left_over(patient, said, free, tmp_path):
    text = STREAM.format(free)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "api.sock"))
        (tmp_path / "api.sock").chmod(0o660)
        listening.listen()
        assert said(ports(patient(text, process=os.getpid()))) == []
        ((level, told),) = said(ports(patient(text, process=77)))
        assert (level, f"process {os.getpid()} listens, and tickerd is process 77" in told) == (
            "problem",
            True,
        )
        assert [level for level, _ in said(ports(patient(text)))] == ["warning"]
        (tmp_path / "api.sock").chmod(0o666)
        ((level, told),) = said(ports(patient(text, process=os.getpid())))
        assert (level, "everybody on this machine can open it" in told) == ("problem", True)
    (tmp_path / "api.sock").chmod(0o660)
    assert said(ports(patient(text))) == []


def test_a_file_or_nothing_in_the_place_of_a_socket_is_told(patient, said, free, tmp_path):
    text = STREAM.format(free)
    (tmp_path / "api.sock").write_text("")
    assert "a file is in its place" in said(ports(patient(text)))[0][1]
    gone = text.replace("DIR/api", "DIR/gone/api")
    assert "its directory is not there" in said(ports(patient(gone)))[0][1]
