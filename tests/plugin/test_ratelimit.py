"""Rates as they are written, and the classes that are limited."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tickerd.plugin import RATE_CLASSES, Options, Rate, option


class Sample(Options):
    rate: Rate = option("10/minute", doc="A rate.")


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10/minute", Rate(10, 60)),
        (" 5 / hour ", Rate(5, 3600)),
        ("1/second", Rate(1, 1)),
        ("1000000/day", Rate(1_000_000, 86400)),
    ],
)
def test_a_rate_is_read_as_it_is_written(text, rate):
    assert Rate.parse(text) == rate
    assert Sample(rate=text).rate == rate


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10",
        "10/",
        "0/minute",
        "-1/minute",
        "1.5/minute",
        "10/fortnight",
        "10/minutes",
        "9" * 8 + "/day",
        10,
        None,
    ],
)
def test_what_is_no_rate_is_told_without_quoting_it(text):
    with pytest.raises(ValidationError) as caught:
        Sample(rate=text)
    assert (
        caught.value.errors()[0]["msg"]
        == "expected a rate such as '10/minute', per second, minute, hour or day"
    )


@given(st.builds(Rate, st.integers(1, 9_999_999), st.sampled_from([1, 60, 3600, 86400])))
def test_a_rate_survives_being_written(rate):
    assert Rate.parse(str(rate)) == rate
    assert Sample.model_validate(Sample(rate=rate).model_dump(mode="json")).rate == rate


def test_a_default_is_checked_and_the_schema_tells_the_form():
    assert Sample().rate == Rate(10, 60)
    assert Sample(rate=Rate(2, 60)).rate.interval_s == 30
    schema = Sample.model_json_schema()["properties"]["rate"]
    assert schema["type"] == "string"
    assert schema["examples"] == ["10/minute"]


def test_an_odd_period_still_prints():
    assert str(Rate(1, 7)) == "1/7 s"


def test_the_defaults_are_those_that_were_promised():
    promised = {"orders": "10/minute", "webhooks": "20/minute", "subscriptions": "30/minute",
                "administration": "5/hour", "breakers": "5/minute"}  # fmt: skip
    assert {name: str(RATE_CLASSES[name].rate) for name in promised} == promised
    assert list(RATE_CLASSES) == sorted(RATE_CLASSES)
