"""Tests of `tickerd.config.nodes`: YAML 1.2's core schema, and walking the tree."""

import math

import pytest

from tickerd.config.compose import Composer
from tickerd.config.nodes import child, children, core_value, scalars


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("null", None), ("Null", None), ("none", "none"), ("nUll", "nUll"),
        ("true", True), ("FALSE", False), ("yes", "yes"), ("no", "no"), ("NO", "NO"), ("on", "on"), ("y", "y"),
        ("0", 0), ("-12", -12), ("+3", 3), ("014", 14), ("0o14", 12), ("0x1F", 31), ("1_000", "1_000"),
        ("12:30", "12:30"), ("12:30:45", "12:30:45"), ("2025-01-31", "2025-01-31"),
        ("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("1e3", 1000.0), ("-.inf", -math.inf), ("-", "-"), (".", "."),
        ("1.2.3", "1.2.3"), ("5MiB", "5MiB"), ("NSE:INFY", "NSE:INFY"), ("=", "="), ("9" * 5000, "9" * 5000),
    ],
)  # fmt: skip
def test_plain_scalars_mean_what_yaml_1_2_says(text, value):
    assert core_value(text) == value
    assert type(core_value(text)) is type(value)


def test_not_a_number_is_one():
    assert math.isnan(core_value(".nan"))


def test_children_and_scalars_are_found():
    root = Composer("f", "a: &x [1, {b: 2}]\nc: *x\n").compose()
    assert [key for key, _ in children(root)] == ["a", "c"]
    assert sorted(scalar.value for scalar in scalars(root)) == [1, 2]
    assert child(child(root, "a"), 0).value == 1
    assert child(child(root, "a"), 2) is None
    assert child(child(root, "a"), "0") is None
    assert child(root, "z") is None
    assert child(None, "z") is None
    assert list(children(child(child(root, "a"), 0))) == []
