"""tickerd.service under a real systemd: start, status, credentials, the sandbox, the journal."""

import json
import re

import pytest

pytestmark = [pytest.mark.full, pytest.mark.root]
UNITS = ("tickerd.service", "tickerd.socket", "tickerd-stream.socket")
UNIT_DIRECTORY = "/usr/lib/systemd/system"


def test_start_returns_when_ticks_can_come_and_the_status_says_how_many(tickerd):
    tickerd.start()
    assert tickerd.show("ActiveState") == "active"
    (ready,) = tickerd.log("ready")
    assert ready["units"] == ["sink.archive", "source.demo"]
    assert tickerd.api("/readyz")["status"] == "up"
    tickerd.until("a status with figures", lambda: re.search(r"[1-9]\d* ticks/s", tickerd.show("StatusText")))
    tickerd.lab("systemctl", "stop", "tickerd.service")
    assert (tickerd.show("ActiveState"), tickerd.show("Result")) == ("inactive", "success")
    tickerd.verify()


def test_each_line_of_the_journal_has_its_priority_and_its_fields(tickerd, default_config):
    tickerd.configure(default_config.replace("min_free: 10MB", "min_free: 100TiB"))
    tickerd.start()
    tickerd.until_event("journal is over its limits and nothing more may be removed")
    ours = [one for one in tickerd.entries() if one.get("_TRANSPORT") == "stdout"]
    levels = {json.loads(one["MESSAGE"])["level"]: one["PRIORITY"] for one in ours}
    assert levels["error"] == "3"
    assert levels["info"] == "6"
    assert {one["SYSLOG_IDENTIFIER"] for one in ours} == {"tickerd"}
    assert {one["_SYSTEMD_UNIT"] for one in ours} == {"tickerd.service"}
    assert {json.loads(one["MESSAGE"])["level"] for one in tickerd.entries("-p", "err")} == {"error"}


def test_credentials_reach_the_daemon_and_nobody_else(tickerd, kite_config):
    tickerd.simulate("--api-key", "key-from-root")
    tickerd.lab.write("/etc/tickerd/credentials/kite_api_key", "key-from-root\n", "600")
    tickerd.drop_in("[Service]\nLoadCredential=kite_api_key:/etc/tickerd/credentials/kite_api_key\n")
    tickerd.configure(kite_config.replace("api_key: demo", "api_key: ${credential:kite_api_key}"))
    tickerd.start()
    tickerd.until("login", lambda: tickerd.source("zerodha")["reported"] == "connected")
    tickerd.until_ticks()
    assert "key-from-root" not in tickerd.text() + json.dumps(tickerd.api("/v1/config"))
    environ = tickerd.lab("cat", f"/proc/{tickerd.pid}/environ")
    assert "key-from-root" not in environ
    directory = re.search("CREDENTIALS_DIRECTORY=([^\0]+)", environ)[1]
    command = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "ls", directory)
    assert tickerd.lab.try_(*command).returncode != 0


def test_it_runs_as_a_dynamic_user_as_well(tickerd):
    tickerd.lab("rmdir", "/var/lib/tickerd", "/var/log/tickerd")
    tickerd.drop_in("[Service]\nDynamicUser=yes\nUser=tickerd-feed\n")
    tickerd.start()
    tickerd.until_ticks()
    tickerd.lab("systemctl", "reload", "tickerd")
    tickerd.lab("systemctl", "restart", "tickerd")
    tickerd.until_ticks()
    assert tickerd.api("/v1/status")["picture"]["epoch"] == 2


PROBE = """
import ctypes, errno, json, mmap, os, socket, sys
done = {}
def attempt(name, action):
    try:
        action()
        done[name] = "done"
    except OSError as error:
        done[name] = errno.errorcode[error.errno]
for directory in ("/etc", "/usr", "/opt/tickerd", "/boot", "/etc/tickerd", "/run", "/var"):
    attempt(f"write {directory}", lambda: open(f"{directory}/probe", "w"))
attempt("write /var/lib/tickerd", lambda: open("/var/lib/tickerd/probe", "w"))
attempt("write /proc/sys", lambda: open("/proc/sys/kernel/hostname", "w").write("x"))
attempt("credentials of others", lambda: os.listdir("/etc/tickerd/credentials"))
attempt("home", lambda: os.listdir("/root"))
attempt("memory that is written and run", lambda: mmap.mmap(-1, 4096, prot=7))
attempt("raw packets", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
attempt("netlink", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
attempt("bluetooth", lambda: socket.socket(31, socket.SOCK_RAW))
libc = ctypes.CDLL(None, use_errno=True)
def call(function, *arguments):
    if function(*arguments) != 0:
        raise OSError(ctypes.get_errno(), "refused")
attempt("namespaces", lambda: call(libc.unshare, 0x10000000))
attempt("another user", lambda: os.setuid(1))
attempt("mount", lambda: call(libc.mount, b"none", b"/tmp", b"tmpfs", 0, 0))
attempt("own priority", lambda: os.nice(-5))
attempt("setuid bit", lambda: os.chmod("/var/lib/tickerd/probe", 0o4755))
os.unlink("/var/lib/tickerd/probe")
attempt("processes of others", lambda: os.stat("/proc/1"))
done["devices"] = sorted(set(os.listdir("/dev")) & {"kmsg", "mem", "tty0", "sda"})
done["home is set"] = "HOME" in os.environ
json.dump(done, sys.stdout)
"""


