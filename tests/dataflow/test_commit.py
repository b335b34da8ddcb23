"""How far a durable sink has got: begun, written when due, and kept through a state file that fails."""

import pytest
import trio

from tickerd.dataflow.commit import MAX_KEPT, DurableCommit
from tickerd.plugin import Clock, Position
from tickerd.state import Database, StateError, cursors


class Sink:
    """Counts its commits and remembers its restore."""

    def __init__(self, kept=b"lengths"):
        self.kept = kept
        self.commits = 0
        self.stored = 0
        self.restored = None

    async def commit(self):
        self.commits += 1
        return self.kept

    async def committed(self):
        self.stored = self.commits

    async def restore(self, position, kept):
        self.restored = (position, kept)


@pytest.fixture
async def db(tmp_path):
    async with Database(tmp_path) as made:
        yield made


@pytest.fixture
def commit_of(db):
    return lambda sink, every=10.0: DurableCommit(db, "sink.x", sink, every, Clock())


async def stored(db):
    return await db.read(cursors.get, "sink.x")


async def test_a_sink_that_never_committed_begins_where_it_joined(db, commit_of):
    sink = Sink()
    assert await commit_of(sink).begin(Position(1, 7)) == (1, 7)
    assert sink.restored == ((1, 7), b"")
    found = await stored(db)
    assert (found.position, found.kept) == ((1, 7), b"lengths")


async def test_the_next_instance_is_restored_to_the_last_commit(db, commit_of):
    first = commit_of(Sink(b"one"))
    await first.begin(Position(1, 0))
    first.written(Position(1, 5))
    await first.now()
    assert first.committed == (1, 5)
    sink = Sink()
    second = commit_of(sink)
    assert await second.begin(Position(9, 9)) == (1, 5)
    assert sink.restored == ((1, 5), b"one")


async def test_it_is_due_so_long_after_the_first_write(commit_of, db):
    commit = commit_of(Sink(), every=0.05)
    await commit.begin(Position(1, 0))
    assert commit.due == float("inf")
    commit.written(Position(1, 1))
    before = commit.due
    assert 0 < before <= 0.05
    commit.written(Position(1, 2))
    assert commit.due <= before
    await trio.sleep(0.06)
    assert commit.due == 0
    await commit.now()
    assert commit.due == float("inf")
    assert (await stored(db)).position == (1, 2)


async def test_nothing_is_committed_when_nothing_was_written(commit_of, db):
    sink = Sink()
    commit = commit_of(sink)
    await commit.begin(Position(1, 0))
    commits = sink.commits
    await commit.now()
    assert sink.commits == commits


async def test_a_state_file_that_fails_does_not_stop_the_sink(db, commit_of, monkeypatch):
    sink = Sink()
    commit = commit_of(sink, every=30.0)
    await commit.begin(Position(1, 0))
    assert sink.stored == sink.commits == 1
    commit.written(Position(1, 3))

    async def refuse(*args, **kwargs):
        raise StateError(db.path, "full", "the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(db, "run", refuse)
        await commit.now()
    assert commit.committed == (1, 0)
    assert (sink.commits, sink.stored) == (2, 1)
    assert 0 < commit.due <= 30
    await commit.now()
    assert sink.stored == sink.commits == 3
    assert (await stored(db)).position == (1, 3)


async def test_what_a_sink_keeps_is_bounded(commit_of):
    commit = commit_of(Sink(b"x" * (MAX_KEPT + 1)))
    with pytest.raises(ValueError, match="may keep at most"):
        await commit.begin(Position(1, 0))
