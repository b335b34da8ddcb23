"""Tests of `tickerd tap`."""

import json
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from tickerd.cli import tap as module
from tickerd.cli.tap import tap
from tickerd.journal.segment import Encoder, Header, file_name
from tickerd.plugin import Batch, Gap, Instrument, Row
from tickerd.testing.fakes import stamped

TABLE = {1: Instrument("", 1, "NSE", "INFY"), 2: Instrument("", 2, "NSE", "NIFTY 50")}
NOON = 1_795_415_400 * 10**9
"""2026-11-23 12:00 IST."""


class Segment:
    """One that is being written."""

    def __init__(self, directory, first, day="2026-11-23", ts=NOON):
        directory.mkdir(parents=True, exist_ok=True)
        self.encoder = Encoder(Header(3, first, 0, day))
        self.path = directory / file_name(self.encoder.header)
        self.seq, self.ts = first, ts
        self.put(self.encoder.begin())

    def put(self, buffers):
        with self.path.open("ab") as file:
            file.write(b"".join(buffers))

    def batch(self):
        """Two ticks and a gap."""
        rows = [
            Row(1, last_price=1234.5, volume_traded=10_000, last_traded_quantity=3),
            Row(2, flags=("snapshot",)),
        ]
        batch = Batch.of(rows, connection=1, ts_recv=self.ts)
        batch.records = [Gap(reason="disconnected", lost=4, ts_recv=self.ts)]
        self.put(self.encoder.batch(stamped(batch, self.seq, epoch=3, source="sim", instruments=TABLE)))
        self.seq += 3
        return self


@pytest.fixture
def journal(tmp_path, monkeypatch):
    """Two days, with six items each."""
    monkeypatch.chdir(tmp_path)
    Segment(tmp_path / "journal", 1).batch().batch()
    Segment(tmp_path / "journal", 7, "2026-11-24").batch().batch()
    return tmp_path / "journal"


def run(*arguments, state="."):
    return CliRunner().invoke(tap, [*map(str, arguments), "--state", str(state)])


def seqs(done):
    return [json.loads(line)["seq"] for line in done.stdout.splitlines()]


def test_without_anything_it_is_the_newest_day(journal):
    done = run()
    assert done.exit_code == 0
    assert seqs(done) == list(range(7, 13))
    assert json.loads(done.stdout.splitlines()[2])["record"] == "gap"


def test_days_files_instruments_and_a_limit(journal):
    assert seqs(run("2026-11-23")) == list(range(1, 7))
    assert seqs(run(min(journal.iterdir()), "2026-11-24")) == list(range(1, 13))
    assert seqs(run("2026-11-23", "--instruments", "NSE:NIFTY 50")) == [2, 5]
    assert seqs(run("2026-11-23", "--instruments", "2,NSE:INFY", "--limit", "3")) == [1, 2, 4]


def test_people_get_a_table(journal):
    done = run("2026-11-23", "--format", "table", "--limit", "2")
    assert done.stdout.splitlines() == [
        "time (IST)   instrument                  mode         price  quantity        volume          oi  flags",
        "12:00:00.000 NSE:INFY                    full       1,234.5         3        10,000",
        "12:00:00.000 NSE:NIFTY 50                full                                                    snapshot",
    ]
    gap = run("2026-11-23", "--format", "table").stdout.splitlines()[3]
    assert (
        gap
        == "12:00:00.000 GAP                         reason=disconnected instruments=all lost=4 source=sim"
    )


def test_a_configuration_says_where_the_journal_is(journal):
    Path("t.yaml").write_text("sources: {sim: {use: simulator}}\nstate: {dir: .}\n")
    done = CliRunner().invoke(tap, ["-c", "t.yaml", "--limit", "1"])
    assert seqs(done) == [7]


