"""A real systemd in namespaces of its own, with tickerd installed from its package."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "tests/system/lab.sh"
PYTHON = "/usr/bin/python3"
UNITS = "/usr/lib/systemd/system"
DROP_IN = "/run/systemd/system/tickerd.service.d/test.conf"
SOCKET = "/run/tickerd.sock"

CONFIG = """
    sources: {demo: {use: simulator, rate: 100, subscribe: [{instruments: ["NSE:INFY", "NSE:TCS"]}]}}
    sinks: {archive: {use: file, path: "ticks/{date}/{exchange}.jsonl"}}
    control: {listen: "unix:/run/tickerd.sock"}
    journal: {min_free: 10MB}
    state: {dir: /var/lib/tickerd}
"""
KITE = """
    zerodha:
      use: kite
      api_key: demo
      access_token: demo-token
      ws_url: ws://127.0.0.1:7900
      rest_url: http://127.0.0.1:7901
      subscribe: [{instruments: ["NSE:INFY", "NSE:TCS"], mode: full}]
"""


class Failed(AssertionError):
    """A command in the lab failed."""


class Lab:
    """One guest. Everything that it writes is gone with it."""

    def __init__(self, directory, *, binds=()):
        self.directory = directory
        self.env = {**os.environ, "LAB": f"t{os.getpid()}-{directory.name}", "LAB_DIR": str(directory)}
        self.root = directory
        options = [word for bind in binds for word in ("--bind", bind)]
        done = subprocess.run(
            [LAB, "start", *options], env=self.env, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        self.state = done.stdout.strip()

    def try_(self, *command, text=None, timeout=100):
        """Run something inside, whatever it comes to."""
        return subprocess.run(
            [LAB, "exec", *map(str, command)],
            env=self.env, input=text, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    def __call__(self, *command, text=None, timeout=100):
        """Run something inside; its standard output."""
        done = self.try_(*command, text=text, timeout=timeout)
        if done.returncode:
            raise Failed(f"{shlex.join(map(str, command))}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def start(self, *command):
        """Run something inside that goes on meanwhile."""
        return subprocess.Popen(
            [LAB, "exec", *map(str, command)],
            env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def write(self, path, text, mode="644"):
        """A file inside."""
        script = 'mkdir -p "$(dirname "$1")" && cat > "$1" && chmod "$2" "$1"'
        self("sh", "-c", script, "-", path, mode, text=textwrap.dedent(text))

    def python(self, script, *arguments):
        """What a script prints, as JSON."""
        return json.loads(self(PYTHON, "-c", textwrap.dedent(script), *arguments))

    def stop(self):
        subprocess.run([LAB, "stop"], env=self.env, timeout=60, check=False, capture_output=True)


class Service:
    """tickerd.service inside a lab."""

    def __init__(self, lab):
        self.lab = lab
        lab.write("/etc/tickerd/tickerd.yaml", CONFIG, "640")
        lab("systemctl", "daemon-reload")
        lab("systemctl", "reset-failed")
        self.began_us = time.time_ns() // 1000

    def configure(self, text=CONFIG):
        self.lab.write("/etc/tickerd/tickerd.yaml", text, "640")

    def drop_in(self, text):
        self.lab.write(DROP_IN, text)
        self.lab("systemctl", "daemon-reload")

    def start(self):
        done = self.lab.try_("systemctl", "start", "tickerd.socket", "tickerd.service")
        if done.returncode:
            raise Failed(f"{done.stderr}\n{self.text()}")

    def show(self, name):
        return self.lab("systemctl", "show", "tickerd.service", "-P", name).strip()

    @property
    def pid(self):
        return int(self.show("MainPID"))

    def entries(self, *options):
        """Everything that the journal has of the service since the test began, systemd's words on it as well."""
        lines = self.lab("journalctl", "-u", "tickerd", "-o", "json", "--all", *options).splitlines()
        found = map(json.loads, lines)
        return [one for one in found if int(one["__REALTIME_TIMESTAMP"]) >= self.began_us]

    def log(self, event=None):
        """Our own lines."""
        lines = (one["MESSAGE"] for one in self.entries() if isinstance(one["MESSAGE"], str))
        ours = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [line for line in ours if event in (None, line["event"])]

    def text(self):
        """The journal, as a person reads it."""
        return "\n".join(str(one["MESSAGE"]) for one in self.entries())

    def until(self, what, condition, seconds=60):
        """What the condition gives once it is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := condition():
                return found
            time.sleep(0.05)
        raise Failed(f"never came: {what}\n{self.text()}")

    def until_event(self, event, times=1, seconds=60):
        """The last of so many lines."""
        return self.until(event, lambda: len(found := self.log(event)) >= times and found[-1], seconds)

    def api(self, path, method="GET"):
        return json.loads(
            self.lab(
                "curl", "-sS", "-m", "20", "-X", method, "--unix-socket", SOCKET, f"http://tickerd{path}"
            )
        )

    def source(self, name="demo"):
        return self.api(f"/v1/sources/{name}")

    def until_ticks(self, more=1):
        """Ticks come, so many more than now."""
        before = self.api("/v1/status")["picture"]["totals"]["ticks"]
        self.until("ticks", lambda: self.api("/v1/status")["picture"]["totals"]["ticks"] >= before + more)

    def verify(self):
        """The journal is whole."""
        return self.lab("tickerd", "verify", "--dir", "/var/lib/tickerd/journal")

    def rows(self):
        """What the file sink has written: (ticks, control records)."""
        lines = self.lab("sh", "-c", "cat /var/lib/tickerd/ticks/*/*.jsonl").splitlines()
        rows = [json.loads(line) for line in lines]
        return [row for row in rows if "record" not in row], [row for row in rows if "record" in row]

    def simulate(self, *arguments):
        """A Kite simulator inside, at the default addresses."""
        command = ["/opt/tickerd/bin/tickerd", "simulate", "--ready-file", "/run/simulator.json", *arguments]
        self.lab("systemd-run", "--quiet", "--unit=simulator", "--collect", *command)
        self.until("simulator", lambda: self.lab.try_("test", "-e", "/run/simulator.json").returncode == 0)

    def simulator(self):
        """What the simulator says of itself."""
        return json.loads(self.lab("curl", "-sS", "http://127.0.0.1:7901/simulator/state"))

    def clean(self):
        """As if it had never run."""
        self.lab("systemctl", "stop", "tickerd.socket", "tickerd-stream.socket")
        self.lab("sh", "-c", "systemctl kill -s KILL tickerd simulator 2>/dev/null; true")
        self.lab("systemctl", "stop", "tickerd.service")
        self.lab("sh", "-c", "systemctl stop simulator 2>/dev/null; true")
        script = f"""
            for one in lib log; do
                if [ -L /var/$one/tickerd ]; then rm /var/$one/tickerd; fi
                rm -rf /var/$one/tickerd/* /var/$one/private
            done
            rm -rf /run/simulator.json /etc/tickerd/credentials/* {DROP_IN}
            rm -rf /opt/plugins /run/systemd/system/tickerd*.socket.d
            systemd-tmpfiles --create tickerd.conf
        """
        self.lab("sh", "-c", script)


PLUGIN = '''
"""A source and a sink that do what their options say, and what files beside them say."""
import ctypes, pathlib, time
import trio
from tickerd.plugin import Batch, Options, Row, Sink, Source, hookimpl, option

TICKERD_API = 0

class BadOptions(Options):
    block: float = option(0.0, doc="seconds for which it holds up the event loop, at the first start")
    hold: float = option(0.0, doc="the same, and the interpreter")
    count: int = option(0, doc="so many ticks at once")
    never: bool = option(False, doc="does not come up")

class Bad(Source):
    Options = BadOptions
    def __init__(self, options):
        self.o = options
    async def run(self, ctx, *, task_status):
        if self.o.never:
            await trio.sleep_forever()
        task_status.started()
        await trio.sleep(0.5)
        marker = pathlib.Path("marker")
        if not marker.exists():
            marker.touch()
            if self.o.block:
                stand_still(self.o.block)
            if self.o.hold:
                hold_the_interpreter(int(self.o.hold))
        for volume in range(1, self.o.count + 1):
            ctx.publish(Batch.of([Row(7, last_price=1.0, volume_traded=volume)]))
        await trio.sleep_forever()

def stand_still(seconds):
    time.sleep(seconds)

def hold_the_interpreter(seconds):
    ctypes.PyDLL(None).sleep(seconds)

class SlowOptions(Options):
    gate: str = option("gate", doc="it takes nothing until this file is there")

class Slow(Sink):
    Options = SlowOptions
    def __init__(self, options, ctx):
        self.o = options
    async def write(self, batch):
        while not pathlib.Path(self.o.gate).exists():
            await trio.sleep(0.02)
        with open("taken", "a") as out:
            out.writelines(f"{tick.volume_traded}\\n" for tick in batch.ticks)
        return []

@hookimpl
def tickerd_sources():
    return Bad

@hookimpl
def tickerd_sinks():
    return Slow
'''


@pytest.fixture(scope="session")
def machine(need):
    """Skips where no lab can be: tools can be installed, namespaces are the machine's to give."""
    need.that(Path("/lib/systemd/systemd").exists(), "systemd")
    for tool in ("systemctl", "unshare", "nsenter", "setpriv", "ip", "curl", "dpkg-deb", PYTHON):
        need(tool)
    new_enough = subprocess.run(
        [PYTHON, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"], check=False
    )
    need.that(new_enough.returncode == 0, "a python3 of the distribution, 3.11 or newer", "a newer Debian")
    probe = subprocess.run([LAB, "probe"], capture_output=True, text=True, check=False)
    if probe.returncode:
        pytest.skip(f"this machine gives no namespaces to boot a systemd in: {probe.stderr.strip()}")


@pytest.fixture(scope="session")
def package(machine, tmp_path_factory):
    """The .deb, as `make deb` builds it; TICKERD_DEB names one that has been built already."""
    if built := os.environ.get("TICKERD_DEB"):
        return Path(built)
    out = tmp_path_factory.mktemp("deb")
    variables = [f"OUT={out}", f"PIP_PYTHON={sys.executable}", "DEB_COMPRESS=gzip"]
    done = subprocess.run(
        ["make", "--no-print-directory", "deb", *variables],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (found,) = out.glob("*.deb")
    return found


@pytest.fixture
def new_lab(machine, tmp_path_factory):
    """Boots labs of one's own."""
    booted = []

    def boot(*binds):
        booted.append(Lab(tmp_path_factory.mktemp("lab"), binds=binds))
        return booted[-1]

    yield boot
    for lab in booted:
        lab.stop()
        shutil.rmtree(lab.directory, ignore_errors=True)


@pytest.fixture(scope="session")
def lab(package, tmp_path_factory):
    """The lab that most tests share, with the package installed."""
    lab = Lab(tmp_path_factory.mktemp("lab"), binds=[f"{package.parent}:/mnt"])
    try:
        lab("dpkg", "-i", f"/mnt/{package.name}")
        yield lab
    finally:
        lab.stop()


@pytest.fixture
def tickerd(lab):
    """The service, not started yet, as if it had never run."""
    service = Service(lab)
    yield service
    service.clean()


@pytest.fixture
def service_class():
    return Service


@pytest.fixture
def bad_plugin(tickerd):
    """Installs the plugin ``bad``; a drop-in must put /opt/plugins on the path."""
    info = "/opt/plugins/tickerd_bad-1.dist-info"
    tickerd.lab.write("/opt/plugins/tickerd_bad.py", PLUGIN)
    tickerd.lab.write(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tickerd-bad\nVersion: 1\n")
    tickerd.lab.write(f"{info}/entry_points.txt", "[tickerd]\nbad = tickerd_bad\n")
    return "[Service]\nEnvironment=PYTHONPATH=/opt/plugins\n"


@pytest.fixture
def kite_config():
    """The default configuration with a Kite source instead."""
    source = textwrap.indent(textwrap.dedent(KITE).strip(), "  ")
    rest = textwrap.dedent(CONFIG).strip().split("\n", 1)[1]
    return f"sources:\n{source}\n{rest}\n"


@pytest.fixture
def default_config():
    return textwrap.dedent(CONFIG)
