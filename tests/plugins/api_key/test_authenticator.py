"""The api_key authenticator with keys that the tests make."""

import pytest

from tickerd.plugin import Credential, Listener, Principal, Request
from tickerd.testing import FakeAuthContext, check_plugin
from tickerd_plugins import api_key
from tickerd_plugins.api_key.authenticator import ApiKey, ApiKeyOptions

LISTENER = Listener(address="127.0.0.1:1", auth=("keys",))
SOMEONE = Principal(id="key a", scopes=frozenset({"ticks:read", "admin:keys"}))


def request(origin="header", text="good", **more):
    credential = text and Credential(text, origin)
    return Request(listener=LISTENER, credential=credential, peer="10.0.0.1", **more)


async def authenticator(**options):
    ctx = FakeAuthContext()
    ctx.keys.known["good"] = SOMEONE
    return ctx, ApiKey(ApiKeyOptions(**options), ctx)


def test_it_keeps_the_rules_for_plugins():
    check_plugin(api_key)


async def test_a_good_key_is_its_holders():
    ctx, auth = await authenticator()
    assert await auth.check(request()) is SOMEONE
    assert ctx.keys.asked == [("good", "10.0.0.1")]


async def test_a_wrong_key_and_none_at_all_are_nobody():
    ctx, auth = await authenticator()
    assert await auth.check(request(text="bad")) is None
    assert await auth.check(request(text=None)) is None
    assert len(ctx.keys.asked) == 1


@pytest.mark.parametrize(("accept", "asked"), [(("header", "message"), 0), (("query",), 1)])
async def test_a_key_in_a_place_that_is_not_accepted_is_not_looked_at(accept, asked):
    ctx, auth = await authenticator(accept=accept)
    assert await auth.check(request("query")) is (SOMEONE if asked else None)
    assert len(ctx.keys.asked) == asked


async def test_a_door_may_allow_less_than_the_key():
    _, auth = await authenticator(scopes=["ticks:read:NSE", "metrics:read"])
    principal = await auth.check(request())
    assert (principal.scopes, principal.instruments) == ({"ticks:read"}, {"NSE"})
    assert principal.validity is SOMEONE.validity
