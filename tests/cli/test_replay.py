"""Tests of `tickerd replay`."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tickerd.cli import replay as module
from tickerd.cli.replay import replay
from tickerd.journal.compress import compress
from tickerd.journal.files import Files
from tickerd.journal.segment import Encoder, Header, file_name
from tickerd.plugin import Batch, Gap, Instrument, Row
from tickerd.testing.fakes import stamped
from tickerd.wire.compression import zstd

TABLE = {1: Instrument("", 1, "NSE", "INFY"), 2: Instrument("", 2, "NSE", "NIFTY 50")}
NOON = 1_795_415_400 * 10**9
"""2026-11-23 12:00 IST."""
DAY = "2026-11-23"
YAML = """
sources: {sim: {use: simulator}}
sinks:
  archive: {use: file, path: "ticks/{date}/{exchange}.jsonl.zst", keep: 1 day}
  picked: {use: file, path: "/picked/{symbol}.csv", instruments: ["NSE:INFY"], events: [tick]}
state: {dir: state}
"""


def write(directory: Path, first: int, batches: int = 2, day: str = DAY) -> Path:
    """A segment: for each batch nine ticks in one second, and a gap."""
    directory.mkdir(parents=True, exist_ok=True)
    encoder = Encoder(Header(3, first, 0, day))
    buffers = encoder.begin()
    for n, seq in enumerate(range(first, first + batches * 10, 10)):
        ts = NOON + (first // 10 + n) * 10**9
        rows = [Row(1 + k % 2, last_price=1.05, volume_traded=seq + k) for k in range(9)]
        batch = Batch.of(rows, connection=1, ts_recv=ts)
        batch.records = [Gap(reason="disconnected", ts_recv=ts)]
        buffers += encoder.batch(stamped(batch, seq, epoch=3, source="sim", instruments=TABLE))
    path = directory / file_name(encoder.header)
    file = Files().open_append(path)
    Files().writev(file, buffers)
    Files().close(file)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a configuration and the journal of two days."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.yaml").write_text(YAML)
    write(tmp_path / "state/journal", 1)
    write(tmp_path / "state/journal", 21, day="2026-11-24")
    return tmp_path


@pytest.fixture
def run() -> Callable[..., Result]:
    """The command with these arguments, the configuration and an output."""

    def run(*arguments: Any, out: str = "out") -> Result:
        return CliRunner().invoke(replay, [*map(str, arguments), "-c", "t.yaml", "--out", out])

    return run


def volumes(path: str | Path) -> list[int]:
    data = zstd.decompress(Path(path).read_bytes())
    return [json.loads(line)["volume_traded"] for line in data.splitlines()]


NSE = "out/ticks/2026-11-23/NSE.jsonl.zst"
"""What both days of the journal were received on."""


def test_a_day_goes_through_the_file_sinks_into_another_directory(home, run):
    before = {path: path.stat().st_mtime_ns for path in (home / "state").rglob("*")}
    done = run(DAY)
    assert (done.exit_code, done.output) == (
        0,
        "archive: 20 ticks and records written\npicked: 10 ticks and records written\n",
    )
    assert volumes(NSE) == [*range(1, 10), *range(11, 20)]
    rows = (home / "out/picked/NSE%3AINFY.2026-11-23.csv").read_text().splitlines()
    assert len(rows) == 11
    assert before == {path: path.stat().st_mtime_ns for path in (home / "state").rglob("*")}
    assert {path.name for path in home.iterdir()} == {"t.yaml", "state", "out"}
    row = json.loads(zstd.decompress((home / NSE).read_bytes()).splitlines()[3])
    assert (row["epoch"], row["seq"], row["ts_recv"], row["source"]) == (3, 4, NOON, "sim")
    assert row["symbol"] == "NSE:NIFTY 50"


def test_files_and_several_days_are_played_in_order(home, run):
    last = sorted((home / "state/journal").glob("*.tkj"))[1]
    assert run(last, DAY).exit_code == 0
    assert volumes(NSE) == [n for n in range(1, 40) if n % 10]


def test_a_time_and_instruments_can_be_picked(run, home):
    assert run(DAY, "--from", "12:00:01", "--instruments", "NSE:INFY, 77").exit_code == 0
    assert volumes(NSE) == [11, 13, 15, 17, 19]
    assert run(DAY, "--to", "2026-11-23T06:30:01Z", "--instruments", 2, out="b").exit_code == 0
    assert volumes("b" + NSE[3:]) == [2, 4, 6, 8]
    gaps = zstd.decompress((home / "b/ticks/2026-11-23/_control.jsonl.zst").read_bytes())
    assert gaps.count(b"\n") == 1


def test_a_sink_can_be_named(run, home):
    done = run(DAY, "--only", "picked")
    assert done.output == "picked: 10 ticks and records written\n"
    assert {path.name for path in (home / "out").iterdir()} == {"picked"}


def test_it_keeps_the_pace_where_asked_to(run, home):
    assert run(DAY, "--speed", "20").exit_code == 0
    assert volumes(NSE) == [*range(1, 10), *range(11, 20)]


def test_a_segment_that_was_compressed_meanwhile_is_found(run, home):
    path = min((home / "state/journal").glob("*.tkj"))
    compress(path, Files())
    assert not path.exists()
    assert run(DAY).exit_code == 0
    assert len(volumes(NSE)) == 18


def test_damage_is_told_and_the_rest_is_played(run, home):
    path = min((home / "state/journal").glob("*.tkj"))
    data = bytearray(path.read_bytes())
    data[data.rindex(b"last_price") - 40] ^= 1
    path.write_bytes(data)
    done = run(DAY)
    assert done.exit_code == 1
    assert done.output.count("DAMAGED") == 1
    assert "(crc), between 3:10 to 3:20, 9 lost" in done.output
    assert volumes(NSE) == list(range(1, 10))


def test_a_torn_end_that_a_daemon_may_be_writing_is_no_damage(run, home):
    paths = sorted((home / "state/journal").glob("*.tkj"))
    for path in paths:
        with path.open("ab") as file:
            file.write(path.read_bytes()[-100:-30])
    assert run("2026-11-24").exit_code == 0
    done = run(DAY, out="b")
    assert done.exit_code == 1
    assert "DAMAGED" in done.output


def test_a_file_that_cannot_be_read_is_damage(run, home):
    path = home / "state/journal" / file_name(Header(1, 1, 0, "2026-11-20"))
    path.write_bytes(b"tickerd journal 99\n" + b"x" * 1000)
    done = run("2026-11-20")
    assert done.exit_code == 1
    assert "another version of tickerd wrote it" in done.output


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("2026-11-30",), "no segment of 2026-11-30"),
        ((DAY, "--only", "x"), "there is no sink 'x'; there are: archive, picked"),
        ((DAY, "--speed", "0"), "neither a number above 0 nor 'max'"),
        ((DAY, "--speed", "fast"), "neither a number above 0 nor 'max'"),
        ((DAY, "--speed", "nan"), "neither a number above 0 nor 'max'"),
        ((DAY, "--from", "noon"), "is no time"),
        ((), "Missing argument"),
    ],
)
def test_what_makes_no_sense_is_refused(run, home, arguments, problem):
    done = run(*arguments)
    assert done.exit_code == 2
    assert problem in " ".join(done.output.split())
    assert not (home / "out").exists()


def test_the_output_must_be_new(run, home):
    (home / "out").mkdir()
    assert run(DAY).exit_code == 0
    done = run(DAY)
    assert done.exit_code == 2
    assert "is not empty" in done.output
    assert "is not empty" in run(DAY, out="t.yaml").output
    assert "state directory" in run(DAY, out="state/x").output
    assert not (home / "state/x").exists()
    assert "placeholder" in run(DAY, out="{month}").output


PLUGIN = '''
from tickerd.plugin import Options, Reject, ServingSink, Sink, hookimpl, option

TICKERD_API = 0

class WireOptions(Options):
    fail: bool = option(False, doc="whether it fails")

class Wire(Sink):
    """Refuses every tick but the first, or fails."""
    Options = WireOptions
    def __init__(self, options, ctx):
        self.options, self.ctx = options, ctx
    async def write(self, batch):
        self.ctx.count("batches")
        self.ctx.report("writing")
        (self.ctx.state_dir / "seen").touch()
        if self.options.fail:
            raise KeyError("boom")
        return [Reject(tick.position, "no") for tick in batch.ticks[1:]]

class Port(ServingSink):
    class Options(Options): ...
    def __init__(self, options): ...
    async def run(self, ctx, *, task_status): ...

@hookimpl
def tickerd_sinks():
    return KIND
'''


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Distributions with sinks that do not write files."""
    for name, kind in (("wire", "Wire"), ("port", "Port")):
        info = tmp_path / f"site/tickerd_{name}-1.dist-info"
        info.mkdir(parents=True)
        (tmp_path / f"site/tickerd_{name}.py").write_text(PLUGIN.replace("KIND", kind))
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tickerd-{name}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[tickerd]\n{name} = tickerd_{name}\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path


