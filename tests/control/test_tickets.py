"""Tickets: once, for half a minute, for no more than their holder may do."""

import pytest
import trio

from tickerd.control import tickets as module
from tickerd.control.tickets import LIFE_S, Tickets, TicketsFull
from tickerd.plugin import Clock, Principal
from tickerd.state import keytext
from tickerd.state.keytext import new_key


def someone(*scopes):
    return Principal(id="key a", scopes=frozenset(scopes or ("ticks:read", "subs:write", "admin:keys")))


@pytest.fixture
async def tickets():
    return Tickets(Clock(10**18))


async def test_a_ticket_is_good_once(tickets):
    ticket = tickets.mint(someone())
    assert ticket.text.startswith("tkd_tick_")
    assert tickets.redeem(ticket.text).id == "key a"
    assert tickets.redeem(ticket.text) is None
    assert len(tickets) == 0


async def test_it_is_good_for_streams_only_and_for_no_more_than_was_asked(tickets):
    principal = someone("ticks:read:NSE", "subs:write", "admin:keys")
    whole, part = tickets.mint(principal), tickets.mint(principal, ["ticks:read"])
    assert tickets.redeem(whole.text).scopes == whole.scopes == {"ticks:read", "subs:write"}
    redeemed = tickets.redeem(part.text)
    assert (redeemed.scopes, redeemed.instruments) == ({"ticks:read"}, {"NSE"})


@pytest.mark.parametrize(
    ("held", "wanted", "said"),
    [
        (["ticks:read"], ["subs:write"], "cannot be good for subs:write"),
        (["ticks:read", "admin:keys"], ["admin:keys"], "cannot be good for admin:keys"),
        (["admin:keys"], None, "is good for some of"),
        (["ticks:read"], [], "is good for some of"),
    ],
)
async def test_nobody_mints_what_he_may_not_do(tickets, held, wanted, said):
    with pytest.raises(PermissionError, match=said):
        tickets.mint(someone(*held), wanted)


async def test_it_is_too_old_after_half_a_minute(autojump_clock):
    tickets = Tickets(Clock(10**18))
    early, late = tickets.mint(someone()), tickets.mint(someone())
    await trio.sleep(LIFE_S - 0.001)
    assert tickets.redeem(early.text) is not None
    await trio.sleep(0.001)
    assert tickets.redeem(late.text) is None
    assert len(tickets) == 0


async def test_it_ends_with_the_credential_that_it_was_minted_with(tickets):
    principal = someone()
    used, unused = tickets.mint(principal), tickets.mint(principal)
    stream = tickets.redeem(used.text)
    principal.validity.end("revoked")
    assert stream.revoked.is_set()
    assert tickets.redeem(unused.text) is None


async def test_a_guess_at_the_secret_does_not_use_it_up(tickets):
    ticket = tickets.mint(someone())
    body = "_".join([*ticket.text.split("_")[:3], new_key("tick").text.split("_")[3][:43]])
    assert tickets.redeem(body + keytext._check(body)) is None
    assert tickets.redeem(ticket.text) is not None


@pytest.mark.parametrize("text", ["", "x", "tkd_tick_", "k" * 10**6])
async def test_what_is_no_ticket_is_refused(tickets, text):
    assert tickets.redeem(text) is None


async def test_keys_and_tickets_that_were_never_given_out_are_refused(tickets):
    assert tickets.redeem(new_key("live").text) is None
    assert tickets.redeem(new_key("tick").text) is None


async def test_there_is_an_end_to_how_many_wait(autojump_clock, monkeypatch):
    monkeypatch.setattr(module, "MOST", 2)
    tickets = Tickets(Clock(10**18))
    first = tickets.mint(someone())
    tickets.mint(someone())
    with pytest.raises(TicketsFull, match="try again in 30 s"):
        tickets.mint(someone())
    assert tickets.redeem(first.text) is not None
    tickets.mint(someone())
    await trio.sleep(LIFE_S)
    tickets.mint(someone())
    assert len(tickets) == 1


async def test_no_ticket_prints(tickets):
    ticket = tickets.mint(someone())
    assert ticket.text not in repr(ticket)
    assert ticket.text not in repr(tickets.__dict__)
