"""Who may do what: the chain of authenticators, limits by address and by caller, and the matrix of scopes."""

import pytest
import structlog
import trio

from tickerd.config.access import AuthSettings, RateLimitSettings, complete_limits
from tickerd.control import access_protocol
from tickerd.control.access import CHECK_S, Access
from tickerd.plugin import (
    ALL_SCOPES,
    RATE_CLASSES,
    SCOPES,
    Authenticator,
    Clock,
    Credential,
    Limits,
    Listener,
    Options,
    Principal,
    Rate,
    Rejected,
    Request,
    option,
)
from tickerd.runtime.registry import Registry
from tickerd.testing import FakeKeys

REGISTRY = Registry.installed()
TCP = Listener(address="127.0.0.1:7801", auth=("keys",))
UNIX = Listener(address="unix:/run/tickerd.sock")
ALICE = Principal(id="key alice", scopes=frozenset({"ticks:read"}))
NOW = 10**18


class Told(Authenticator):
    """Says what it is told to."""

    class Options(Options):
        says: object = option(None, doc="A principal, None, or an exception.")
        after: float = option(0.0, doc="Seconds.")

    def __init__(self, options, ctx):
        self.options = options
        self.ctx = ctx
        self.asked = 0

    async def check(self, request):
        self.asked += 1
        await trio.sleep(self.options.after)
        if isinstance(self.options.says, Exception):
            raise self.options.says
        return self.options.says


def told(name, says=None, after=0.0):
    return AuthSettings(use="told", name=name, type=Told, options=Told.Options(says=says, after=after))


def real(name, plugin="api_key", **options):
    kind = REGISTRY.authenticator(plugin)
    return AuthSettings(use=plugin, name=name, type=kind, options=kind.Options(**options))


def limits(**rates):
    kind = REGISTRY.rate_limiter("gcra")
    given = {
        name: RateLimitSettings(use="gcra", rate=rate, name=name, type=kind, options=kind.Options())
        for name, rate in rates.items()
    }
    return complete_limits(given, kind)


@pytest.fixture
def keys():
    made = FakeKeys()
    made.known["good"] = ALICE
    return made


@pytest.fixture
async def access(keys):
    made = Access(Clock(NOW), keys, REGISTRY.authenticator("unix_peer"))
    made.configure({"keys": real("keys")}, limits())
    return made


def request(text=None, peer="10.0.0.1", listener=TCP, origin="header", **more):
    return Request(listener=listener, peer=peer, credential=text and Credential(text, origin), **more)


def local(**more):
    return request(peer=None, listener=more.pop("listener", UNIX), uid=1000, **more)


async def test_it_is_what_the_api_asks_for(access):
    asked: access_protocol.Access = access
    assert asked is access


async def test_a_good_key_is_let_in_a_wrong_one_is_not(access):
    assert await access.authenticate(request("good")) is ALICE
    assert await access.authenticate(request("bad")) is None
    assert await access.authenticate(request()) is None
    assert access.outcomes == {"admitted": 1, "refused": 1, "anonymous": 1}


async def test_authenticators_are_asked_in_order_until_one_answers(access):
    bob = Principal(id="bob", scopes=frozenset())
    access.configure({"a": told("a"), "b": told("b", bob), "c": told("c", ALICE)}, limits())
    listener = Listener(address="127.0.0.1:1", auth=("a", "b", "c"))
    assert await access.authenticate(request(listener=listener)) is bob
    assert [access._auth[name][1].asked for name in "abc"] == [1, 1, 0]


async def test_one_that_rejects_is_the_last_that_is_asked(access):
    access.configure({"a": told("a", Rejected("wrong token")), "b": told("b", ALICE)}, limits())
    listener = Listener(address="127.0.0.1:1", auth=("a", "b"))
    assert await access.authenticate(request(listener=listener)) is None
    assert access.outcomes == {"refused": 1}
    assert access._auth["b"][1].asked == 0


async def test_one_that_fails_lets_nobody_in_and_does_not_keep_the_others_from_it(access):
    access.configure({"a": told("a", ZeroDivisionError("tkd_live_secret")), "b": told("b", ALICE)}, limits())
    failing, both = (Listener(address="127.0.0.1:1", auth=names) for names in (("a",), ("a", "b")))
    with structlog.testing.capture_logs() as logs:
        assert await access.authenticate(request(listener=failing)) is None
        assert await access.authenticate(request(listener=both)) is ALICE
    assert access.outcomes["broken"] == 2
    assert logs[0]["event"] == "authenticator failed"
    assert "secret" not in repr(logs)


async def test_one_that_hangs_lets_nobody_in(keys, autojump_clock):
    access = Access(Clock(NOW), keys, REGISTRY.authenticator("unix_peer"))
    access.configure({"keys": told("keys", ALICE, after=CHECK_S + 1)}, limits())
    with trio.fail_after(CHECK_S + 0.5):
        assert await access.authenticate(request("good")) is None
    assert access.outcomes == {"broken": 1, "refused": 1}


