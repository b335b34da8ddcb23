"""The file in the daemon's hands: made, opened, healed."""

import os
import shutil
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tickerd.plugin import Position
from tickerd.state import StateError, cursors, schema
from tickerd.state.connection import FILE, connect
from tickerd.state.store import MOST_MOVED, Store


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / FILE)
    store.open()
    yield store
    store.close()


def put(store, seq, unit="sink.a"):
    store.call("fast", lambda c: cursors.put(c, unit, Position(1, seq), now_ns=1))


def seq(store, unit="sink.a"):
    cursor = store.call("read", lambda c: cursors.get(c, unit))
    return None if cursor is None else cursor.position.seq


def reopened(path):
    store = Store(path)
    store.open()
    return closing(store)


def test_it_is_made_whole_and_for_its_owner_alone(tmp_path):
    old = os.umask(0)
    try:
        with reopened(tmp_path / "deep" / FILE) as store:
            put(store, 1)
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in store.path.parent.iterdir()}
    finally:
        os.umask(old)
    assert modes == dict.fromkeys((FILE, f"{FILE}-wal", f"{FILE}-shm"), 0o600)
    assert [path.name for path in store.path.parent.iterdir()] == [FILE]


@pytest.mark.parametrize(("found", "made"), [(0o666, 0o600), (0o640, 0o600), (0o600, 0o600), (0o000, 0o600)])
def test_the_mode_of_a_file_that_is_there_is_put_right(file, found, made):
    file.chmod(found)
    with reopened(file):
        assert stat.S_IMODE(file.stat().st_mode) == made


def test_it_is_there_after_closing_and_opening(file):
    with reopened(file) as store:
        put(store, 5)
    with reopened(file) as store:
        assert seq(store) == 5
        assert store.moved_aside == ()


def test_the_log_is_a_wal_whose_size_is_bounded(store):
    def pragmas(connection):
        return [
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "journal_size_limit")
        ]

    assert store.call("read", pragmas) == ["wal", 2**24]


def test_what_an_interrupted_start_left_is_cleared(tmp_path):
    (tmp_path / f"{FILE}.new").write_text("half")
    with reopened(tmp_path / FILE):
        assert not (tmp_path / f"{FILE}.new").exists()


def test_an_older_file_is_brought_up_to_date_with_its_data(tmp_path):
    with closing(connect(tmp_path / FILE, "rwc")) as connection:
        connection.execute("PRAGMA application_id = 0x74636b64")
        schema.migrate(connection, upto=1)
        cursors.put(connection, "sink.a", Position(1, 9), now_ns=1)
    with capture_logs() as logs, reopened(tmp_path / FILE) as store:
        assert seq(store) == 9
        assert store.call("read", schema.version) == schema.newest()
    assert [log["event"] for log in logs] == [
        "state file of an older version kept beside",
        "state file brought up to date",
    ]
    assert (logs[0]["version"], logs[1]["steps"]) == (1, schema.newest() - 1)


def test_an_older_tickerd_gets_its_file_back_after_a_roll_back(tmp_path, monkeypatch):
    every = schema.migrations()
    monkeypatch.setattr(schema, "migrations", lambda: every[:2])
    with reopened(tmp_path / FILE) as store:
        put(store, 7)
    monkeypatch.setattr(schema, "migrations", lambda: every)
    with reopened(tmp_path / FILE) as store:
        put(store, 8)
    with reopened(tmp_path / FILE):
        pass  # a second start keeps nothing again
    assert [path.name for path in tmp_path.glob(f"{FILE}.v*")] == [f"{FILE}.v2"]
    assert stat.S_IMODE((tmp_path / f"{FILE}.v2").stat().st_mode) & 0o007 == 0

    monkeypatch.setattr(schema, "migrations", lambda: every[:2])
    newer = (tmp_path / FILE).read_bytes()
    with pytest.raises(StateError, match="was written by a newer tickerd"):
        Store(tmp_path / FILE).open()
    assert (tmp_path / FILE).read_bytes() == newer
    (tmp_path / FILE).rename(tmp_path / "newer.db")
    (tmp_path / f"{FILE}.v2").rename(tmp_path / FILE)
    with reopened(tmp_path / FILE) as store:
        assert seq(store) == 7


