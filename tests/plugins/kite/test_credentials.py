"""Reading the access token."""

import os

import pytest
import trio
from trio.testing import MockClock

from tickerd_plugins.kite.credentials import Credentials
from tickerd_plugins.kite.saved import SavedLogin

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


LOGIN_NS = 1_768_360_800 * 10**9  # 2026-01-14 08:50 IST
DAY_NS = 86_400 * 10**9


def login(token="LOGIN", since_ns=LOGIN_NS):
    return SavedLogin(api_key="KEY", access_token=token, user_id="AB1234", since_ns=since_ns)


class Now:
    """A clock that tests set."""

    def __init__(self):
        self.ns = LOGIN_NS + 10**9

    def __call__(self):
        return self.ns


@pytest.fixture
def now():
    return Now()


@pytest.fixture
def at(options, now):
    """Credentials that go by that clock."""

    def make(**values):
        return Credentials(options(**values), hidden.append, now, "kite")

    return make


async def test_a_login_counts_until_6_am_and_then_no_more(at, now):
    credentials = at(access_token=None, api_secret="S")
    assert await credentials.access_token() is None
    assert credentials.problem == "no access token: log in with: tickerd login kite"
    credentials.log_in(login())
    assert await credentials.access_token() == "LOGIN"
    assert credentials.latest.user_id == "AB1234"
    now.ns = credentials.latest.expires_ns - 1
    assert await credentials.access_token() == "LOGIN"
    now.ns += 1
    assert await credentials.access_token() is None
    assert credentials.problem == (
        "the login has ended at 2026-01-15 06:00 IST: log in again with: tickerd login kite"
    )
    assert credentials.latest.text == "LOGIN"


async def test_a_login_counts_before_a_fixed_token(at):
    credentials = at(access_token="FIXED")
    credentials.log_in(login())
    assert await credentials.access_token() == "LOGIN"
    assert (await at(access_token="FIXED").read()).expires_ns is None


async def test_of_a_file_and_a_login_the_newer_counts(at, tmp_path):
    path = tmp_path / "token"
    path.write_text("FILE")
    os.utime(path, ns=(LOGIN_NS - 1, LOGIN_NS - 1))
    credentials = at(access_token_file=path)
    assert await credentials.access_token() == "FILE"
    credentials.log_in(login())
    assert await credentials.access_token() == "LOGIN"
    os.utime(path, ns=(LOGIN_NS + 1, LOGIN_NS + 1))
    assert await credentials.access_token() == "FILE"
    path.write_text("not a token")
    assert await credentials.access_token() == "LOGIN"


async def test_the_age_of_a_file_is_a_guess_that_the_broker_corrects(at, now, tmp_path):
    path = tmp_path / "token"
    path.write_text("FILE")
    os.utime(path, ns=(LOGIN_NS - 3 * DAY_NS, LOGIN_NS - 3 * DAY_NS))
    credentials = at(access_token_file=path)
    assert (await credentials.read()).expires_ns < now.ns
    credentials.accept("FILE")
    assert credentials.was_accepted("FILE")
    assert (await credentials.read()).expires_ns > now.ns


async def test_a_login_wakes_whoever_waits_for_a_token(clock, at):
    credentials, found = at(access_token=None, api_secret="S"), []

    async def wait():
        found.append(await credentials.changed(None))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.sleep(3600)
        assert not found
        credentials.log_in(login())
    assert found == ["LOGIN"]
    assert hidden[-1] == "LOGIN"


@pytest.mark.parametrize(
    ("values", "step"),
    [
        ({"api_secret": "S"}, "log in again with: tickerd login kite"),
        ({"access_token_file": "/x"}, "log in again and write today's access token to access_token_file"),
        ({}, "log in again and put today's token in place"),
    ],
)
def test_the_next_step_is_the_one_that_works_here(at, values, step):
    assert at(**values).next_step == step


async def test_a_token_does_not_print(at):
    credentials = at(access_token="FIXED")
    assert "FIXED" not in repr(await credentials.read())
