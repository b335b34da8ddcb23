"""The journal's end."""

import subprocess
import sys

from tickerd.cli.checkup.journal import journal


def test_one_that_is_off_and_one_that_is_not_there_yet(patient, said):
    off = "sources: {demo: {use: simulator}}\njournal: off\nstate: {dir: DIR/state}\n"
    assert [level for level, _ in said(journal(patient(text=off)))] == ["warning"]
    assert said(journal(patient())) == []


def test_an_empty_one(patient, tmp_path):
    (tmp_path / "state" / "journal").mkdir(parents=True)
    (one,) = journal(patient())
    assert one.text.endswith("journal: empty")


def test_a_whole_one_a_damaged_one_and_what_was_set_aside(patient, said, tmp_path):
    some = "{use: simulator, rate: 100, subscribe: [{instruments: ['NSE:INFY']}]}"
    one = patient(text=f"sources: {{demo: {some}}}\nstate: {{dir: DIR/state}}\njournal: {{min_free: 1MiB}}\n")
    command = [sys.executable, "-m", "tickerd", "run", "-c", str(one.file), "--for", "500ms"]
    subprocess.run(command, capture_output=True, timeout=60, check=True)
    (fine,) = journal(one)
    assert fine.text.endswith("the newest is whole")
    (segment,) = (tmp_path / "state/journal").glob("*.tkj")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0xFF
    segment.write_bytes(data)
    ((level, text),) = said(journal(one))
    assert (level, segment.name in text) == ("problem", True)
    segment.with_name(f"{segment.name}.bad").write_bytes(b"")
    assert len(said(journal(one))) == 2
