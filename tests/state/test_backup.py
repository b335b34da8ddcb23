"""Backup and restore of a state directory: whole, while it is in use, and never over what is there."""

import os
import sqlite3
import stat
import threading
from contextlib import closing
from datetime import UTC, datetime

import pytest

from tickerd.plugin import Position
from tickerd.state import (
    StateDirectory,
    StateError,
    StateLocked,
    archive,
    audit,
    cursors,
    keys,
    schema,
    tools,
)
from tickerd.state.archive import ArchiveError
from tickerd.state.backup import EPOCHS_LEFT_FREE, ConfigFiles, NotEmpty, back_up, inspect, restore
from tickerd.state.connection import FILE, connect, transaction
from tickerd.state.keys import By, NewKey
from tickerd.state.pepper import open_peppers
from tickerd.state.store import Store

NOW = datetime(2026, 11, 23, 3, 44, tzinfo=UTC)
ME = By("uid 0", "cli")


@pytest.fixture
def state(tmp_path):
    """A state directory that a daemon has used, with a key in it."""
    place = tmp_path / "state"
    store = Store(place / FILE)
    store.open()
    store.close()
    with StateDirectory(place) as held:
        held.next_epoch()
        (held.unit("source", "kite") / "instruments.bin").write_bytes(b"instruments")
        (held.unit("source", "kite") / "half.new").write_bytes(b"half")
        (held.unit("sink", "archive") / "touched.jsonl").write_bytes(b"{}\n")
    (place / "journal").mkdir()
    (place / "journal" / "2026-11-23.tkj").write_bytes(b"much")
    (place / "ticks").mkdir()
    (place / "ticks" / "all.jsonl").write_bytes(b"much")
    return place


@pytest.fixture
def key(state):
    new = NewKey.model_validate({"label": "charts", "scopes": ["ticks:read"]})
    with tools.writing(state) as connection:
        return keys.create(connection, open_peppers(state), new, ME, now_ns=1).text.text


@pytest.fixture
def backup(tmp_path, state, key):
    path = tmp_path / "b.tar"
    back_up(path, state, None, version="1.2.3", now=NOW)
    return path


def put_back(source, state, config=None, *, force=False):
    return restore(source, state, config, force=force, now=NOW, who="uid 0")


def known(state, text):
    """Whether the key is one of that state directory."""
    with tools.reading(state) as connection:
        return any(
            one.digest == open_peppers(state).digest(text, one.pepper) for one in keys.every(connection)
        )


def test_onto_an_empty_machine_keys_still_verify(tmp_path, backup, key):
    fresh = tmp_path / "fresh" / "state"
    done = put_back(backup, fresh)
    assert known(fresh, key)
    assert not known(fresh, key[:-1] + ("a" if key[-1] != "a" else "b"))
    assert (fresh / "source/kite/instruments.bin").read_bytes() == b"instruments"
    assert (fresh / "sink/archive/touched.jsonl").exists()
    assert done.moved_aside is None
    assert done.manifest.tickerd == "1.2.3"


def test_the_journal_ticks_and_half_written_files_are_left_out(backup):
    assert inspect(backup).names == {
        "state/epoch", "state/pepper", "state/tickerd.db",
        "state/source/kite/instruments.bin", "state/sink/archive/touched.jsonl",
    }  # fmt: skip


def test_no_position_is_given_out_twice(tmp_path, backup, state):
    fresh = tmp_path / "fresh"
    done = put_back(backup, fresh)
    assert done.epoch == 1 + EPOCHS_LEFT_FREE
    with StateDirectory(fresh) as held:
        assert held.next_epoch() == done.epoch + 1
    (state / "epoch").write_text("7000\n")
    assert put_back(backup, state, force=True).epoch == 7000 + EPOCHS_LEFT_FREE


def test_nothing_of_it_is_for_others(tmp_path, backup):
    fresh = tmp_path / "fresh"
    put_back(backup, fresh)
    assert stat.S_IMODE((fresh / "pepper").stat().st_mode) == 0o600
    assert stat.S_IMODE((fresh / FILE).stat().st_mode) == 0o600
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o007 == 0 for path in fresh.rglob("*"))
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600