async def test_cancelling_is_passed_on(access):
    access.configure({"keys": told("keys", ALICE, after=100)}, limits())
    with trio.move_on_after(0.01) as scope:
        await access.authenticate(request("good"))
    assert scope.cancelled_caught


async def test_an_authenticator_that_a_reload_took_away_lets_nobody_in(access):
    access.configure({}, limits())
    assert await access.authenticate(request("good")) is None


async def test_somebody_whose_credential_has_ended_is_nobody(access, keys):
    ended = Principal(id="x", scopes=frozenset())
    ended.validity.end("revoked")
    access.configure({"keys": told("keys", ended)}, limits())
    assert await access.authenticate(request()) is None
    assert access.outcomes == {"refused": 1}


# -- Unix sockets -----------------------------------------------------------------------------------------


async def test_a_unix_socket_always_asks_unix_peer_and_scopes_hang_on_it(access):
    principal = await access.authenticate(local())
    assert (principal.id, principal.scopes) == ("uid 1000", ALL_SCOPES)
    reading = Listener(address="unix:/run/ro.sock", scopes=frozenset({"status:read"}), auth=("keys",))
    assert (await access.authenticate(local(listener=reading))).scopes == {"status:read"}


async def test_a_tcp_listener_never_asks_unix_peer(access):
    forged = Request(listener=Listener(address="127.0.0.1:1"), peer="127.0.0.1", uid=0)
    assert await access.authenticate(forged) is None


async def test_a_key_on_a_unix_socket_counts_in_place_of_the_user(access):
    listener = Listener(address="unix:/run/tickerd.sock", auth=("keys",))
    assert await access.authenticate(local(text="good", listener=listener)) is ALICE
    assert await access.authenticate(local(text="bad", listener=listener)) is None


async def test_local_callers_are_counted_and_never_limited(access):
    principal = await access.authenticate(local())
    for _ in range(100):
        assert access.hit("administration", local(), principal).decision.allowed
        assert await access.authenticate(local(text="bad")) is None
        assert access.blocked(local()) is None
    assert access.calls == {("administration", "local"): 100}


async def test_a_proxys_callers_on_a_unix_socket_are_limited(access):
    proxied = request(listener=Listener(address="unix:/run/proxy.sock", auth=("keys",)), uid=33)
    assert await access.authenticate(proxied) is None
    allowed = [access.hit("administration", proxied, ALICE).decision.allowed for _ in range(6)]
    assert allowed == [True] * 5 + [False]


# -- limits by address --------------------------------------------------------------------------------------


async def test_a_thousand_wrong_keys_are_thirty_checks(access, keys, autojump_clock):
    for _ in range(1000):
        assert await access.authenticate(request("bad")) is None
    assert len(keys.asked) == 30
    assert access.outcomes == {"refused": 30, "blocked": 970}


async def test_who_is_blocked_is_told_exactly_how_long_and_others_go_on(access, keys, autojump_clock):
    while access.blocked(request()) is None:
        await access.authenticate(request("bad"))
    assert await access.authenticate(request("good")) is None
    assert await access.authenticate(request("good", peer="10.0.0.2")) is ALICE
    rate, said = access.blocked(request())
    assert (rate, said.allowed) == (RATE_CLASSES["addresses"].rate, False)
    await trio.sleep(said.retry_after_s - 0.001)
    assert access.blocked(request()) is not None
    await trio.sleep(0.001)
    assert access.blocked(request()) is None
    asked = len(keys.asked)
    assert await access.authenticate(request("bad")) is None
    assert await access.authenticate(request("bad")) is None
    assert len(keys.asked) == asked + 1


async def test_good_and_anonymous_calls_cost_an_address_nothing(access, keys):
    for _ in range(1000):
        assert await access.authenticate(request("good")) is ALICE
        await access.authenticate(request())
    assert access.blocked(request()) is None


async def test_a_rate_below_the_cost_of_a_failure_still_lets_somebody_try(access, keys, autojump_clock):
    access.configure({"keys": real("keys")}, limits(addresses=Rate(3, 60)))
    assert await access.authenticate(request("bad")) is None
    assert access.blocked(request()) is not None
    await trio.sleep(60)
    for _ in range(5):
        assert await access.authenticate(request("good")) is ALICE
    assert access.hit("addresses", request(), cost=0).decision.remaining == 3


@pytest.mark.parametrize(
    ("peers", "buckets"),
    [
        (["10.0.0.1", "::ffff:10.0.0.1"], 1),
        (["2001:db8:1:2::1", "2001:db8:1:2:ffff::9"], 1),
        (["2001:db8:1:2::1", "2001:db8:1:3::1"], 2),
        (["10.0.0.1", "10.0.0.2"], 2),
    ],
)
async def test_an_address_is_what_one_customer_has(access, peers, buckets, autojump_clock):
    for peer in peers * 40:
        await access.authenticate(request("bad", peer=peer))
    assert access.outcomes["refused"] == 30 * buckets


