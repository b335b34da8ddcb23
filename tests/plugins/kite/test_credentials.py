"""Reading the access token."""

import pytest
import trio
from trio.testing import MockClock

from tickerd_plugins.kite.credentials import Credentials

hidden: list[str] = []


def made(chosen):
    """Credentials that remember what they asked to have hidden."""
    return Credentials(chosen, hidden.append)


async def test_each_token_is_kept_out_of_the_log(options, tmp_path):
    path = tmp_path / "token"
    path.write_text("FROM-FILE")
    await made(options(access_token_file=path)).access_token()
    assert hidden[-1] == "FROM-FILE"


async def test_a_fixed_token_is_used(options):
    assert await made(options(access_token=" TOKEN\n")).access_token() == "TOKEN"


async def test_without_a_token_the_next_step_is_named(options):
    credentials = made(options(access_token=None))
    assert await credentials.access_token() is None
    assert credentials.problem == (
        "no access token: set access_token_file (or access_token) and put today's token there"
    )


async def test_the_file_is_read_anew_each_time(options, tmp_path):
    path = tmp_path / "token"
    credentials = made(options(access_token_file=path))
    assert await credentials.access_token() is None
    assert credentials.problem == f"no access_token_file {str(path)!r}: write today's access token to it"
    path.write_text("")
    assert await credentials.access_token() is None
    assert (
        credentials.problem == f"access_token_file {str(path)!r} is empty: write today's access token to it"
    )
    path.write_text("one\n")
    assert await credentials.access_token() == "one"
    assert credentials.problem == ""
    path.write_text("two\n")
    assert await credentials.access_token() == "two"


@pytest.mark.parametrize("content", [b"a b", b"one\ntwo", "tökén".encode()])
async def test_a_file_that_holds_something_else_is_not_sent_to_the_broker(options, tmp_path, content):
    path = tmp_path / "token"
    path.write_bytes(content)
    credentials = made(options(access_token_file=path))
    assert await credentials.access_token() is None
    assert "no token has" in credentials.problem
    assert "two" not in credentials.problem


async def test_a_file_that_cannot_be_read_is_told_in_words(options, tmp_path):
    credentials = made(options(access_token_file=tmp_path))
    assert await credentials.access_token() is None
    assert credentials.problem == f"cannot read access_token_file {str(tmp_path)!r}: is a directory"
    (tmp_path / "bin").write_bytes(b"\xff\xfe")
    credentials = made(options(access_token_file=tmp_path / "bin"))
    assert await credentials.access_token() is None
    assert credentials.problem.endswith("not utf-8 text")


@pytest.fixture
def clock():
    return MockClock(autojump_threshold=0.05)


async def test_a_new_token_in_the_file_ends_the_wait(clock, options, tmp_path):
    path = tmp_path / "token"
    path.write_text("old")
    credentials = made(options(access_token_file=path))
    found = []

    async def wait():
        found.append(await credentials.changed("old"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.sleep(5)
        assert not found
        path.write_text("new")
    assert found == ["new"]


async def test_a_fixed_token_never_changes(clock, options):
    with trio.move_on_after(3600) as waited:
        await made(options()).changed("TOKEN")
    assert waited.cancelled_caught
    with trio.move_on_after(3600) as waited:
        await made(options(access_token=None)).changed(None)
    assert waited.cancelled_caught
    assert await made(options()).changed(None) == "TOKEN"
