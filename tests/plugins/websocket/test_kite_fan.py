"""Who gets which packets, compared with the plainest way to work it out."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickerd.wire.kite import KITE, prefix
from tickerd.wire.kite.layout import FULL, INDEX_FULL, INDEX_QUOTE, LTP, QUOTE
from tickerd_plugins.websocket.kite_fan import Fan, Part, by_token, frames, part, token_bytes

INFY, TCS, NIFTY = 408_065, 2_953_217, 256_265


def packet(token: int, *values: int, length: int = FULL) -> bytes:
    """Last price, then whatever follows."""
    return (token.to_bytes(4) + b"".join(value.to_bytes(4) for value in values)).ljust(length, b"\0")


def cut(fan: Fan[str], *packets: bytes) -> dict[str, list[bytes]]:
    """What each member gets of a frame with these packets."""
    fan.cut([int.from_bytes(one[:4]) for one in packets], packets)
    return {member: [one[2:] for one in parts] for members, parts in fan.take() for member in members}


def settle(fan: Fan[str]) -> None:
    for _ in fan.settle():
        pass


def test_each_gets_what_it_wants_in_its_mode() -> None:
    fan = Fan[str]()
    fan.change("full", {INFY: "full", NIFTY: "full"})
    fan.change("quote", {INFY: "quote", NIFTY: "quote"})
    fan.change("ltp", {INFY: "ltp"})
    infy, nifty = packet(INFY, 1, 2), packet(NIFTY, 3, length=INDEX_FULL)
    assert cut(fan, infy, nifty, packet(TCS, 4)) == {
        "full": [infy, nifty],
        "quote": [infy[:QUOTE], nifty[:INDEX_QUOTE]],
        "ltp": [infy[:LTP]],
    }


def test_a_lower_mode_hears_only_of_what_changed_in_its_part() -> None:
    fan = Fan[str]()
    for mode in ("full", "quote", "ltp"):
        fan.change(mode, {INFY: mode})
    cut(fan, packet(INFY, 1, 1))
    depth = packet(INFY, 1, 1).ljust(FULL, b"\1")[: FULL - 1] + b"\7"
    assert cut(fan, depth) == {"full": [depth]}
    volume = packet(INFY, 1, 2)
    assert cut(fan, volume) == {"full": [volume], "quote": [volume[:QUOTE]]}
    price = packet(INFY, 2, 2)
    assert cut(fan, price) == {"full": [price], "quote": [price[:QUOTE]], "ltp": [price[:LTP]]}
    assert cut(fan, price) == {"full": [price]}


def test_a_change_of_mode_forgets_nothing() -> None:
    fan = Fan[str]()
    fan.change("a", {INFY: "full"})
    cut(fan, packet(INFY, 1, 1))
    fan.change("a", {INFY: "ltp"})
    assert fan.last(INFY) == packet(INFY, 1, 1)
    assert cut(fan, packet(INFY, 1, 2)) == {}


def test_a_lower_mode_upstream_is_passed_on_as_it_is() -> None:
    fan = Fan[str]()
    fan.change("full", {INFY: "full"})
    fan.change("quote", {INFY: "quote"})
    low = packet(INFY, 1, length=LTP)
    assert cut(fan, low) == {"full": [low], "quote": [low]}
    high = packet(INFY, 1)
    assert cut(fan, high) == {"full": [high], "quote": [high[:QUOTE]]}


def test_members_alike_share_one_frame_once_they_have_settled() -> None:
    fan = Fan[str]()
    for member in ("a", "b", "c"):
        fan.change(member, {INFY: "full", TCS: "ltp"})
    fan.change("d", {INFY: "full"})
    settle(fan)
    assert len(fan) == 2
    fan.cut([INFY], [packet(INFY, 1)])
    assert sorted(members for members, _ in fan.take()) == [("a", "b", "c"), ("d",)]


def test_one_that_wants_something_else_leaves_the_others() -> None:
    fan = Fan[str]()
    for member in ("a", "b"):
        fan.change(member, {INFY: "full", TCS: "full"})
    settle(fan)
    fan.change("a", {INFY: "ltp"}, [TCS])
    first = packet(INFY, 1)
    assert cut(fan, first, packet(TCS, 1)) == {"a": [first[:LTP]], "b": [first, packet(TCS, 1)]}
    fan.change("a", {INFY: "full", TCS: "full"})
    settle(fan)
    assert len(fan) == 1


def test_nothing_is_kept_of_those_that_have_left() -> None:
    fan = Fan[str]()
    for member in ("a", "b"):
        fan.change(member, {INFY: "full"})
    settle(fan)
    cut(fan, packet(INFY, 1))
    fan.leave("a")
    assert fan.last(INFY) == packet(INFY, 1)
    fan.leave("b")
    fan.leave("b")
    assert (len(fan), list(fan.wanted()), fan.last(INFY)) == (0, [], None)
    fan.change("c", {TCS: "full"})
    settle(fan)
    fan.change("c", {}, [TCS])
    settle(fan)
    assert (len(fan), list(fan.wanted())) == (0, [])
    assert cut(fan, packet(INFY, 2)) == {}


def test_what_a_member_was_shown_counts_as_the_last_packet() -> None:
    fan = Fan[str]()
    fan.remember(INFY, packet(INFY, 1))
    assert fan.last(INFY) is None
    fan.change("ltp", {INFY: "ltp"})
    fan.remember(INFY, packet(INFY, 1))
    assert cut(fan, packet(INFY, 1, 9)) == {}
    assert cut(fan, packet(INFY, 2, 9)) == {"ltp": [packet(INFY, 2, length=LTP)]}


def test_frames_hold_whole_packets_and_none_is_short() -> None:
    parts: list[Part] = [part(packet(INFY, n), "ltp") for n in range(65_537)]
    assert [len(KITE.split(frame).tokens) for frame in frames(parts)] == [65_535, 2]
    assert list(frames([])) == []
    (frame,) = frames([part(packet(INFY, 1), "full"), part(packet(NIFTY, 1, length=INDEX_FULL), "quote")])
    split = KITE.split(frame)
    assert (split.tokens, [*map(len, split.packets)], split.faults) == (
        [INFY, NIFTY],
        [FULL, INDEX_QUOTE],
        {},
    )


def test_of_each_instrument_the_newest_is_found() -> None:
    parts = [part(packet(token, price), "ltp") for token, price in ((INFY, 1), (TCS, 2), (INFY, 3))]
    assert by_token(parts) == {token_bytes(INFY): parts[2], token_bytes(TCS): parts[1]}


MEMBERS = st.sampled_from("abc")
TOKENS = st.sampled_from([INFY, NIFTY])
STEPS = st.one_of(
    st.tuples(st.just("want"), MEMBERS, st.dictionaries(TOKENS, st.sampled_from(["ltp", "quote", "full"]))),
    st.tuples(st.just("drop"), MEMBERS, st.lists(TOKENS)),
    st.tuples(st.just("leave"), MEMBERS, st.none()),
    st.tuples(st.just("settle"), MEMBERS, st.none()),
    st.tuples(st.just("frame"), st.none(), st.lists(st.tuples(TOKENS, st.integers(0, 1), st.integers(0, 1)))),
)


class Model:
    """The plainest way to work it out: each member with its modes, each packet against each member."""

    def __init__(self) -> None:
        self.modes: dict[str, dict[int, str]] = {}
        self.last: dict[int, bytes] = {}

    @property
    def held(self) -> set[int]:
        return {token for modes in self.modes.values() for token in modes}

    def want(self, member: str, modes: dict[int, str]) -> None:
        self.modes.setdefault(member, {}).update(modes)

    def drop(self, member: str, tokens: list[int]) -> None:
        for token in tokens:
            self.modes.get(member, {}).pop(token, None)
        self.last = {token: one for token, one in self.last.items() if token in self.held}

    def leave(self, member: str) -> None:
        self.drop(member, list(self.modes.get(member, {})))

    def frame(self, packets: list[bytes]) -> dict[str, list[bytes]]:
        expected: dict[str, list[bytes]] = {}
        for one in packets:
            token = int.from_bytes(one[:4])
            before = self.last.get(token)
            for member, modes in self.modes.items():
                mode = modes.get(token)
                if mode and (mode == "full" or before is None or prefix(before, mode) != prefix(one, mode)):
                    expected.setdefault(member, []).append(prefix(one, mode))
            if token in self.held:
                self.last[token] = one
        return expected


@settings(max_examples=300)
@given(st.lists(STEPS, max_size=40))
def test_whatever_happens_each_gets_what_a_plain_model_says(steps: list[tuple[str, str, object]]) -> None:
    fan, model = Fan[str](), Model()
    for what, member, value in steps:
        if what == "want":
            fan.change(member, value)
            model.want(member, value)
        elif what == "drop":
            fan.change(member, {}, value)
            model.drop(member, value)
        elif what == "leave":
            fan.leave(member)
            model.leave(member)
        elif what == "settle":
            settle(fan)
        else:
            packets = [
                packet(token, price, volume, length=INDEX_FULL if token == NIFTY else FULL)
                for token, price, volume in value
            ]
            assert cut(fan, *packets) == model.frame(packets)
        assert set(fan.wanted()) == model.held


def test_clients_that_do_not_want_a_packet_cost_nothing() -> None:
    """As many steps for one taker among a thousand clients as for one alone."""
    calls = Counter[str]()

    class Watched(dict):
        def values(self):
            calls["looked"] += len(self)
            return super().values()

    fan = Fan[int]()
    for member in range(1000):
        fan.change(member, {member: "full"})
    for takers in fan._takers.values():
        takers.full = Watched(takers.full)
    fan.cut([7], [packet(7, 1)])
    assert calls == {"looked": 1}
    assert [members for members, _ in fan.take()] == [(7,)]


@pytest.mark.parametrize("mode", ["ltp", "quote", "full"])
@pytest.mark.parametrize("length", [LTP, INDEX_QUOTE, INDEX_FULL, QUOTE, FULL])
def test_a_part_is_a_packet_with_its_length_in_front(mode: str, length: int) -> None:
    one = packet(INFY, 1, length=length)
    cut = prefix(one, mode)
    assert part(one, mode) == len(cut).to_bytes(2) + cut
