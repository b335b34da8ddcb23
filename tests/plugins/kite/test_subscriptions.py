"""The difference between what is subscribed and what is wanted, as messages."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tickerd.plugin import MODES, Instrument
from tickerd.wire.kite import text
from tickerd_plugins.kite.subscriptions import applied, assign, by_token, next_request

modes = st.sampled_from(MODES)
wishes = st.dictionaries(st.integers(1, 40), modes, max_size=30)


def steps(have, want, most=500):
    messages = []
    while request := next_request(have, want, most):
        messages.append(msgspec.json.decode(request.message))
        applied(have, request)
    return messages


def test_a_first_subscription_is_followed_by_its_mode():
    assert steps({}, {1: "full", 2: "full"}) == [
        {"a": "subscribe", "v": [1, 2]},
        {"a": "mode", "v": ["full", [1, 2]]},
    ]


def test_only_the_difference_is_sent():
    have = {1: "full", 2: "full", 3: "quote"}
    assert steps(have, {2: "full", 3: "ltp", 4: "quote"}) == [
        {"a": "unsubscribe", "v": [1]},
        {"a": "mode", "v": ["ltp", [3]]},
        {"a": "subscribe", "v": [4]},
        {"a": "mode", "v": ["quote", [4]]},
    ]
    assert steps(have, {2: "full", 3: "ltp", 4: "quote"}) == []


def test_messages_are_cut_into_batches():
    messages = steps({}, dict.fromkeys(range(1200), "quote"))
    assert [len(m["v"]) for m in messages if m["a"] == "subscribe"] == [500, 500, 200]
    assert [len(m["v"][1]) for m in messages if m["a"] == "mode"] == [500, 500, 200]


@given(wishes, wishes, st.integers(1, 7))
def test_any_wish_is_reached_from_any_state_and_never_over_the_wish(before, want, most):
    have: dict[int, str] = {}
    steps(have, before, most)
    broker = dict(have)
    while request := next_request(have, want, most):
        assert 0 < len(request.tokens) <= most
        sent = text.request(request.message)
        assert list(sent.tokens) == list(request.tokens)
        for token in sent.tokens:
            if sent.action == "unsubscribe":
                del broker[token]
            else:
                broker[token] = sent.mode or "quote"
        applied(have, request)
        assert len(broker) <= max(len(before), len(want))
    assert broker == have == want


def test_one_token_under_two_names_gets_the_higher_mode():
    old, new = Instrument("kite", 5, "", "5"), Instrument("kite", 5, "NSE", "INFY")
    assert by_token({old: "quote", new: "full"}) == {5: "full"}
    assert by_token({old: "full", new: "ltp"}) == {5: "full"}


def test_a_token_stays_where_it_is_and_new_ones_fill_the_first_with_room():
    wanted = dict.fromkeys([1, 2, 3, 4, 5], "full")
    shards, surplus = assign(wanted, [[1, 9], [2], []], 2)
    assert shards == [{1: "full", 3: "full"}, {2: "full", 4: "full"}, {5: "full"}]
    assert surplus == []


def test_what_no_connection_has_room_for_is_the_surplus():
    shards, surplus = assign(dict.fromkeys(range(7), "ltp"), [[5, 6]], 3)
    assert shards == [{5: "ltp", 6: "ltp", 0: "ltp"}]
    assert surplus == [1, 2, 3, 4]


def test_a_held_token_takes_its_new_mode():
    assert assign({1: "ltp"}, [{1: "full"}], 3).shards == [{1: "ltp"}]
