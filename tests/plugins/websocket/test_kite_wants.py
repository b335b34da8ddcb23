"""What a Kite client's messages change."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd_plugins.websocket.kite_wants import NOTHING, Change, Wants


def ask(wants: Wants, action: str, *tokens: object, mode: str | None = None) -> Change:
    value = list(tokens) if mode is None else [mode, list(tokens)]
    return wants.ask(json.dumps({"a": action, "v": value}))


def test_a_subscription_begins_as_a_quote() -> None:
    wants = Wants(10)
    assert ask(wants, "subscribe", 1, 2) == Change({1: "quote", 2: "quote"})
    assert wants.modes == {1: "quote", 2: "quote"}


def test_asking_again_changes_nothing_and_keeps_the_mode() -> None:
    wants = Wants(10)
    ask(wants, "subscribe", 1)
    ask(wants, "mode", 1, mode="full")
    assert ask(wants, "subscribe", 1, 1) == NOTHING
    assert ask(wants, "mode", 1, mode="full") == NOTHING
    assert wants.modes == {1: "full"}


def test_a_mode_subscribes_what_was_not_subscribed() -> None:
    wants = Wants(10)
    assert ask(wants, "mode", 1, mode="ltp") == Change({1: "ltp"})


def test_only_what_was_held_is_gone() -> None:
    wants = Wants(10)
    ask(wants, "subscribe", 1, 2)
    assert ask(wants, "unsubscribe", 1, 1, 3) == Change({}, gone=(1,))
    assert wants.modes == {2: "quote"}


def test_tokens_may_be_written_as_strings() -> None:
    wants = Wants(10)
    assert ask(wants, "subscribe", "408065", 256265).fresh.keys() == {408065, 256265}
    assert ask(wants, "mode", "408065", mode="full").fresh == {408065: "full"}
    assert ask(wants, "unsubscribe", "408065").gone == (408065,)


def test_the_surplus_is_left_out_and_counted_once_each() -> None:
    wants = Wants(3)
    assert ask(wants, "subscribe", 1, 2, 3, 4, 5, 4) == Change(dict.fromkeys((1, 2, 3), "quote"), surplus=2)
    assert ask(wants, "mode", 3, 6, mode="full") == Change({3: "full"}, surplus=1)
    ask(wants, "unsubscribe", 1)
    assert ask(wants, "subscribe", 6) == Change({6: "quote"})
    assert len(wants.modes) == 3


@pytest.mark.parametrize(
    "message", ["", "{", "[]", "null", '{"a":"order","v":[1]}', '{"a":"mode","v":["deep",[1]]}']
)
def test_what_asks_nothing_changes_nothing(message: str) -> None:
    assert Wants(10).ask(message) == NOTHING


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["subscribe", "unsubscribe", "ltp", "quote", "full"]), st.lists(st.integers(0, 6))
        )
    )
)
def test_whatever_is_asked_the_changes_add_up_to_what_is_held(messages: list[tuple[str, list[int]]]) -> None:
    wants, added_up = Wants(4), dict[int, str]()
    for action, tokens in messages:
        mode = action if action in ("ltp", "quote", "full") else None
        change = ask(wants, "mode" if mode else action, *tokens, mode=mode)
        for token in change.gone:
            del added_up[token]
        added_up |= change.fresh
        assert added_up == wants.modes
        assert len(added_up) <= 4
