"""The daily login as the source sees it: who may, what is kept, what is refused."""

from urllib.parse import parse_qs, urlsplit

import pytest
import trio

from tickerd.plugin.login import LoginRefused
from tickerd_plugins.kite import saved
from tickerd_plugins.kite.broker import Exchanged, Refused
from tickerd_plugins.kite.credentials import Credentials
from tickerd_plugins.kite.expiry import ends
from tickerd_plugins.kite.login import Logins, login_url


class FakeBroker:
    """Takes one request token and knows one access token."""

    user = "AB1234"

    async def exchange(self, request_token, api_secret):
        await trio.lowlevel.checkpoint()
        if (request_token, api_secret) != ("REQUEST", "SECRET"):
            raise Refused("the broker does not take this request token")
        return Exchanged("ACCESS", self.user)

    async def user_of(self, access_token):
        await trio.lowlevel.checkpoint()
        if access_token != "HANDED":
            raise Refused("the broker does not know this access token")
        return self.user


@pytest.fixture
async def made(ctx, options):
    """A maker of logins; what it made is fresh each time, as after a restart."""
    ctx.state_dir.mkdir()

    def make(broker=None, **values):
        chosen = options(**{"access_token": None, "api_secret": "SECRET"} | values)
        credentials = Credentials(chosen, ctx.hide, ctx.clock.now_ns, "kite")
        return Logins(chosen, ctx, credentials, broker or FakeBroker()), credentials

    return make


def test_the_state_travels_in_a_query_inside_the_query(options):
    url = urlsplit(login_url(options(), "a+b/c="))
    query = parse_qs(url.query)
    assert (url.scheme, url.hostname, url.path) == ("https", "kite.zerodha.com", "/connect/login")
    assert query["v"] == ["3"]
    assert query["api_key"] == ["KEY"]
    assert parse_qs(query["redirect_params"][0]) == {"state": ["a+b/c="]}


async def test_a_login_is_used_at_once_kept_and_found_again(made, ctx):
    logins, credentials = made()
    assert await credentials.access_token() is None
    done = await logins.exchange({"status": "success", "request_token": "REQUEST", "action": "login"})
    assert done.user == "AB1234"
    assert done.expires_ns == ends(ctx.clock.now_ns())
    assert await credentials.access_token() == "ACCESS"
    assert "ACCESS" in ctx.hidden
    assert "REQUEST" in ctx.hidden
    later, credentials = made()
    await later.load()
    assert await credentials.access_token() == "ACCESS"
    assert later.saved.user_id == "AB1234"


@pytest.mark.parametrize("params", [{"pasted": "REQUEST"}, {"request_token": "REQUEST"}])
async def test_a_bare_token_does_as_well(made, params):
    logins, _ = made()
    assert (await logins.exchange(params)).user == "AB1234"


async def test_a_token_that_another_program_got_is_checked_and_used(made, ctx):
    logins, credentials = made(api_secret=None)
    assert (await logins.exchange({"access_token": " HANDED\n"})).user == "AB1234"
    assert await credentials.access_token() == "HANDED"
    with pytest.raises(LoginRefused, match="does not know"):
        await logins.exchange({"access_token": "OTHER"})
    assert await credentials.access_token() == "HANDED"


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "no usable request_token"),
        ({"request_token": ""}, "no usable request_token"),
        ({"request_token": "a b"}, "no usable request_token"),
        ({"request_token": "x" * 600}, "no usable request_token"),
        ({"access_token": ""}, "no usable access_token"),
        ({"request_token": "REQUEST", "status": "error"}, "did not succeed"),
        ({"request_token": "WRONG"}, "does not take this request token"),
    ],
)
async def test_what_is_no_login_is_refused_and_changes_nothing(made, ctx, params, words):
    logins, credentials = made()
    with pytest.raises(LoginRefused, match=words):
        await logins.exchange(params)
    assert await credentials.access_token() is None
    assert list(ctx.state_dir.iterdir()) == []


async def test_without_the_secret_there_is_nothing_to_exchange_with(made):
    logins, _ = made(api_secret=None)
    with pytest.raises(LoginRefused, match="no api_secret"):
        await logins.exchange({"request_token": "REQUEST"})


async def test_only_the_user_who_is_configured_may_log_in(made):
    logins, credentials = made(user_id="ZZ0001")
    with pytest.raises(LoginRefused, match="'AB1234' is not the one configured \\('ZZ0001'\\)"):
        await logins.exchange({"request_token": "REQUEST"})
    assert await credentials.access_token() is None


async def test_the_first_user_stays_the_only_one_also_after_a_restart(made):
    logins, _ = made()
    await logins.exchange({"request_token": "REQUEST"})
    other = FakeBroker()
    other.user = "ZZ0001"
    again, credentials = made(other)
    await again.load()
    with pytest.raises(LoginRefused, match="'ZZ0001' is not who logged in first"):
        await again.exchange({"request_token": "REQUEST"})
    assert await credentials.access_token() == "ACCESS"
    # configured anew, the other one may, and the saved login is not his
    third, credentials = made(other, user_id="ZZ0001")
    await third.load()
    assert await credentials.access_token() is None
    assert (await third.exchange({"request_token": "REQUEST"})).user == "ZZ0001"


async def test_the_login_of_another_app_is_not_used(made, ctx):
    login = saved.SavedLogin(api_key="OTHER", access_token="A", user_id="U", since_ns=ctx.clock.now_ns())
    saved.save(ctx.state_dir, login)
    logins, credentials = made()
    await logins.load()
    assert await credentials.access_token() is None


async def test_a_damaged_file_is_told_and_does_not_stop_the_source(made, ctx):
    (ctx.state_dir / saved.FILE).write_text("ACCESS")
    logins, credentials = made()
    await logins.load()
    assert await credentials.access_token() is None
    await logins.exchange({"request_token": "REQUEST"})
    assert saved.load(ctx.state_dir).access_token == "ACCESS"


async def test_a_disk_that_takes_nothing_does_not_undo_a_login(made, ctx, monkeypatch):
    def fail(*_):
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(saved, "save", fail)
    logins, credentials = made()
    await logins.exchange({"request_token": "REQUEST"})
    assert await credentials.access_token() == "ACCESS"
    assert ctx.counts["login_not_saved"] == 1