def test_a_newer_file_is_refused_and_left_as_it_is(file):
    with closing(connect(file, "rw")) as connection:
        connection.execute(f"PRAGMA user_version = {schema.newest() + 1}")
    before = file.read_bytes()
    with pytest.raises(StateError, match="newer tickerd") as caught:
        Store(file).open()
    assert caught.value.problem == "newer"
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def flip(data):
    """A page in the middle turned over."""
    return data[:4096] + bytes(255 - byte for byte in data[4096:8192]) + data[8192:]


@pytest.mark.parametrize(
    "damage",
    [
        flip,
        lambda data: b"",
        lambda data: data[:1],
        lambda data: data[:700],
        lambda data: data[: len(data) // 2],
        lambda data: data[:4096],
        lambda data: os.urandom(len(data)),
        lambda data: b"\x00" * len(data),
        lambda data: b"not a database at all\n" * 100,
    ],
    ids=["flipped", "empty", "byte", "700 bytes", "half", "page", "random", "zeros", "text"],
)
def test_a_damaged_file_is_moved_aside_and_begun_anew(file, damage):
    with reopened(file) as store:
        put(store, 5)
    damaged = damage(file.read_bytes())
    file.write_bytes(damaged)
    with capture_logs() as logs, reopened(file) as store:
        assert seq(store) is None
        put(store, 6)
    (aside,) = store.moved_aside
    assert aside.read_bytes() == damaged
    assert aside.name.startswith(f"{FILE}.corrupt-")
    (alarm,) = logs
    assert (alarm["log_level"], alarm["moved_to"]) == ("error", str(aside))
    with reopened(file) as store:
        assert seq(store) == 6


def test_a_database_of_another_program_is_moved_aside_and_not_written(tmp_path):
    with closing(connect(tmp_path / FILE, "rwc")) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    theirs = (tmp_path / FILE).read_bytes()
    with capture_logs(), reopened(tmp_path / FILE) as store:
        assert store.moved_aside[0].read_bytes() == theirs


def test_damage_that_shows_while_it_runs_is_healed_by_the_next_call(store):
    put(store, 5)
    store.call("read", lambda c: None)
    store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store._connection.execute("PRAGMA cache_size = 0")
    with store.path.open("r+b") as out:
        out.write(os.urandom(4096 * 3))
    with pytest.raises(StateError) as caught:
        put(store, 6)
    assert caught.value.problem == "damaged"
    with capture_logs():
        put(store, 7)
    assert seq(store) == 7
    assert len(store.moved_aside) == 1


def test_a_disk_that_keeps_breaking_files_is_not_filled_with_copies(tmp_path):
    store = Store(tmp_path / FILE)
    with capture_logs():
        for _ in range(MOST_MOVED):
            (tmp_path / FILE).write_text("garbage" * 1000)
            store.open()
            store.close()
        (tmp_path / FILE).write_text("garbage" * 1000)
        with pytest.raises(StateError, match="not a database"):
            store.open()
    assert len(list(tmp_path.glob("*.corrupt-*"))) == MOST_MOVED


@pytest.mark.parametrize("what", ["file", "directory"])
def test_a_file_that_was_removed_is_written_again_with_all_it_held(tmp_path, what):
    with reopened(tmp_path / "state" / FILE) as store:
        put(store, 5)
        if what == "directory":
            shutil.rmtree(tmp_path / "state")
        else:
            store.path.unlink()
        with capture_logs() as logs:
            put(store, 6, "sink.b")
        assert [log["event"] for log in logs] == ["state file was removed while in use, written again"]
        put(store, 7, "sink.c")
    with reopened(tmp_path / "state" / FILE) as store:
        assert [seq(store, f"sink.{name}") for name in "abc"] == [5, 6, 7]


def test_the_lost_file_is_closed_before_another_takes_its_place(store, monkeypatch):
    """Its closing deletes the log under that path, which would be the other's."""

    def rename(path, target):
        assert store._connection is None
        return path.replace(target)

    put(store, 5)
    store.path.unlink()
    monkeypatch.setattr(Path, "rename", rename)
    with capture_logs():
        put(store, 6)
    assert seq(store) == 6


def test_a_file_that_was_replaced_is_not_touched(store, tmp_path):
    put(store, 5)
    with reopened(tmp_path / "other.db") as other:
        put(other, 99)
    (tmp_path / "other.db").rename(store.path)
    before = store.path.read_bytes()
    with pytest.raises(StateError, match="replaced by another file while in use; restart tickerd") as caught:
        put(store, 6)
    assert caught.value.problem == "replaced"
    assert store.path.read_bytes() == before


def test_a_full_disk_is_told_loses_nothing_and_heals(store):
    def pages(connection, more):
        (count,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {count + more:d}")

    put(store, 1)
    store.call("read", lambda c: pages(c, 2))

    def fill():
        for number in range(2, 1000):
            row = {
                "unit": "sink.a",
                "position": Position(1, number),
                "kept": b"x" * 100 * number,
                "now_ns": 1,
            }
            store.call("fast", lambda c, row=row: cursors.put(c, **row))

    with pytest.raises(StateError, match="the disk is full; free some space") as caught:
        fill()
    assert caught.value.problem == "full"
    last = seq(store)
    assert 1 < last < 999, "reading works, and what was committed is there"
    store.call("read", lambda c: pages(c, 1000))
    put(store, 1000)
    assert seq(store) == 1000


def test_a_wrong_statement_is_a_bug_and_not_the_files_fault(store):
    with pytest.raises(Exception, match="no such table: nowhere") as caught:
        store.call("fast", lambda c: c.execute("DELETE FROM nowhere"))
    assert not isinstance(caught.value, OSError)
    put(store, 1)


def test_a_place_that_is_no_file_is_told(tmp_path):
    (tmp_path / FILE).mkdir()
    with pytest.raises(StateError, match="cannot be opened") as caught:
        Store(tmp_path / FILE).open()
    assert caught.value.problem == "unreachable"


def test_sync_reaches_the_log_and_does_without_one(store, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(Path(f"/proc/self/fd/{handle}").readlink()))
    put(store, 1)
    store.sync()
    assert [path.name for path in synced] == [f"{FILE}-wal"]
    store.path.with_name(f"{FILE}-wal").unlink()
    store.sync()


def test_a_file_system_without_shared_memory_is_warned_of(store):
    class Without:
        def execute(self, statement):
            class Rows:
                def fetchone(self):
                    return ("delete",) if "journal_mode" in statement else (schema.newest(),)

            return Rows()

    with capture_logs() as logs:
        store._bring_up_to_date(Without())
    assert [log["log_level"] for log in logs] == ["warning"]


KILLED = """
import sys
from pathlib import Path
from tickerd.plugin import Position
from tickerd.state import cursors
from tickerd.state.store import Store

store = Store(Path(sys.argv[1]))
store.open()
for number in range(1, 10**9):
    store.call("fast", lambda c: [
        cursors.put(c, unit, Position(1, number), kept=b"x" * (number % 5000), now_ns=1) for unit in "ab"
    ])
    print(number, flush=True)
"""


@pytest.mark.parametrize("told", [1, 50, 700])
def test_a_writer_that_is_killed_loses_nothing_that_was_committed(tmp_path, told):
    path = tmp_path / FILE
    with subprocess.Popen([sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE, text=True) as child:
        for _ in range(told):
            child.stdout.readline()
        child.kill()
        last = int(child.stdout.read().rpartition("\n")[0].rpartition("\n")[2] or told)
    with capture_logs(), reopened(path) as store:
        assert store.moved_aside == ()
        a, b = (store.call("read", lambda c, unit=unit: cursors.get(c, unit)) for unit in "ab")
        assert a.position == b.position, "half of a transaction"
        assert last <= a.position.seq <= last + 1
        assert store.call("read", lambda c: c.execute("PRAGMA integrity_check").fetchall()) == [("ok",)]
