"""Tests of `tickerd verify`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tickerd.cli.verify import verify
from tickerd.journal.files import Files
from tickerd.journal.segment import Encoder, Header, file_name
from tickerd.plugin import Batch, Gap, Instrument, Row
from tickerd.testing.fakes import stamped

TABLE = {1: Instrument("", 1, "NSE", "INFY"), 2: Instrument("", 2, "NSE", "NIFTY 50")}


def write(directory: Path, first: int, batches: int = 2, day: str = "2026-11-23") -> Path:
    """A segment of ticks, ten positions each, with a gap record in front of the second batch."""
    directory.mkdir(parents=True, exist_ok=True)
    encoder = Encoder(Header(3, first, 0, day))
    buffers = encoder.begin()
    for seq in range(first, first + batches * 10, 10):
        batch = Batch.of([Row(1 + n % 2, last_price=1.0) for n in range(9)], connection=1, ts_recv=1)
        batch.records = [Gap(reason="disconnected", since_ns=0, until_ns=1_500_000_000, lost=2)]
        buffers += encoder.batch(stamped(batch, seq, epoch=3, instruments=TABLE))
        if batch.records:  # the hub gives ticks their positions before records
            assert batch.last.seq == seq + 9
    path = directory / file_name(encoder.header)
    file = Files().open_append(path)
    Files().writev(file, buffers)
    Files().close(file)
    return path


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    return lambda *options: CliRunner().invoke(verify, [str(option) for option in options])


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Two days of one run."""
    write(tmp_path / "journal", 1)
    write(tmp_path / "journal", 21, day="2026-11-24")
    return tmp_path / "journal"


def damaged(path: Path) -> Path:
    data = bytearray(path.read_bytes())
    data[-300] ^= 1
    path.write_bytes(data)
    return path


def test_a_sound_journal_is_described(run, journal):
    done = run("--dir", journal)
    assert done.exit_code == 0, done.output
    size = sum(path.stat().st_size for path in journal.iterdir())
    lines = done.output.splitlines()
    assert lines[0] == f"2 segments, {size:,} bytes: 8 batches with 36 ticks and 4 control records"
    assert lines[1] == "epoch 3: positions 1 to 40"
    assert lines[2] == "gap told by the feed: 3:10 fake disconnected, 1.500 s, 2 lost"
    assert lines[-2:] == ["ticks marked as duplicates: 0, as out of order: 0", "nothing is wrong"]


def test_instruments_are_counted_on_request(run, journal):
    lines = run("--dir", journal, "--per-instrument").output.splitlines()
    assert [line.split() for line in lines[-3:-1]] == [["NSE:INFY", "20"], ["NSE:NIFTY", "50", "16"]]


def test_damage_fails_and_is_shown_with_the_positions_around_it(run, journal):
    path = damaged(max(journal.iterdir()))
    done = run("--dir", journal)
    assert done.exit_code == 1
    assert f"DAMAGED: {path}: " in done.output
    assert "between 3:3" in done.output
    assert done.output.endswith("something is wrong\n")


def test_a_missing_segment_fails(run, journal):
    write(journal, 61)
    done = run("--dir", journal)
    assert done.exit_code == 1
    assert "MISSING: 20 between 3:40 and 3:61\n" in done.output


def test_a_missing_part_that_a_gap_tells_does_not_fail(run, journal):
    encoder = Encoder(Header(3, 44, 0, "2026-11-24"))
    batch = Batch.control(Gap(reason="disk full", after=(3, 40), lost=3))
    path = journal / file_name(encoder.header)
    path.write_bytes(b"".join(encoder.begin() + encoder.batch(stamped(batch, 44, epoch=3))))
    done = run("--dir", journal)
    assert done.exit_code == 0, done.output
    assert "missing, as a gap tells: 3 between 3:40 and 3:44\n" in done.output


def test_repeats_unreadable_files_and_an_unfinished_tail_are_shown(run, journal):
    (journal / "x.tkj.bad").touch()
    again = write(journal, 35)
    with again.open("ab") as file:
        file.write(b"half")
    done = run("--dir", journal)
    assert done.exit_code == 1
    assert "REPEATED: 1 batches begin at a position that had been there before\n" in done.output
    assert f"UNREADABLE: {journal}/x.tkj.bad\n" in done.output
    assert "newest segment: 4 bytes after its last record are not whole yet\n" in done.output


def test_many_of_a_kind_are_cut_short(run, journal):
    write(journal, 41, batches=30)
    assert "gap told by the feed: … and 14 more\n" in run("--dir", journal).output


def test_json_says_the_same(run, journal):
    damaged(max(journal.iterdir()))
    write(journal, 61)
    done = run("--dir", journal, "--json", "--per-instrument")
    assert done.exit_code == 1
    data = json.loads(done.output)
    assert (data["wrong"], data["segments"], data["repeats"]) == (True, 3, 0)
    assert data["epochs"] == [{"first": [3, 1], "last": [3, 80]}]
    assert data["gaps"][0]["seconds"] == 1.5
    assert data["holes"][-1]["before"] == [3, 61]
    assert data["damage"][0]["reason"] == "crc"
    assert data["instruments"]["NSE:INFY"] > 0


def test_a_day_is_read_alone(run, journal):
    done = run("--dir", journal, "2026-11-24")
    assert done.exit_code == 0
    assert "epoch 3: positions 21 to 40\n" in done.output
    both = run("--dir", journal, "2026-11-24", min(journal.iterdir()))
    assert "epoch 3: positions 1 to 40\n" in both.output


def test_files_are_read_alone(run, journal):
    done = run(min(journal.iterdir()))
    assert done.exit_code == 0
    assert "epoch 3: positions 1 to 20\n" in done.output


def test_what_lies_between_the_days_that_were_named_is_not_missing(run, journal):
    write(journal, 41, day="2026-11-25")
    done = run("--dir", journal, "2026-11-23", "2026-11-25")
    assert done.exit_code == 0, done.output


def test_the_configuration_says_where_the_journal_is(run, journal, tmp_path):
    (tmp_path / "t.yaml").write_text(
        "sources: {sim: {use: simulator}}\nsinks: {f: {use: file, path: x.jsonl}}\nstate: {dir: .}\n"
    )
    done = run("-c", "t.yaml")
    assert done.exit_code == 0, done.output
    assert "2 segments" in done.output


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--dir", "gone"), "gone: No such file or directory; say where the journal is with --dir or -c"),
        (("--dir", "journal", "2026-11-25"), "journal: no segment of 2026-11-25"),
        (("2026-13-45",), "'2026-13-45' is neither a date such as 2026-11-23 nor a segment of the journal"),
        (("journal/2026-11-23-0000000009-00000000000000000001.tkj",), "no such file"),
        (("--dir", "x", "-c", "y"), "give --dir or --config, not both"),
    ],
)
def test_a_wrong_command_line_is_told(run, journal, options, text):
    done = run(*options)
    assert done.exit_code == 2
    assert text in done.output


def test_without_anything_it_is_the_journal_of_the_default_state_directory(run, monkeypatch):
    done = run()
    assert "/var/lib/tickerd/journal" in done.output or done.exit_code == 0
