"""The texts of keys: told from typos without a look-up, and never printed."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd.observe.redact import Redactor
from tickerd.state.keytext import KINDS, PATTERN, new_key, parse_id, parse_key

TEXT = new_key("live").text
"""One for all examples, so that hypothesis can repeat them."""
ALPHABET = string.ascii_letters + string.digits + "_"


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_is_of_its_kind_and_of_its_form(kind):
    key = new_key(kind)
    assert re.fullmatch(rf"tkd_{kind}_[0-9A-Za-z]{{12}}_[0-9A-Za-z]{{43}}[0-9A-Za-z]{{6}}", key.text)
    assert parse_key(key.text) == key
    assert (key.kind, key.text.split("_")[2]) == (kind, key.id)


def test_no_two_are_the_same():
    keys = {new_key("live") for _ in range(1000)}
    assert len({key.id for key in keys}) == len({key.text for key in keys}) == 1000


@given(st.data())
def test_any_one_wrong_character_is_noticed(data):
    at = data.draw(st.integers(0, len(TEXT) - 1))
    other = data.draw(st.sampled_from(ALPHABET).filter(lambda one: one != TEXT[at]))
    assert parse_key(TEXT[:at] + other + TEXT[at + 1 :]) is None


@given(st.data())
def test_two_letters_changed_round_are_noticed(data):
    at = data.draw(st.integers(0, len(TEXT) - 2).filter(lambda n: TEXT[n] != TEXT[n + 1]))
    assert parse_key(TEXT[:at] + TEXT[at + 1] + TEXT[at] + TEXT[at + 2 :]) is None


DAMAGE = {
    "cut": lambda text: text[:-1],
    "longer": lambda text: f"{text}x",
    "lower": str.lower,
    "upper": str.upper,
    "space before": lambda text: f" {text}",
    "line break after": lambda text: f"{text}\n",
    "hyphens": lambda text: text.replace("_", "-"),
    "three times": lambda text: text * 3,
    "another kind": lambda text: text.replace("live", "evil"),
    "another of our kinds": lambda text: text.replace("live", "boot"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_what_is_cut_or_bent_is_no_key(damage):
    assert parse_key(damage(new_key("live").text)) is None


@given(st.text(max_size=200))
def test_no_text_is_too_odd_to_be_refused(text):
    assert parse_key(text) is None


def test_digits_of_other_scripts_are_no_digits():
    text = new_key("live").text
    assert parse_key(text[:-1] + "٣") is None


def test_the_pattern_for_scanners_finds_keys_inside_other_text():
    key = new_key("live")
    assert re.findall(PATTERN, f'key = "{key.text}", and tkd_live_short_x') == [key.text]


def test_ids_are_taken_with_or_without_the_prefix_and_whole_keys_are_not():
    key = new_key("live")
    assert parse_id(key.id) == parse_id(f"tkd_live_{key.id}") == key.id
    assert parse_id(key.text) is None
    assert parse_id("") is None


def test_it_does_not_print_and_the_log_hides_it():
    key = new_key("live")
    assert key.text not in repr(key)
    assert key.id in repr(key)
    secret = key.text.rpartition("_")[2]
    assert secret not in Redactor()(f"called with {key.text}, and {key.text!r}")
