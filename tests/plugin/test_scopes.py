"""Scopes: told apart, narrowed, compared."""

import pytest
from pydantic import TypeAdapter, ValidationError

from tickerd.plugin import ALL_SCOPES, SCOPES, Scope, exceeding, split_scopes
from tickerd.plugin.scopes import is_scope

scope = TypeAdapter[str](Scope)


def test_every_scope_has_a_sentence_and_is_sorted():
    assert list(SCOPES) == sorted(SCOPES)
    assert all(doc[0].isupper() and doc.endswith(".") for doc in SCOPES.values())
    assert frozenset(SCOPES) == ALL_SCOPES


@pytest.mark.parametrize("text", [*SCOPES, "ticks:read:NSE", "ticks:read:NFO-OPT"])
def test_what_is_a_scope(text):
    assert is_scope(text)
    assert scope.validate_python(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*",
        "admin",
        "ticks:read:",
        "ticks:read:nse",
        "ticks:read:NSE:INFY",
        "subs:write:NSE",
        "ticks:read\n",
        3,
    ],
)
def test_what_is_none_and_the_error_does_not_quote_it(text):
    with pytest.raises(ValidationError) as caught:
        scope.validate_python(text)
    assert "expected a scope: one of admin:audit," in caught.value.errors()[0]["msg"]


def test_exchanges_are_split_off():
    assert split_scopes(["subs:write"]) == ({"subs:write"}, None)
    assert split_scopes(["subs:write", "ticks:read:NSE", "ticks:read:NFO"]) == (
        {"subs:write", "ticks:read"},
        {"NSE", "NFO"},
    )


def test_the_whole_of_ticks_is_not_narrowed_by_a_part_of_it():
    assert split_scopes(["ticks:read", "ticks:read:NSE"]) == ({"ticks:read"}, None)


@pytest.mark.parametrize(
    ("wanted", "held", "beyond"),
    [
        (["ticks:read"], ["ticks:read", "subs:write"], ()),
        (["ticks:read:NSE"], ["ticks:read"], ()),
        (["ticks:read"], ["ticks:read:NSE"], ("ticks:read",)),
        (["ticks:read:NFO"], ["ticks:read:NSE"], ("ticks:read:NFO",)),
        (["subs:write", "admin:keys"], [], ("admin:keys", "subs:write")),
    ],
)
def test_nobody_hands_on_more_than_he_has(wanted, held, beyond):
    assert exceeding(wanted, held) == beyond