def test_damage_is_told_and_the_rest_is_shown(journal):
    path = min(journal.iterdir())
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    done = run("2026-11-23")
    assert done.exit_code == 1
    assert seqs(done) == list(range(1, 6))
    assert "DAMAGED" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("2026-11-23",), "say where the journal is with -c FILE or --state DIR"),
        (("-c", "t.yaml", "--state", "."), "not both"),
        (
            ("--state", "gone"),
            "gone/journal: No such file or directory; say where the journal is with --state or -c",
        ),
        (("--state", ".", "2026-11-30"), "no segment of 2026-11-30"),
    ],
)
def test_what_makes_no_sense_is_refused(journal, arguments, problem):
    done = CliRunner().invoke(tap, arguments)
    assert done.exit_code == 2
    assert problem in " ".join(done.output.split())


def test_an_empty_journal_shows_nothing(tmp_path):
    (tmp_path / "journal").mkdir()
    assert run(state=tmp_path).output == ""


def followed(directory, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "tickerd", "tap", "--follow", "--state", str(directory), *arguments],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_day_is_shown_and_then_what_comes_also_in_the_next_file(tmp_path):
    first = Segment(tmp_path / "journal", 1).batch()
    with followed(tmp_path, "2026-11-23") as child:
        assert child.stdout is not None
        guard = threading.Timer(30, child.kill)
        guard.start()
        seen = [json.loads(child.stdout.readline())["seq"] for _ in range(3)]
        first.batch()
        Segment(tmp_path / "journal", 7, "2026-11-24").batch()
        seen += [json.loads(child.stdout.readline())["seq"] for _ in range(6)]
        child.send_signal(signal.SIGINT)
        assert child.wait(10) == 0
        guard.cancel()
    assert seen == list(range(1, 10))


def test_following_shows_what_comes_from_now_on(tmp_path, monkeypatch):
    now = int(datetime.now(UTC).timestamp()) * 10**9
    segment = Segment(tmp_path / "journal", 1).batch()
    waits = []

    class Pause:
        def wait(self, seconds):
            waits.append(seconds)
            segment.ts = now + 5 * 10**9
            segment.batch()

    monkeypatch.setattr(module, "_pause", Pause)
    done = run("--follow", "--limit", "6", state=tmp_path)
    assert done.exit_code == 0
    assert seqs(done) == list(range(4, 10))
    assert waits == [module.POLL_S] * 2


def test_a_reader_that_goes_away_ends_it(journal):
    command = f"{sys.executable} -m tickerd tap 2026-11-23 2026-11-24 --state . | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, env=os.environ)
    assert json.loads(done.stdout)["seq"] == 1
    assert "Traceback" not in done.stderr


LINES = (
    b'\n{"instrument_token":1,"symbol":"NSE:INFY","mode":"full","tradable":true,"last_price":1500.05,"ts_recv":1,'
    b'"flags":["snapshot"]}\n\n{"record":"gap","reason":"x","source":"sim","ts_recv":2}\n'
)


def test_without_a_place_the_daemon_is_asked(fake_api):
    fake_api.answers["/v1/tap"] = (200, LINES)
    where = ("--socket", fake_api.socket)
    done = CliRunner().invoke(tap, [*where, "--instruments", "NSE:INFY,5", "--limit", "2"])
    assert done.exit_code == 0
    assert [json.loads(line).get("symbol") for line in done.stdout.splitlines()] == ["NSE:INFY", None]
    assert fake_api.asked[0][1] == "/v1/tap?i=5&i=NSE%3AINFY&limit=2"


def test_the_daemons_lines_are_shown_in_columns(fake_api):
    fake_api.answers["/v1/tap"] = (200, LINES)
    done = CliRunner().invoke(tap, ["--socket", fake_api.socket, "--format", "table"])
    head, tick, gap = done.stdout.splitlines()
    assert head.startswith("time (IST)")
    assert tick.split()[1:4] == ["NSE:INFY", "full", "1,500.05"]
    assert gap.split()[1] == "GAP"


def test_a_daemon_that_does_not_answer_is_told():
    done = CliRunner().invoke(tap, ["--socket", "/nowhere.sock"])
    assert (done.exit_code, "no tickerd answers at unix:/nowhere.sock" in done.stderr) == (1, True)


def test_ctrl_c_is_how_one_ends_it(fake_api, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("tickerd.cli.client.Client.lines", interrupted)
    assert CliRunner().invoke(tap, ["--socket", fake_api.socket]).exit_code == 0
