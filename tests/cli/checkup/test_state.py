"""The state directory."""

import os

import pytest

from tickerd.cli.checkup.state import state
from tickerd.state import schema
from tickerd.state.connection import FILE, connect
from tickerd.state.store import Store


@pytest.fixture
def home(tmp_path):
    store = Store(tmp_path / "state" / FILE)
    store.open()
    store.close()
    (tmp_path / "state" / "epoch").write_text("4\n")
    return tmp_path / "state"


def test_a_sound_one_has_nothing_wrong_and_tells_who_runs_on_it(patient, said, home):
    assert said(state(patient())) == []
    assert [one.text for one in state(patient(process=77))][-1] == f"{home}: process 77 runs on it"


def test_one_that_is_not_there_yet_is_fine_where_it_can_be_made(patient, said):
    (one,) = state(patient())
    assert (one.level, "the first start makes it" in one.text) == ("ok", True)


def test_one_that_cannot_be_made_is_told(patient, said, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    (one,) = state(patient())
    assert one.level == "problem"
    assert "cannot make it" in one.text


def test_one_that_everybody_can_enter_is_told(patient, said, home):
    home.chmod(0o755)
    assert said(state(patient())) == [
        ("problem", f"{home}: everybody on this machine can enter it (mode 0755)")
    ]


def test_one_that_this_user_cannot_write_is_told(patient, said, home, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    assert ("problem", f"{home}: user id 4321 cannot write it") in said(state(patient()))


def test_an_epoch_that_is_no_number_is_told(patient, said, home):
    (home / "epoch").write_text("x")
    assert "does not hold a number" in said(state(patient()))[0][1]


def test_a_damaged_state_file_is_told_before_a_start_moves_it_aside(patient, said, home):
    (home / FILE).write_bytes(b"x" * 9000)
    (one,) = [one for one in state(patient()) if one.level == "problem"]
    assert "restore a backup first" in one.do


def test_a_newer_state_file_leads_to_the_runbook(patient, home, checkout):
    connection = connect(home / FILE, "rw")
    connection.execute(f"PRAGMA user_version = {schema.newest() + 1}")
    connection.close()
    (one,) = [one for one in state(patient()) if one.level == "problem"]
    assert "was written by a newer tickerd" in one.text
    assert (checkout / one.do.split()[0]).exists()


def test_what_was_moved_aside_is_remembered(patient, said, home):
    (home / f"{FILE}.corrupt-20261123T034400Z").write_bytes(b"")
    (home / f"{FILE}.corrupt-20261123T034400Z-wal").write_bytes(b"")
    assert [level for level, _ in said(state(patient()))] == ["warning"]
