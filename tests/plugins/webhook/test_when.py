"""Conditions: what is one, where a mistake is, and when they fire."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd.plugin import OHLC, Row
from tickerd_plugins.webhook.when import FIELDS, OPERATORS, BadCondition, Term, Watch, parse, values


def test_one_comparison():
    assert parse("last_price > 1500.05").terms == (Term("last_price", ">", Decimal("1500.05")),)


def test_several_are_joined_by_and_whatever_the_spaces():
    found = parse("  last_price>=-1  AND volume_traded crosses 10.  and oi!=.5 ")
    assert found.terms == (
        Term("last_price", ">=", Decimal(-1)),
        Term("volume_traded", "crosses", Decimal(10)),
        Term("oi", "!=", Decimal("0.5")),
    )
    assert str(found) == "last_price >= -1 and volume_traded crosses 10 and oi != 0.5"


@pytest.mark.parametrize(
    ("text", "at", "why"),
    [
        ("", 1, "expected one of last_price"),
        ("   ", 1, "expected one of last_price"),
        ("price > 1", 1, "expected one of last_price"),
        ("last_price", 11, "expected one of > >= < <= == != crosses"),
        ("last_price = 1", 12, "expected one of > >="),
        ("last_price => 1", 12, "expected one of > >="),
        ("last_price above 1", 12, "expected one of > >="),
        ("last_price >", 13, "expected a number"),
        ("last_price > high", 14, "expected a number"),
        ("last_price > 1,500", 15, "expected 'and' or the end"),
        ("last_price > 1e3", 14, "expected a number"),
        ("last_price > 1.2.3", 14, "expected a number"),
        ("last_price > 1 or oi > 2", 16, "expected 'and' or the end"),
        ("last_price > 1 and", 19, "expected one of last_price"),
        ("last_price > 1 oi > 2", 16, "expected 'and' or the end"),
        ("(last_price > 1)", 1, "expected one of last_price"),
        ("last_price > nan", 14, "expected a number"),
        ("last_price > ￥1", 14, "expected a number"),
    ],
)
def test_a_mistake_is_pointed_at(text, at, why):
    with pytest.raises(BadCondition, match=f"at character {at}$") as error:
        parse(text)
    assert str(error.value).startswith(why)


def test_there_is_a_limit():
    text = " and ".join(["oi > 1"] * 11)
    with pytest.raises(BadCondition, match="more than 10"):
        parse(text)


@given(st.text(alphabet="lastprice_ ><=!.0123456789andcroses\t\n", max_size=60))
def test_nothing_else_than_a_bad_condition_ever_comes_of_a_text(text):
    try:
        found = parse(text)
    except BadCondition:
        return
    assert parse(str(found)).terms == found.terms


def judge(text, *prices, field="last_price"):
    """For each price whether the condition fires."""
    condition, watch = parse(text), Watch()
    return [
        watch.fires(condition, values(Row(1, **{field: None if price is None else price})))
        for price in prices
    ]


@pytest.mark.parametrize(
    ("op", "fires"),
    [
        (">", [False, False, True, False, False]),
        (">=", [False, True, False, False, False]),
        ("<", [True, False, False, False, True]),
        ("<=", [True, False, False, True, False]),
        ("==", [False, True, False, True, False]),
        ("!=", [True, False, True, False, True]),
        ("crosses", [False, False, True, False, True]),
    ],
)
def test_each_operator_fires_when_it_comes_to_hold(op, fires):
    assert judge(f"last_price {op} 100", 99.95, 100.0, 100.05, 100.0, 99.95) == fires


def test_it_fires_once_while_it_goes_on_holding():
    assert judge("last_price > 100", 101, 102, 103, 99, 101) == [True, False, False, False, True]


def test_a_crossing_is_from_one_side_to_the_other_and_fires_once():
    prices = [90, 110, 120, 100, 130, 100, 90, 80, 110]
    fires = [False, True, False, False, False, False, True, False, True]
    assert judge("last_price crosses 100", *prices) == fires


def test_a_jump_over_the_number_is_a_crossing_and_the_first_tick_is_none():
    assert judge("last_price crosses 100", 500) == [False]
    assert judge("last_price crosses 100", 1, 1000, 1) == [False, True, True]
    assert judge("last_price crosses 100", 100, 101, 100, 99) == [False, False, False, True]


def test_decimals_are_exact():
    assert judge("last_price == 0.3", 0.1 + 0.2, 0.3) == [False, True]
    assert judge("last_price > 1234567.85", 1234567.85, 1234567.9) == [False, True]
    assert judge("volume_traded >= 9007199254740993", 2**53, 2**53 + 1, field="volume_traded") == [
        False,
        True,
    ]


def test_what_is_not_known_decides_nothing_and_changes_nothing():
    assert judge("last_price > 100", None, 101, None, 102) == [False, True, False, False]
    assert judge("last_price crosses 100", 90, None, 110) == [False, False, True]
    assert judge("open > 1", 5) == [False]  # a tick without the day's prices


def test_all_terms_must_hold_at_the_same_tick():
    condition, watch = parse("last_price crosses 100 and volume_traded > 10"), Watch()
    ticks = [(90, 5), (110, 5), (110, 20), (90, 20), (80, 20), (110, 11)]
    fired = [watch.fires(condition, values(Row(1, last_price=p, volume_traded=v))) for p, v in ticks]
    assert fired == [False, False, False, True, False, True]


def test_every_field_can_be_compared():
    row = Row(1, ohlc=OHLC(1.5, 2.5, 0.5, 1.0))
    for name in FIELDS:
        if name not in ("open", "high", "low", "close"):
            setattr(row, name, 7)
    assert values(row)["open"] == Decimal("1.5")
    assert None not in values(row).values()
    for name in FIELDS:
        for op in OPERATORS:
            assert parse(f"{name} {op} 1").terms[0].field == name
