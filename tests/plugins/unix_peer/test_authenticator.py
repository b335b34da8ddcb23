"""The unix_peer authenticator: the socket decides, and a proxy's callers are not the proxy."""

import pytest

from tickerd.plugin import ALL_SCOPES, Credential, Listener, Request
from tickerd.testing import FakeAuthContext, check_plugin
from tickerd_plugins import unix_peer
from tickerd_plugins.unix_peer.authenticator import UnixPeer, UnixPeerOptions

SOCKET = Listener(address="unix:/run/tickerd.sock")


async def check(request, **options):
    return await UnixPeer(UnixPeerOptions(**options), FakeAuthContext()).check(request)


def test_it_keeps_the_rules_for_plugins():
    check_plugin(unix_peer)


async def test_whoever_can_open_the_socket_may_do_what_it_is_for():
    principal = await check(Request(listener=SOCKET, uid=1000))
    assert (principal.id, principal.scopes) == ("uid 1000", ALL_SCOPES)
    reading = Listener(address="unix:/run/ro.sock", scopes=frozenset({"status:read"}))
    assert (await check(Request(listener=reading, uid=1000))).scopes == {"status:read"}


async def test_root_is_a_user_like_any_other():
    assert (await check(Request(listener=SOCKET, uid=0))).id == "uid 0"


async def test_a_uid_that_the_namespace_does_not_map_is_said_to_be_so():
    assert (await check(Request(listener=SOCKET, uid=65534))).id == "uid unmapped"


@pytest.mark.parametrize(
    "more",
    [
        {"peer": "10.0.0.1"},
        {"headers": {"x-forwarded-for": "10.0.0.1"}},
        {"headers": {"forwarded": "for=10.0.0.1"}},
        {"headers": {"x-real-ip": "10.0.0.1"}},
        {"headers": {"via": "1.1 proxy"}},
        {"credential": Credential("wrong", "header")},
        {"uid": None},
        {"listener": Listener(address="127.0.0.1:1")},
        {"listener": Listener(address="unix:/run/proxy.sock", scopes=frozenset())},
    ],
    ids=lambda more: next(iter(more)),
)
async def test_the_kernels_word_is_not_stretched(more):
    assert await check(Request(**{"listener": SOCKET, "uid": 1000, **more})) is None


async def test_only_certain_users_where_they_are_listed():
    assert await check(Request(listener=SOCKET, uid=1000), uids=[1000]) is not None
    assert await check(Request(listener=SOCKET, uid=1001), uids=[1000]) is None
