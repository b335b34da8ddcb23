"""The state file for trio: transactions that are whole, in order, and never stop the loop."""

import os
import sqlite3
import sys
import threading
import time
from contextlib import closing

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import wait_all_tasks_blocked

from tickerd.plugin import Position
from tickerd.state import Database, StateError, cursors, deadletters, schema
from tickerd.state.connection import FILE, connect


async def seq(db, unit="sink.a"):
    cursor = await db.read(cursors.get, unit)
    return None if cursor is None else cursor.position.seq


def put(connection, number, unit="sink.a"):
    cursors.put(connection, unit, Position(1, number), now_ns=1)


async def test_functions_of_several_repositories_make_one_transaction(db, letter):
    def both(connection, fail):
        put(connection, 5)
        deadletters.add(connection, [letter()])
        if fail:
            raise KeyError

    with pytest.raises(KeyError):
        await db.run(both, fail=True)
    assert await seq(db) is None
    assert await db.read(deadletters.totals) == []
    await db.run(both, fail=False)
    assert await seq(db) == 5
    assert len(await db.read(deadletters.totals)) == 1


async def test_arguments_are_handed_on_and_results_come_back(db):
    await db.run(cursors.put, "sink.a", Position(1, 2), kept=b"k", now_ns=3)
    await db.run_synced(cursors.put, "sink.b", Position(1, 3), now_ns=3)
    assert await db.read(cursors.get, "sink.a") == ("sink.a", (1, 2), b"k", 3)
    assert [one.unit for one in await db.read(cursors.every)] == ["sink.a", "sink.b"]


async def test_a_read_cannot_write(db):
    with pytest.raises(StateError, match="cannot be written"):
        await db.read(put, 1)
    await db.run(put, 1)


async def test_everything_runs_in_one_thread_that_is_not_the_loops(db):
    threads = {await call(lambda _: threading.current_thread()) for call in (db.run, db.read, db.run_synced)}
    assert [thread.name for thread in threads] == ["tickerd-state"]


async def test_the_loop_goes_on_while_a_transaction_waits_for_the_disk(db):
    gate = threading.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(db.run, lambda _: gate.wait())
        await wait_all_tasks_blocked()
        nursery.start_soon(db.run, put, 1)
        await wait_all_tasks_blocked()
        assert db.queued >= 1
        gate.set()
    assert db.queued == 0
    assert await seq(db) == 1


async def test_cancelled_before_its_turn_nothing_of_it_is_done(db):
    gate, begun = threading.Event(), threading.Event()

    def hold(connection):
        begun.set()
        gate.wait()
        put(connection, 1, "held")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(db.run, hold)
        await trio.to_thread.run_sync(begun.wait)
        with trio.move_on_after(0.01) as scope:
            await db.run(put, 2, "cancelled")
        assert scope.cancelled_caught
        nursery.cancel_scope.cancel()
        gate.set()
    assert [one.unit for one in await db.read(cursors.every)] == ["held"], "what had begun was finished"


async def test_a_reader_sees_one_moment_while_others_write(db):
    await db.run(put, 1)
    with closing(connect(db.path, "ro")) as reader:
        reader.execute("BEGIN")
        assert cursors.get(reader, "sink.a").position.seq == 1
        await db.run(put, 2)
        assert cursors.get(reader, "sink.a").position.seq == 1
        reader.execute("COMMIT")
        assert cursors.get(reader, "sink.a").position.seq == 2


async def test_changes_tells_of_other_processes_and_not_of_ourselves(db):
    before = await db.changes()
    await db.run(put, 1)
    assert await db.changes() == before
    with closing(connect(db.path, "rw")) as other:
        put(other, 2)
    assert await db.changes() != before


OTHER = """
import sys
from pathlib import Path
from tickerd.plugin import Position
from tickerd.state import cursors, tools

for number in range(200):
    with tools.writing(Path(sys.argv[1])) as connection:
        cursor = cursors.get(connection, "shared")
        cursors.put(connection, "shared", Position(1, cursor.position.seq + 1), now_ns=1)
"""


async def test_two_processes_that_write_lose_nothing_to_each_other(db):
    def add_one(connection):
        number = cursors.get(connection, "shared").position.seq
        put(connection, number + 1, "shared")

    async def other():
        await trio.run_process([sys.executable, "-c", OTHER, str(db.path.parent)])
        ended.set()

    ours, ended = 0, trio.Event()
    await db.run(put, 0, "shared")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        while not ended.is_set():
            await db.run(add_one)
            ours += 1
    assert await seq(db, "shared") == 200 + ours


async def test_a_lock_that_another_process_keeps_is_told(db, monkeypatch):
    await db.read(lambda c: c.execute("PRAGMA busy_timeout = 10"))
    with closing(connect(db.path, "rw")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateError, match="another process holds it locked") as caught:
            await db.run(put, 1)
        assert caught.value.problem == "busy"
        assert await seq(db) is None, "reading goes on"
        other.execute("ROLLBACK")
    await db.run(put, 2)


async def test_a_damaged_file_does_not_keep_the_daemon_from_starting(tmp_path):
    (tmp_path / FILE).write_bytes(os.urandom(9000))
    with capture_logs() as logs:
        async with Database(tmp_path) as db:
            await db.run(put, 1)
            (aside,) = db.moved_aside
            assert aside.stat().st_size == 9000
    assert [(log["log_level"], log["moved_to"]) for log in logs] == [("error", str(aside))]


async def test_a_newer_file_is_refused_on_entering(file):
    with closing(connect(file, "rw")) as connection:
        connection.execute(f"PRAGMA user_version = {schema.newest() + 1}")
    before, db = set(threading.enumerate()), Database(file.parent)
    with pytest.raises(StateError, match="newer"):
        await db.__aenter__()
    for thread in set(threading.enumerate()) - before:
        if thread.name == "tickerd-state":
            thread.join(5)
            assert not thread.is_alive()


async def test_it_is_used_inside_async_with_only(tmp_path):
    db = Database(tmp_path)
    assert db.queued == 0
    with pytest.raises(trio.ClosedResourceError):
        await db.run(put, 1)
    async with db:
        await db.sync()
    with pytest.raises(trio.ClosedResourceError):
        await db.run(put, 1)
    assert [path.name for path in tmp_path.iterdir()] == [FILE], "closed in order, the log is in the file"


async def test_a_bug_passes_through_as_it_is(db):
    with pytest.raises(sqlite3.IntegrityError):
        await db.run(lambda c: c.execute("INSERT INTO cursors (unit) VALUES ('a')"))


async def test_how_fast_it_is(db, letter):
    """Printed, not asserted."""
    letters = [letter(seq) for seq in range(1, 5001)]
    for name, rows, times, step in (
        ("cursor commits", 1, 500, lambda n: db.run(put, n)),
        ("synced commits", 1, 50, lambda n: db.run_synced(put, n)),
        ("reads", 1, 500, lambda _: seq(db)),
        ("dead letters in one transaction", 5000, 1, lambda _: db.run(deadletters.add, letters)),
    ):
        began = time.perf_counter()
        for number in range(times):
            await step(number)
        print(f"{name}: {rows * times / (time.perf_counter() - began):,.0f}/s")
