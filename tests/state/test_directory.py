"""The state directory: one holder, an epoch that never repeats."""

import stat
import subprocess
import sys

import pytest

from tickerd.state import StateDirectory, StateLocked


def test_the_epoch_grows_by_one_at_each_start(tmp_path):
    for expected in (1, 2, 3):
        with StateDirectory(tmp_path / "state") as state:
            assert state.next_epoch() == expected


def test_an_epoch_file_that_holds_no_number_is_never_guessed(tmp_path):
    (tmp_path / "epoch").write_text("banana\n")
    with StateDirectory(tmp_path) as state, pytest.raises(ValueError, match="does not hold a number"):
        state.next_epoch()


def test_a_second_daemon_is_refused_with_the_process_that_holds_it(tmp_path):
    hold = (
        "import sys; from pathlib import Path; from tickerd.state import StateDirectory\n"
        f"with StateDirectory(Path({str(tmp_path)!r})): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "held\n"
        with (
            pytest.raises(StateLocked, match=rf"process {child.pid}\) uses this state directory"),
            StateDirectory(tmp_path),
        ):
            pass
        child.stdin.close()
        child.wait()
    with StateDirectory(tmp_path):
        pass


def test_unit_directories_are_made_when_asked_for_and_not_for_everybody_to_read(tmp_path):
    with StateDirectory(tmp_path) as state:
        path = state.unit("source", "kite")
    assert path == tmp_path / "source" / "kite"
    assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0