async def test_failures_at_the_same_time_take_what_is_left(access, autojump_clock):
    access.configure({"keys": told("keys", after=1)}, limits())
    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(access.authenticate, request("bad"))
    assert access.blocked(request()) is not None


async def test_the_log_names_the_address_and_never_the_credential(access):
    with structlog.testing.capture_logs() as logs:
        await access.authenticate(request("tkd_live_bad", headers={"authorization": "Bearer tkd_live_bad"}))
    (line,) = logs
    assert line == {
        "event": "authentication failed", "log_level": "warning", "listener": TCP.address,
        "peer": "10.0.0.1", "uid": None, "shown_in": "header",
    }  # fmt: skip


# -- limits by caller ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in RATE_CLASSES if RATE_CLASSES[name].rate.count <= 60])
async def test_each_class_is_limited_by_caller_and_waits_are_exact(access, name, autojump_clock):
    rate = RATE_CLASSES[name].rate
    for _ in range(rate.count):
        assert access.hit(name, request(), ALICE).decision.allowed
    charged, said = access.hit(name, request(), ALICE)
    assert (charged, said.allowed, said.remaining) == (rate, False, 0)
    other = Principal(id="key bob", scopes=frozenset())
    assert access.hit(name, request(), other).decision.allowed
    await trio.sleep(said.retry_after_s - 0.001)
    assert not access.hit(name, request(), ALICE).decision.allowed
    await trio.sleep(0.001)
    assert access.hit(name, request(peer="10.9.9.9"), ALICE).decision.allowed
    assert access.calls == {(name, "allowed"): rate.count + 2, (name, "limited"): 2}


async def test_a_key_may_have_a_rate_of_its_own(access, autojump_clock):
    slow = Principal(id="key slow", scopes=frozenset(), limits=Limits(rates={"reads": Rate(2, 60)}))
    assert [access.hit("reads", request(), slow).decision.allowed for _ in range(3)] == [True, True, False]
    assert access.hit("reads", request(), slow).rate == Rate(2, 60)
    assert access.hit("subscriptions", request(), slow).rate == Rate(30, 60)


async def test_classes_do_not_share_what_is_left(access, autojump_clock):
    while access.hit("breakers", request(), ALICE).decision.allowed:
        pass
    assert access.hit("webhooks", request(), ALICE).decision.allowed


async def test_a_call_may_cost_more(access, autojump_clock):
    assert access.hit("subscriptions", request(), ALICE, cost=30).decision.allowed
    assert not access.hit("subscriptions", request(), ALICE).decision.allowed


# -- a reload -------------------------------------------------------------------------------------------------


async def test_a_reload_keeps_what_is_as_before(access, autojump_clock):
    for _ in range(30):
        access.hit("subscriptions", request(), ALICE)
    before = access._auth["keys"][1]
    access.configure({"keys": real("keys")}, limits(subscriptions=Rate(60, 60)))
    assert access._auth["keys"][1] is before
    rate, said = access.hit("subscriptions", request(), ALICE, cost=0)
    assert rate == Rate(60, 60)
    assert said.remaining == 0
    access.configure({"keys": real("keys", scopes=["metrics:read"])}, limits())
    assert access._auth["keys"][1] is not before
    assert (await access.authenticate(request("good"))).scopes == frozenset()


# -- tickets and scopes ---------------------------------------------------------------------------------------


async def test_a_ticket_is_let_in_once_on_any_listener(access):
    ticket = access.tickets.mint(ALICE)
    shown = request(ticket.text, origin="ticket", transport="websocket")
    assert (await access.authenticate(shown)).id == ALICE.id
    assert await access.authenticate(shown) is None
    assert access.outcomes == {"admitted": 1, "refused": 1}


async def test_a_ticket_is_no_key(access):
    ticket = access.tickets.mint(ALICE)
    assert await access.authenticate(request(ticket.text)) is None


@pytest.mark.parametrize("held", SCOPES)
@pytest.mark.parametrize("needed", SCOPES)
async def test_each_scope_allows_what_it_says_and_nothing_else(access, held, needed):
    one = Principal(id="x", scopes=frozenset({held}))
    others = Principal(id="x", scopes=ALL_SCOPES - {needed})
    assert access.authorize(one, needed) is (held == needed)
    assert not access.authorize(others, needed)


async def test_a_scope_of_somebody_whose_credential_has_ended_is_worth_nothing(access):
    someone = Principal(id="x", scopes=ALL_SCOPES)
    assert access.authorize(someone, "ticks:read")
    someone.validity.expires_at = NOW
    assert not access.authorize(someone, "ticks:read")
    someone.validity.expires_at = None
    someone.validity.end("revoked")
    assert not access.authorize(someone, "ticks:read")
