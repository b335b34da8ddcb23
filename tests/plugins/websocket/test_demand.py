"""What clients want, put together for upstream."""

from collections.abc import Mapping

import trio
import trio.testing

from tickerd.plugin import Instrument, Mode
from tickerd_plugins.websocket.demand import Wants, key_of

A, B = Instrument("kite", 1, "NSE", "A"), Instrument("kite", 2, "", "")


class Upstream:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.wanted: dict[str | int, Mode] = {}
        self.calls = 0

    def want(self, changes: Mapping[str | int, Mode | None]) -> dict[str | int, str]:
        self.calls += 1
        for key, mode in changes.items():
            if mode is None:
                del self.wanted[key]
            else:
                self.wanted[key] = mode
        return {key: "over_capacity" for key in changes if key == "full"}


def test_an_instrument_is_wanted_in_the_highest_mode_of_all() -> None:
    upstream = Upstream()
    wants = Wants(upstream.want, 0)
    wants.set("one", {A: "ltp", B: "quote"})
    assert upstream.wanted == {"NSE:A": "ltp", 2: "quote"}
    wants.change("two", {"NSE:A": "full"})
    assert upstream.wanted["NSE:A"] == "full"
    wants.change("two", {"NSE:A": "quote"})
    assert upstream.wanted["NSE:A"] == "quote"
    wants.drop("two")
    assert upstream.wanted["NSE:A"] == "ltp"


def test_upstream_hears_of_differences_only() -> None:
    upstream = Upstream()
    wants = Wants(upstream.want, 0)
    wants.set("one", {A: "full"})
    wants.set("one", {A: "full"})
    wants.set("two", {A: "ltp"})
    wants.drop("two")
    wants.drop("two")
    assert upstream.calls == 1


def test_what_cannot_be_had_is_answered() -> None:
    assert Wants(Upstream().want, 0).change("one", {"full": "ltp", "other": "ltp"}) == {
        "full": "over_capacity"
    }


async def test_what_nobody_wants_any_more_is_let_go_after_a_while(
    autojump_clock: trio.testing.MockClock,
) -> None:
    upstream = Upstream()
    wants = Wants(upstream.want, 30)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wants.release)
        wants.set("one", {A: "full", B: "ltp"})
        wants.drop("one")
        await trio.sleep(20)
        wants.set("two", {B: "ltp"})
        assert upstream.wanted == {"NSE:A": "full", 2: "ltp"}
        await trio.sleep(11)
        assert upstream.wanted == {2: "ltp"}
        wants.drop("two")
        await trio.sleep(31)
        assert upstream.wanted == {}
        assert (wants._owners, wants._counts, wants._told, dict(wants._leaving)) == ({}, {}, {}, {})
        nursery.cancel_scope.cancel()


def test_an_instrument_goes_by_its_symbol_where_it_has_one() -> None:
    assert (key_of(A), key_of(B)) == ("NSE:A", 2)