def test_who_restored_what_is_in_the_audit_trail(tmp_path, backup):
    put_back(backup, tmp_path / "fresh")
    with tools.reading(tmp_path / "fresh") as connection:
        newest = audit.page(connection)[0]
    assert (newest.what, newest.who, newest.after["tickerd"]) == ("state.restore", "uid 0", "1.2.3")


def test_it_is_one_moment_while_another_process_writes(tmp_path, state):
    """Two rows that only change together are never told apart."""
    begun, stop = threading.Event(), threading.Event()

    def write():
        with closing(connect(state / FILE, "rw")) as connection:
            number = 0
            while not stop.is_set():
                number += 1
                with transaction(connection, "fast"):
                    for sink in ("a", "b"):
                        cursors.put(connection, sink, Position(1, number), now_ns=number)
                begun.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert begun.wait(10)
        for number in range(5):
            back_up(tmp_path / f"{number}.tar", state, None, version="1", now=NOW)
    finally:
        stop.set()
        writer.join()
    for number in range(5):
        place = tmp_path / f"back{number}"
        put_back(tmp_path / f"{number}.tar", place)
        with tools.reading(place) as connection:
            assert cursors.get(connection, "a").position == cursors.get(connection, "b").position


def test_a_place_that_is_not_empty_is_refused_and_not_touched(state, backup):
    before = {path: path.read_bytes() for path in state.rglob("*") if path.is_file()}
    with pytest.raises(
        NotEmpty, match=r"is not empty \(epoch, pepper, sink …\); choose an empty one, or --force"
    ):
        put_back(backup, state)
    assert {path: path.read_bytes() for path in state.rglob("*") if path.is_file()} == before


def test_force_moves_aside_what_is_in_the_way_and_deletes_nothing(state, backup, key):
    (state / "source/kite/instruments.bin").write_bytes(b"newer")
    (state / f"{FILE}-wal").write_bytes(b"")
    with tools.writing(state) as connection:
        keys.revoke(connection, keys.every(connection)[0].id, ME, now_ns=2)
    done = put_back(backup, state, force=True)
    assert (done.moved_aside / "source/kite/instruments.bin").read_bytes() == b"newer"
    with tools.reading(done.moved_aside) as connection:
        assert keys.every(connection)[0].revoked_ns is not None
    with tools.reading(state) as connection:
        assert keys.every(connection)[0].revoked_ns is None
    assert (state / "journal/2026-11-23.tkj").read_bytes() == b"much"
    assert (state / "ticks/all.jsonl").read_bytes() == b"much"


def test_a_journal_that_was_put_back_before_is_no_hindrance(tmp_path, backup):
    (tmp_path / "fresh" / "journal").mkdir(parents=True)
    put_back(backup, tmp_path / "fresh")


def test_a_running_daemon_is_never_restored_under(state, backup):
    with StateDirectory(state), pytest.raises(StateLocked):
        put_back(backup, state, force=True)


