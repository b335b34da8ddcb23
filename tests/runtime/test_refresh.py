"""Getting the instrument dump again: who can be asked, and asking by file."""

from types import SimpleNamespace

import pytest
import structlog.testing
import trio
import trio.testing

from tickerd.runtime.refresh import FILE, LOOK_EVERY_S, NoSuchSource, follow_requests, refresh


class Source:
    """One that has a dump."""

    def __init__(self):
        self.asked = 0

    def refresh_instruments(self):
        self.asked += 1


@pytest.fixture
def units():
    def unit(name, plugin):
        return SimpleNamespace(settings=SimpleNamespace(name=name), plugin=plugin)

    return [unit("kite", Source()), unit("other", Source()), unit("simulator", object()), unit("down", None)]


@pytest.fixture
def clock():
    # the file is looked for in a thread
    return trio.testing.MockClock(autojump_threshold=0.05)


def asked(units):
    return [unit.plugin.asked for unit in units[:2]]


def test_one_source_or_all_that_have_a_dump_are_asked(units):
    assert refresh(units, None) == ("kite", "other")
    assert refresh(units, "kite") == ("kite",)
    assert asked(units) == [2, 1]


@pytest.mark.parametrize("name", ["simulator", "down", "gone"])
def test_one_that_has_none_is_refused_with_those_that_have(units, name):
    words = f"no source '{name}' that runs and has an instrument dump; there is kite, other"
    with pytest.raises(NoSuchSource, match=words):
        refresh(units, name)


def test_without_any_that_is_said():
    with pytest.raises(NoSuchSource, match="no source that runs and has an instrument dump; there is none"):
        refresh([], None)


@pytest.mark.parametrize(("text", "expected"), [("kite\n", [1, 0]), ("", [1, 1]), ("\xff", [0, 0])])
async def test_a_file_asks_once_and_is_gone(clock, tmp_path, units, nursery, text, expected):
    nursery.start_soon(follow_requests, tmp_path, lambda: units)
    (tmp_path / FILE).write_bytes(text.encode("latin-1"))
    await trio.sleep(3 * LOOK_EVERY_S)
    assert asked(units) == expected
    assert not (tmp_path / FILE).exists()


async def test_what_cannot_be_read_is_told_and_tried_again(clock, tmp_path, units, nursery):
    (tmp_path / FILE).mkdir()
    with structlog.testing.capture_logs() as logs:
        nursery.start_soon(follow_requests, tmp_path, lambda: units)
        await trio.sleep(2 * LOOK_EVERY_S)
    (tmp_path / FILE).rmdir()
    assert [log["event"] for log in logs] == ["cannot read the request for instruments"]
    (tmp_path / FILE).write_text("kite")
    await trio.sleep(15 * LOOK_EVERY_S)
    assert asked(units) == [1, 0]
