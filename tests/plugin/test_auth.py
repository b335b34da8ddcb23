"""Principals: what they may do and see, how they are narrowed, and how they end."""

import pytest
import trio

from tickerd.plugin import Clock, Credential, Instrument, Limits, Listener, Principal, Rate, Request, Validity

INFY = Instrument("kite", 1, "NSE", "INFY")
GOLD = Instrument("kite", 2, "MCX", "GOLD")


def principal(*scopes, **more):
    return Principal(id="key x", scopes=frozenset(scopes), **more)


def test_nothing_is_allowed_that_was_not_granted():
    someone = principal("subs:write")
    assert someone.may("subs:write")
    assert not someone.may("admin:keys")
    assert someone.may_see(INFY)


def test_a_narrowed_scope_becomes_what_may_be_seen():
    someone = principal("ticks:read:NSE")
    assert someone.may("ticks:read")
    assert someone.may_see(INFY)
    assert not someone.may_see(GOLD)


def test_single_instruments_may_be_named():
    someone = principal("ticks:read", instruments=frozenset({"MCX:GOLD"}))
    assert someone.may_see(GOLD)
    assert not someone.may_see(INFY)


def test_two_ways_of_saying_what_may_be_seen_are_one_too_many():
    with pytest.raises(ValueError, match="either instruments or scopes"):
        principal("ticks:read:NSE", instruments=frozenset({"NSE"}))


@pytest.mark.parametrize(
    ("seen", "scopes", "after"),
    [
        (None, ["ticks:read"], None),
        (None, ["ticks:read:NSE"], {"NSE"}),
        ({"NSE", "MCX:GOLD"}, ["ticks:read"], {"NSE", "MCX:GOLD"}),
        ({"NSE", "MCX:GOLD"}, ["ticks:read:MCX"], {"MCX:GOLD"}),
        ({"NSE"}, ["ticks:read:MCX"], set()),
    ],
)
def test_narrowing_takes_away_and_never_adds(seen, scopes, after):
    whole = principal("ticks:read", "subs:write", instruments=seen and frozenset(seen))
    part = whole.narrowed([*scopes, "admin:keys"])
    assert part.scopes == {"ticks:read"}
    assert part.instruments == after
    assert part.id == whole.id


async def test_what_was_narrowed_ends_with_the_whole():
    whole = principal("ticks:read")
    part = whole.narrowed(["ticks:read"])
    assert not part.revoked.is_set()
    whole.validity.end("revoked")
    assert part.revoked.is_set()
    assert part.validity.ended == "revoked"


def test_the_first_end_counts():
    validity = Validity()
    validity.end("expired")
    validity.end("revoked")
    assert validity.ended == "expired"
    assert not validity.holds(0)


def test_it_holds_until_the_moment_it_expires():
    validity = Validity(100)
    assert validity.holds(99)
    assert not validity.holds(100)


async def test_waiting_for_the_end_of_one_that_is_revoked(autojump_clock):
    someone = principal()
    clock = Clock(0)
    async with trio.open_nursery() as nursery:

        async def revoke():
            await trio.sleep(100)
            someone.validity.end("revoked")

        nursery.start_soon(revoke)
        assert await someone.until_ended(clock) == "revoked"
    assert clock.now_ns() == 100 * 10**9


async def test_waiting_for_the_end_of_one_that_expires(autojump_clock):
    clock = Clock(0)
    someone = principal(validity=Validity(5 * 10**9))
    with trio.fail_after(6):
        assert await someone.until_ended(clock) == "expired"
    assert clock.now_ns() == pytest.approx(5 * 10**9, abs=10**6)
    assert someone.revoked.is_set()


async def test_an_end_that_is_put_off_is_waited_for(autojump_clock):
    clock = Clock(0)
    someone = principal(validity=Validity(10**9))
    async with trio.open_nursery() as nursery:

        async def put_off():
            await trio.sleep(0.5)
            someone.validity.expires_at = 3 * 10**9

        nursery.start_soon(put_off)
        assert await someone.until_ended(clock) == "expired"
    assert clock.now_ns() == pytest.approx(3 * 10**9, abs=10**6)


def test_no_secret_prints():
    credential = Credential("tkd_live_secret", "header")
    listener = Listener(address="127.0.0.1:1")
    request = Request(
        listener=listener, credential=credential, headers={"authorization": "Bearer tkd_live_secret"}
    )
    for thing in (credential, request, [request], {"request": request}):
        assert "secret" not in repr(thing)
        assert "secret" not in str(thing)


@pytest.mark.parametrize(
    ("address", "peer", "local"),
    [("unix:/a", None, True), ("unix:/a", "10.0.0.1", False), ("127.0.0.1:1", None, False)],
)
def test_who_comes_through_a_proxy_is_not_local(address, peer, local):
    assert Request(listener=Listener(address=address), peer=peer, uid=0).is_local is local


def test_principals_are_somebody_and_not_values():
    assert principal("subs:write") != principal("subs:write")
    assert len({principal(), principal()}) == 2
    assert Limits(rates={"reads": Rate(1, 1)}) == Limits(rates={"reads": Rate(1, 1)})
