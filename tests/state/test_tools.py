"""The state file for command-line tools, with and without a daemon."""

import os
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tickerd.plugin import Position
from tickerd.state import StateError, cursors, schema, tools
from tickerd.state.connection import FILE, connect
from tickerd.state.store import Store

NOBODY = 65534


def put(directory, seq):
    with tools.writing(directory) as connection:
        cursors.put(connection, "sink.a", Position(1, seq), now_ns=1)


def seq(directory):
    with tools.reading(directory) as connection:
        cursor = cursors.get(connection, "sink.a")
        return None if cursor is None else cursor.position.seq


def test_without_a_daemon(file):
    assert seq(file.parent) is None
    put(file.parent, 3)
    assert seq(file.parent) == 3


def test_beside_a_daemon(file):
    with closing(Store(file)) as store:
        store.open()
        store.call("fast", lambda c: cursors.put(c, "sink.a", Position(1, 4), now_ns=1))
        assert seq(file.parent) == 4
        put(file.parent, 5)
        assert store.call("read", lambda c: cursors.get(c, "sink.a")).position.seq == 5


def test_an_error_inside_undoes_everything(file):
    def fail(connection):
        cursors.put(connection, "sink.a", Position(1, 1), now_ns=1)
        raise KeyError

    with pytest.raises(KeyError), tools.writing(file.parent) as connection:
        fail(connection)
    assert seq(file.parent) is None


def test_a_reader_cannot_write(file):
    with pytest.raises(StateError, match="cannot be written"), tools.reading(file.parent) as connection:
        cursors.put(connection, "sink.a", Position(1, 1), now_ns=1)


@pytest.mark.parametrize("way", [tools.reading, tools.writing])
def test_tools_make_no_file(tmp_path, way):
    with pytest.raises(StateError, match="has tickerd run with this directory") as caught, way(tmp_path):
        pass
    assert caught.value.problem == "missing"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("way", [tools.reading, tools.writing])
@pytest.mark.parametrize(
    ("pragma", "problem"),
    [
        ("application_id = 1", "damaged"),
        (f"user_version = {schema.newest() - 1}", "older"),
        (f"user_version = {schema.newest() + 1}", "newer"),
    ],
)
def test_tools_touch_no_file_that_is_not_of_their_version(file, way, pragma, problem):
    with closing(connect(file, "rw")) as connection:
        connection.execute(f"PRAGMA {pragma}")
    before = file.read_bytes()
    with pytest.raises(StateError) as caught, way(file.parent):
        pass
    assert caught.value.problem == problem
    assert file.read_bytes() == before


def test_a_damaged_file_is_told_and_left_where_it_is(file):
    file.write_bytes(b"garbage" * 1000)
    with pytest.raises(StateError, match="is not a database"), tools.reading(file.parent):
        pass
    assert file.read_bytes() == b"garbage" * 1000


def test_a_wrong_statement_is_a_bug(file):
    with (
        pytest.raises(Exception, match="no such column: absent") as caught,
        tools.reading(file.parent) as connection,
    ):
        connection.execute("SELECT absent FROM cursors")
    assert not isinstance(caught.value, OSError)


@pytest.fixture
def member():
    """Become a user who is in the group of the state directory and nothing else, for a while."""

    @contextmanager
    def member():
        groups = os.getgroups()
        os.setgroups([NOBODY])
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(groups)

    return member


@pytest.mark.root
def test_who_may_only_read_the_directory_cannot_read_the_secrets_in_the_file(member):
    with tempfile.TemporaryDirectory() as name, closing(Store(Path(name) / FILE)) as store:
        directory = Path(name)
        store.open()
        for path in (directory, *directory.iterdir()):
            os.chown(path, 0, NOBODY)
        directory.chmod(0o750)
        put(directory, 7)
        with member(), pytest.raises(StateError, match="may this user read"):
            seq(directory)
        with member(), pytest.raises(StateError, match=r"cannot be (opened|written)"):
            put(directory, 8)
        assert seq(directory) == 7
