"""What systemd hands to a service, and what it is told."""

import os
import socket
import subprocess
import sys

import pytest

from tickerd.systemd import Systemd


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """(what NOTIFY_SOCKET says, the socket on the other side)"""
    name = f"{tmp_path}/notify" if request.param == "path" else f"@tickerd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(name.replace("@", "\0"))
        made.settimeout(2)
        yield name, made


def test_each_report_is_one_datagram(manager):
    name, socket_ = manager
    environ = {"NOTIFY_SOCKET": name, "HOME": "/"}
    with Systemd(environ, 1) as systemd:
        assert systemd.is_there
        systemd.ready("7 ticks a second\nand more")
        systemd.status("x" * 900)
        systemd.alive()
        systemd.extend(2.5)
        systemd.reloading()
        systemd.stopping("bye")
    systemd.alive()  # too late: nobody hears it
    told = [socket_.recv(4096).decode() for _ in range(6)]
    assert told[0] == "READY=1\nSTATUS=7 ticks a second and more"
    assert told[1] == "STATUS=" + "x" * 500
    assert told[2:4] == ["WATCHDOG=1", "EXTEND_TIMEOUT_USEC=2500000"]
    assert told[4].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert told[5] == "STOPPING=1\nSTATUS=bye"
    assert environ == {"HOME": "/"}


def test_a_manager_that_does_not_read_is_never_waited_for(manager):
    with Systemd({"NOTIFY_SOCKET": manager[0]}, 1) as systemd:
        for _ in range(10_000):
            systemd.status("busy")


@pytest.mark.parametrize("value", ["", "vsock:2:1", "relative"])
def test_outside_of_systemd_nothing_is_told(value):
    systemd = Systemd({"NOTIFY_SOCKET": value}, 1)
    assert not systemd.is_there
    systemd.ready("nobody hears it")


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [
        ("20000000", "", 20.0),
        ("20000000", "7", 20.0),
        ("20000000", "8", None),
        ("", "", None),
        ("0", "", None),
    ],
)
def test_the_watchdog_is_for_this_process_only(usec, pid, seconds):
    assert Systemd({"WATCHDOG_USEC": usec, "WATCHDOG_PID": pid}, 7).watchdog_s == seconds


CHILD = """
import os, sys
from tickerd.systemd import Systemd
os.environ["LISTEN_PID"] = str(os.getpid() + int(sys.argv[1]))
found = Systemd(os.environ, os.getpid()).sockets
print([one.getsockname() for one in found], [os.get_inheritable(one.fileno()) for one in found])
assert "LISTEN_FDS" not in os.environ
"""


@pytest.mark.parametrize("other", [0, 1])
def test_listening_sockets_are_taken_over_by_the_process_that_they_are_for(tmp_path, other):
    path = str(tmp_path / "s")
    with (
        socket.socket(socket.AF_UNIX) as stream,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams,
    ):
        stream.bind(path)
        stream.listen()
        # 3: ours; 4: no listening stream; 5: not open
        script = f'exec 3<&{stream.fileno()} 4<&{datagrams.fileno()}; exec "$@"'
        command = ["bash", "-c", script, "-", sys.executable, "-c", CHILD, str(other)]
        done = subprocess.run(
            command,
            env={**os.environ, "LISTEN_FDS": "3"},
            pass_fds=(stream.fileno(), datagrams.fileno()),
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout.strip() == ("[] []" if other else f"[{path!r}] [False]")


def test_who_waits_is_turned_away_before_an_end_that_only_a_person_can_mend(tmp_path):
    """systemd would start us again for each connection that is left waiting."""
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        systemd = Systemd({}, 1)
        systemd.sockets.append(listening)
        callers = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for caller in callers:
            caller.settimeout(2)
            caller.connect(path)
        systemd.turn_away()
        assert [caller.recv(1) for caller in callers] == [b"", b"", b""]
        with pytest.raises(BlockingIOError):
            listening.accept()
        for caller in callers:
            caller.close()