def test_the_sandbox_is_in_force(tickerd):
    """The probe runs where ExecStart= does: the same user, mounts and filters."""
    tickerd.lab.write("/opt/plugins/probe.py", PROBE)
    tickerd.drop_in("[Service]\nExecStartPre=/usr/bin/python3 /opt/plugins/probe.py\nEnvironment=NOTHING=1\n")
    tickerd.start()
    (found,) = [json.loads(m) for one in tickerd.entries() if (m := one["MESSAGE"]).startswith('{"write')]
    assert found.pop("write /var/lib/tickerd") == "done"
    assert found.pop("devices") == []
    found.pop("home is set")
    assert {name for name, came_to in found.items() if came_to == "done"} == set()
    assert {found[f"write {where}"] for where in ("/etc", "/usr", "/boot", "/var", "/opt/tickerd")} == {
        "EROFS"
    }
    status = dict(
        line.split(":\t", 1)
        for line in tickerd.lab("cat", f"/proc/{tickerd.pid}/status").splitlines()
        if ":\t" in line
    )
    assert int(status["CapBnd"], 16) == int(status["CapEff"], 16) == 0
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert "0" not in status["Uid"].split()


def test_the_units_have_nothing_that_systemd_does_not_know(lab):
    """Its exit code says nothing, so the output must be empty."""
    for unit in UNITS:
        done = lab.try_("systemd-analyze", "verify", "--man=no", f"{UNIT_DIRECTORY}/{unit}")
        assert (done.stdout + done.stderr).strip() == ""


@pytest.mark.parametrize(
    "how", [("--offline=true", f"{UNIT_DIRECTORY}/tickerd.service"), ("tickerd.service",)]
)
def test_the_exposure_is_low(lab, tickerd, how):
    tickerd.start()
    text = lab("systemd-analyze", "security", "--no-pager", *how)
    assert float(re.search(r"Overall exposure level for \S+: ([\d.]+)", text)[1]) <= 1.2


def test_a_wrong_file_is_told_once_and_not_tried_again(tickerd):
    """Nor by those who wait on the sockets: systemd starts the service for each connection that waits there."""
    tickerd.configure("sources: {demo: {use: simulator, rte: 10}}\n")
    tickerd.lab("systemctl", "start", "tickerd.socket")
    assert tickerd.lab.try_("systemctl", "start", "tickerd.service").returncode != 0
    assert tickerd.show("ExecMainStatus") == "78"
    assert "sources.demo.rte" in tickerd.text()
    asked = tickerd.lab.try_(
        "curl", "-sS", "-m", "10", "--unix-socket", "/run/tickerd.sock", "http://tickerd/livez"
    )
    assert asked.returncode in (52, 56), (
        asked
    )  # an empty answer, or a reset: not 28, which is having waited in vain
    tickerd.lab("sleep", "3")
    starts = [one for one in tickerd.entries() if "Starting tickerd" in one["MESSAGE"]]
    assert len(starts) == 2
    assert tickerd.lab("systemctl", "is-active", "tickerd.socket").strip() == "active"
    assert tickerd.show("NRestarts") == "0"


def test_a_mended_file_is_used_by_the_next_start(tickerd, default_config):
    tickerd.configure("sources: {}\n")
    assert tickerd.lab.try_("systemctl", "start", "tickerd").returncode != 0
    tickerd.configure(default_config)
    tickerd.start()
    tickerd.until_ticks()


def test_a_second_daemon_on_the_same_state_is_refused(tickerd, default_config):
    tickerd.start()
    tickerd.lab.write("/run/second.yaml", default_config.replace("control:", "control: off\n#"))
    second = tickerd.lab.try_("runuser", "-u", "tickerd", "--", "tickerd", "run", "-c", "/run/second.yaml")
    assert second.returncode == 1
    assert "/var/lib/tickerd" in second.stderr
    assert tickerd.api("/readyz")["status"] == "up"