def test_a_damaged_backup_changes_nothing(tmp_path, backup, state):
    data = bytearray(backup.read_bytes())
    data[len(data) // 2] ^= 1
    backup.write_bytes(data)
    with pytest.raises(ArchiveError):
        put_back(backup, tmp_path / "fresh")
    assert [path.name for path in (tmp_path / "fresh").iterdir()] == ["lock"]
    before = (state / "pepper").read_text()
    with pytest.raises(ArchiveError):
        put_back(backup, state, force=True)
    assert (state / "pepper").read_text() == before


def test_a_backup_of_a_newer_tickerd_is_refused(tmp_path, state):
    back_up(tmp_path / "b.tar", state, None, version="9.9", now=NOW)
    archive.unpack(tmp_path / "b.tar", tmp_path / "open")
    with closing(connect(tmp_path / "open/state" / FILE, "rw")) as connection:
        connection.execute(f"PRAGMA user_version = {schema.newest() + 1}")
    names = ["epoch", FILE]
    files = {f"state/{name}": tmp_path / "open/state" / name for name in names}
    manifest = inspect(tmp_path / "b.tar")
    fields = {name: getattr(manifest, name) for name in manifest.__struct_fields__}
    newer = type(manifest)(**fields | {"files": archive.described(files)})
    archive.write(tmp_path / "newer.tar", newer, files)
    with pytest.raises(ArchiveError, match=r"newer tickerd, 9.9 \(version .*restore it with that one"):
        put_back(tmp_path / "newer.tar", tmp_path / "fresh")
    without = {"state/epoch": files["state/epoch"]}
    archive.write(
        tmp_path / "without.tar", type(manifest)(**fields | {"files": archive.described(without)}), without
    )
    with pytest.raises(ArchiveError, match="holds no state file"):
        inspect(tmp_path / "without.tar")


def test_an_older_backup_is_brought_up_to_date(tmp_path):
    old = tmp_path / "old"
    old.mkdir()
    with closing(sqlite3.connect(old / FILE, isolation_level=None)) as connection:
        connection.execute("PRAGMA application_id = " + str(int.from_bytes(b"tckd")))
        schema.migrate(connection, upto=4)
    assert back_up(tmp_path / "b.tar", old, None, version="0.1", now=NOW).schema == 4
    put_back(tmp_path / "b.tar", tmp_path / "fresh")
    with tools.reading(tmp_path / "fresh") as connection:
        assert schema.version(connection) == schema.newest()


def test_the_configuration_comes_too(tmp_path, state):
    home, far = tmp_path / "etc", tmp_path / "far.yaml"
    (home / "conf.d").mkdir(parents=True)
    for path in (home / "t.yaml", home / "conf.d" / "a.yaml", far):
        path.write_text(f"# {path.name}\n")
    config = ConfigFiles(home / "t.yaml", [home / "conf.d" / "a.yaml", far, home / "gone.yaml"])
    back_up(tmp_path / "b.tar", state, config, version="1", now=NOW)
    back = tmp_path / "back"
    put_back(tmp_path / "b.tar", tmp_path / "fresh", back)
    found = {
        path.relative_to(back).as_posix(): path.read_text() for path in back.rglob("*") if path.is_file()
    }
    assert found == {
        "t.yaml": "# t.yaml\n", "conf.d/a.yaml": "# a.yaml\n", "elsewhere/far.yaml": "# far.yaml\n",
    }  # fmt: skip
    with pytest.raises(NotEmpty, match="back: is not empty"):
        put_back(tmp_path / "b.tar", tmp_path / "fresh2", back)
    assert not (tmp_path / "fresh2").exists()


def test_a_directory_without_a_state_file_is_told(tmp_path):
    with pytest.raises(StateError, match="there is no such state file"):
        back_up(tmp_path / "b.tar", tmp_path, None, version="1", now=NOW)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_state_file_makes_no_backup(tmp_path, state):
    (state / FILE).write_bytes(b"x" * 8192)
    with pytest.raises(StateError):
        back_up(tmp_path / "b.tar", state, None, version="1", now=NOW)
    assert not (tmp_path / "b.tar").exists()


def test_what_is_too_large_is_no_state(tmp_path, state):
    with (state / "sink/archive/huge").open("wb") as file:
        file.truncate(2**28 + 1)
    with pytest.raises(OSError, match="which is no state; move it elsewhere"):
        back_up(tmp_path / "b.tar", state, None, version="1", now=NOW)


def test_links_out_of_the_directory_are_not_followed(tmp_path, state):
    (state / "sink/archive/link").symlink_to("/etc/hostname")
    back_up(tmp_path / "b.tar", state, None, version="1", now=NOW)
    assert "state/sink/archive/link" not in inspect(tmp_path / "b.tar").names


@pytest.mark.root
def test_root_gives_what_it_restores_to_the_directorys_owner(tmp_path, backup):
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    os.chown(fresh, 4321, 4321)
    put_back(backup, fresh)
    assert {(path.stat().st_uid, path.stat().st_gid) for path in fresh.rglob("*")} == {(4321, 4321)}
