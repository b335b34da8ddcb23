"""Tests of `tickerd.config.compose`: values, places, anchors, merge keys, duplicates and limits."""

import pytest

from tickerd.config.compose import Broken, Composer
from tickerd.config.nodes import MAX_DEPTH, MAX_VALUES, Mapping, Scalar, Sequence
from tickerd.config.references import Resolver


def compose(text):
    composer = Composer("f", text)
    return composer.compose(), composer


def plain(text):
    root, _ = compose(text)
    return Resolver({}).resolve(root).value


def test_every_key_and_value_has_its_place():
    root, _ = compose("a:\n  - 'b c'\n  - d: 1\n")
    assert isinstance(root, Mapping)
    key, value = root.entries["a"]
    assert key == ("f", 1, 1, 1, 2)
    assert isinstance(value, Sequence)
    assert value.place[:3] == ("f", 2, 3)
    first, second = value.items
    assert isinstance(first, Scalar)
    assert (first.value, first.place) == ("b c", ("f", 2, 5, 2, 10))
    assert isinstance(second, Mapping)
    assert second.entries["d"].key == ("f", 3, 5, 3, 6)
    assert second.entries["d"].value.place == ("f", 3, 8, 3, 9)


def test_keys_are_text_as_they_are_written():
    assert plain("1: a\nno: b\n~: c\n? 'x y'\n: d\n") == {
        "1": "a",
        "no": "b",
        "~": "c",
        "x y": "d",
    }


def test_only_what_is_not_quoted_has_a_type():
    assert plain("[1, '1', \"1\", !!str 1, ! 1, NO, on, 12:30, ~, '']") == [
        1, "1", "1", "1", "1", "NO", "on", "12:30", None, "",
    ]  # fmt: skip
    assert plain("a: |\n  1\nb: !!map {}\nc: !!seq []\n") == {"a": "1\n", "b": {}, "c": []}


def test_an_alias_is_the_value_of_its_anchor():
    assert plain("a: &x {b: &y 1}\nc: *x\nd: *y\n&k e: *k\n") == {
        "a": {"b": 1},
        "c": {"b": 1},
        "d": 1,
        "e": "e",
    }


def test_the_last_anchor_of_a_name_counts():
    assert plain("a: &x 1\nb: &x 2\nc: *x\n")["c"] == 2


def test_merge_keys_add_what_is_not_written_out():
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {z: 3, <<: [*a, *b]}\nd: {<<: *a, x: 4}\n"
    value = plain(text)
    assert value["c"] == {"x": 1, "y": 1, "z": 3}
    assert value["d"] == {"x": 4, "y": 1}
    root, _ = compose(text)
    assert root.entries["c"].value.entries["x"].key[1:3] == (1, 8)


def test_a_quoted_merge_key_is_an_ordinary_key():
    assert plain("'<<': 1\n") == {"<<": 1}


def test_all_duplicate_keys_are_found_and_the_first_counts():
    root, composer = compose("a: 1\nb:\n  c: 1\n  c: 2\na: {d: 2}\na: 3\n")
    assert [problem.text() for problem in composer.problems] == [
        "f:4:3: b.c: duplicate key, first set at f:3:3",
        "f:5:1: a: duplicate key, first set at f:1:1",
        "f:6:1: a: duplicate key, first set at f:1:1",
    ]
    assert root.entries["a"].value.value == 1
    assert len(composer.dropped) == 3


class Counting(Composer):
    """Counts what it has read."""

    read = 0

    def _events(self):
        for event in super()._events():
            self.read += 1
            yield event


@pytest.mark.parametrize("text", ["[" * 100_000, "a: " + "{a: " * 100_000, "- " * 100_000])
def test_deep_nesting_is_read_to_the_limit_and_no_further(text):
    composer = Counting("f", text)
    with pytest.raises(Broken, match=r"^nested deeper than 64 levels$"):
        composer.compose()
    assert composer.read < 3 * MAX_DEPTH


def test_64_levels_are_allowed():
    assert plain("[" * 64 + "1" + "]" * 64)


@pytest.mark.full
def test_too_many_values_are_refused():
    with pytest.raises(Broken, match=r"^holds more than 100,000 values$"):
        compose("[" + "1," * MAX_VALUES + "1]")


def test_merge_keys_cannot_multiply_a_large_mapping():
    large = "a: &a {" + ", ".join(f"k{n}: 1" for n in range(1000)) + "}\nb:\n" + "- <<: *a\n" * 200
    with pytest.raises(Broken, match="holds more than"):
        compose(large)