def test_sinks_that_send_somewhere_take_part_only_when_named(run, home, plugins):
    (home / "t.yaml").write_text(
        YAML.replace(
            "sinks:", "sinks:\n  out: {use: wire}\n  bad: {use: wire, fail: true}\n  clients: {use: port}"
        )
    )
    assert run(DAY).output.split()[::6] == ["archive:", "picked:"]
    done = run(DAY, "--only", "out", "--only", "archive", out="b")
    assert done.exit_code == 1
    assert "out: 3 ticks and records written" in done.output
    assert "out: 17 refused, the first at 3:2: no" in done.output
    assert "archive: 20 ticks and records written" in done.output
    assert (home / "b/.state/sink/out/seen").exists()
    done = run(DAY, "--only", "bad", "--only", "archive", out="c")
    assert done.exit_code == 1
    assert "bad: ENDED BEFORE ITS TIME: 'boom'" in done.output
    assert "archive: 20 ticks and records written" in done.output
    done = run(DAY, "--only", "clients", out="d")
    assert done.exit_code == 2
    assert "waits for clients" in done.output


def test_without_a_file_sink_one_must_be_named(run, home, plugins):
    (home / "t.yaml").write_text(
        "sources: {sim: {use: simulator}}\nsinks: {out: {use: wire}}\nstate: {dir: state}\n"
    )
    done = run(DAY)
    assert done.exit_code == 2
    assert "name one with --only" in done.output


