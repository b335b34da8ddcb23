"""Whose a file is, whether it is whole, and moving it aside."""

import os
from contextlib import closing

import pytest

from tickerd.state import StateError, schema
from tickerd.state.connection import connect
from tickerd.state.soundness import examine, move_aside


def set_pragma(file, text):
    with closing(connect(file, "rw")) as connection:
        connection.execute(f"PRAGMA {text}")


def examined(file):
    with closing(connect(file, "rw")) as connection:
        examine(connection, file)


def test_a_file_that_we_made_is_sound(file):
    examined(file)


@pytest.mark.parametrize(
    ("pragma", "problem", "words"),
    [
        ("application_id = 7", "damaged", "not a state file of tickerd"),
        ("user_version = 0", "damaged", "version 0"),
        ("user_version = -3", "damaged", "version -3"),
        ("user_version = 70000", "damaged", "version 70000"),
        (f"user_version = {schema.newest() + 1}", "newer", "newer tickerd .* install that one again"),
    ],
)
def test_what_is_not_ours_or_not_for_us_is_told(file, pragma, problem, words):
    set_pragma(file, pragma)
    with pytest.raises(StateError, match=words) as caught:
        examined(file)
    assert caught.value.problem == problem


def test_a_page_that_belongs_to_nobody_is_damage(file):
    with closing(connect(file, "rw")) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("DELETE FROM sqlite_master WHERE name = 'dead_letters_by_sink'")
    with pytest.raises(StateError, match=r"is damaged: .*never used") as caught:
        examined(file)
    assert caught.value.problem == "damaged"


def test_moving_aside_takes_the_log_along_and_overwrites_nothing(tmp_path):
    file = tmp_path / "tickerd.db"
    names = []
    for number in range(3):
        file.write_text(f"file {number}")
        os.utime(file, (1767584700, 1767584700))
        file.with_name("tickerd.db-wal").write_text(f"wal {number}")
        names.append(move_aside(file).name)
    base = "tickerd.db.corrupt-20260105T034500Z"
    assert names == [base, f"{base}.2", f"{base}.3"]
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        f"{name}{suffix}": f"{kind} {number}"
        for number, name in enumerate(names)
        for suffix, kind in (("", "file"), ("-wal", "wal"))
    }
