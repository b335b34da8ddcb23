"""Tests of `tickerd.config.wording`, through the compiler: what each kind of mistake is called."""

import pytest

from tickerd.config import wording

FEED = "sources:\n  feed:\n    use: kite\n    api_key: k\n"
SINK = "sinks: {out: {use: file, path: p}}\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("port: x", "port: expected a whole number"),
        ("port: 1.5", "port: expected a whole number"),
        ("port:", "port: expected a whole number (nothing is written here)"),
        ("port: 0", "port: must be more than 0"),
        ("speed: x", "speed: expected a number"),
        ("pause: 5 banana", "pause: unknown unit; a duration ends in ms, s, m, h or days"),
        ("pause: 5", "pause: a duration needs a unit: write it as '30s'"),
        ("pause: x", "pause: expected a duration such as '30s'"),
        ("pause: 100ms", "pause: must be at least 500ms"),
        ("pause: 3h", "pause: must be at most 2h"),
        ("size: 1 banana", "size: unknown unit; a size ends in KiB, MiB, GiB, KB, MB or GB"),
        ("size: 1GiB", "size: must be less than 1GiB"),
        ("code: 12", "code: expected text (put it in quotes)"),
        ("code: yes", None),
        ("code: true", "code: expected text (put it in quotes)"),
        ("code: [a]", "code: expected text"),
        ("code: a", "code: needs at least 2 characters"),
        ("code: abcd", "code: can have at most 3 characters"),
        ("code: ABC", "code: does not have the form '^[a-z]+$'"),
        ("either: x", "either: expected a whole number or true or false"),
        ("table: [1]", "table: expected a mapping of keys and values"),
        ("table: {a: x}", "table.a: expected a whole number"),
        ("logins: 3", "logins: expected a list"),
        ("logins: [3]", "logins[0]: expected a mapping of keys and values"),
        ("logins: [{}]", "logins[0].user: required key is missing"),
        ("logins: [{user: a, pim: 1}]", "logins[0].pim: unknown key (did you mean 'pin'?)"),
        ("url: x", "url: no scheme in 'x'"),
        ("required: x", "required: expected true or false"),
        ("subscribe: [{instruments: []}]", "subscribe[0]: needs 'instruments' or 'match'"),
        ("subscribe: [{instruments: [5], mode: ful}]",
         "subscribe[0].mode: expected 'ltp', 'quote' or 'full' (did you mean 'full'?)"),
        ("subscribe: [{instruments: [5], match: {a: 1}}]", "subscribe[0].match.a: unknown key"),
    ],
)  # fmt: skip
def test_each_mistake_has_its_words(line, expected, heads, compiled):
    text = f"{FEED}    {line}\n{SINK}"
    if expected is None:
        assert compiled(text)
        return
    assert [head.split(": ", 1)[1] for head in heads(text)] == [f"sources.feed.{expected}"]


def test_what_is_not_known_is_told_as_pydantic_tells_it():
    assert wording.message({"type": "new_kind", "msg": "Input should be new."}) == "input should be new"
    assert (
        wording.message({"type": "value_error", "msg": "", "ctx": {"error": ValueError("")}})
        == "cannot be used"
    )
    assert (
        wording.message({"type": "value_error", "msg": "", "ctx": {"error": ValueError("URL is bad")}})
        == "URL is bad"
    )


def test_of_several_types_the_one_that_nearly_fits_counts():
    assert wording.either(["expected text", "expected text"]) == "expected text"
    assert wording.either(["expected text", "must be at least 3"]) == "must be at least 3"


def test_tagged_unions_name_the_tags():
    error = {"type": "union_tag_invalid", "ctx": {"tag": "hunter2", "expected_tags": "'a', 'b'"}}
    assert wording.message(error) == "expected 'a', 'b'"
    assert wording.hint(error, "A") == "did you mean 'a'?"