def test_a_bar_is_shown_on_a_terminal(run, home, monkeypatch):
    monkeypatch.setattr(module, "_on_terminal", lambda: True)
    shown = []
    advance = module._advance

    def spy(progress, bars, parts):
        advance(progress, bars, parts)
        shown.append([part.track.share for part in parts])

    monkeypatch.setattr(module, "_advance", spy)
    done = run(DAY)
    assert done.exit_code == 0
    assert shown[-1] == [1.0, 1.0]
    assert "100%" in done.stderr


LIVE = """
sources:
  kite:
    use: kite
    api_key: demo
    access_token: demo-token
    ws_url: "${env:KITE_SIM_WS}"
    rest_url: "${env:KITE_SIM_REST}"
    backoff_initial: 50ms
    subscribe:
      - {instruments: ["NSE:INFY", "NSE:TCS", "NSE:NIFTY 50", "BSE:SENSEX"], mode: full}
sinks:
  archive: {use: file, path: "files/{date}/{exchange}.jsonl.zst"}
  split: {use: file, path: "split/{date}/{symbol}.csv", rotate_size: 300KiB}
  picked: {use: file, path: "picked.jsonl", instruments: ["NSE:INFY"], events: [tick]}
state: {dir: state}
journal: {min_free: 1MiB}
"""


def rows(root: Path) -> dict[str, list[bytes]]:
    """The lines of all files, those of rotated ones together."""
    found: dict[str, list[bytes]] = {}
    for path in sorted(root.rglob("*.*"), key=lambda path: (len(path.name), path.name)):
        if path.suffix in {".jsonl", ".csv", ".zst"}:
            data = path.read_bytes()
            lines = (zstd.decompress(data) if path.suffix == ".zst" else data).splitlines()
            name = str(path.relative_to(root))
            key = ".".join(part for part in name.split(".") if not part.isdecimal())
            found.setdefault(key, []).extend(
                line for line in lines if not line.startswith(b"instrument_token")
            )
    return found


@pytest.mark.full
def test_what_is_replayed_equals_what_was_written_over_a_kill(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("t.yaml").write_text(LIVE)
    tickerd = f"{sys.executable} -m tickerd"
    script = f"{tickerd} run -c t.yaml & P=$!; sleep 4; kill -9 $P; {tickerd} run -c t.yaml --for 3s"
    command = [*tickerd.split(), "simulate", "--ws", "127.0.0.1:0", "--rest", "127.0.0.1:0", "--rate", "3000"]
    with Path("log").open("wb") as log:
        done = subprocess.run(
            [*command, "--", "sh", "-c", script], stdout=log, stderr=log, timeout=60, check=False
        )
    assert done.returncode == 0, Path("log").read_text()
    monkeypatch.setenv("KITE_SIM_WS", "ws://127.0.0.1:1")
    monkeypatch.setenv("KITE_SIM_REST", "http://127.0.0.1:1")
    original = {key: lines for name in ("files", "split") for key, lines in rows(Path(name)).items()}
    (single,) = Path().glob("picked.*.jsonl")
    original["picked"] = single.read_bytes().splitlines()
    days = {path.name[:10] for path in Path("state/journal").iterdir()}
    result = CliRunner().invoke(replay, [*days, "-c", "t.yaml", "--out", "again"])
    assert result.exit_code == 0, result.output
    again = {key: lines for name in ("files", "split") for key, lines in rows(Path("again", name)).items()}
    again["picked"] = Path("again", single.name).read_bytes().splitlines()
    assert sum(map(len, again.values())) > 10_000
    assert {key: len(lines) for key, lines in again.items()} == {
        key: len(lines) for key, lines in original.items()
    }
    assert again == original
