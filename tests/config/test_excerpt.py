"""Tests of `tickerd.config.excerpt`: no secret stands in a source line that is shown."""

import pytest

from tickerd.config import Problem
from tickerd.config.excerpt import LONGEST, holds_login, looks_secret, masks, with_source
from tickerd.config.nodes import Place


def shown(line, column, *spans):
    problem = Problem("f", 1, column, "", "")
    made = with_source(problem, {"f": [line]}, {("f", 1): list(spans)})
    return made.source + "\n" + " " * made.caret + "^"


def guessed(text, line):
    return with_source(Problem("f", line, 1, "", ""), {"f": text.split("\n")}, None).source


TELLING = """
api_key api-key apikey secret client_secret password passwd token access_token key signing_key pin totp dsn
credentials private authorization auth PASSWORD
"""


@pytest.mark.parametrize("key", TELLING.split())
def test_keys_that_look_secret(key):
    assert looks_secret(key)


@pytest.mark.parametrize(
    "key", ["use", "keep", "path", "mode", "keyboard", "pinned", "author", "user_id", 3, None]
)
def test_keys_that_do_not(key):
    assert not looks_secret(key)


def test_a_login_in_a_url_is_seen():
    assert holds_login("redis://me:hunter2@host/1")
    assert not holds_login("https://host/a@b")
    assert not holds_login(3)


def test_the_caret_stays_where_the_problem_is():
    assert shown("a: secret, b: 1", 12, (3, 9)) == "a: ***, b: 1\n        ^"
    assert shown("a: secret, b: 1", 4, (3, 9)) == "a: ***, b: 1\n   ^"
    assert shown("a: secret, b: 1", 6, (3, 9)) == "a: ***, b: 1\n   ^"
    assert shown("a: secret, b: 1", 1, (3, 9)) == "a: ***, b: 1\n^"
    assert shown("a: b, c: d", 7, (3, 4), (9, 10)) == "a: ***, c: ***\n        ^"
    assert shown("a: bcd", 1, (3, 6), (4, 5)) == "a: ***\n^"


def test_references_stay_readable_inside_a_mask():
    assert shown('a: "x${env:A}y"', 4, (3, 15)) == 'a: "***${env:A}***"\n   ^'
    assert shown("a: ${env:A}", 4, (3, 11)) == "a: ${env:A}\n   ^"
    assert shown("a: ${vault:A}", 4, (3, 13)) == "a: ***\n   ^"


def test_a_comment_beside_a_secret_goes_with_it():
    assert shown("a: secret  # was: older", 1, (3, 9)) == "a: ***\n^"
    assert shown("a: b  # why", 1) == "a: b  # why\n^"


def test_a_value_over_several_lines_is_masked_on_each():
    found = masks([Place("f", 1, 4, 3, 3)])
    assert set(found) == {("f", 1), ("f", 2), ("f", 3)}
    assert found["f", 3] == [(0, 2)]
    assert found["f", 1][0][0] == 3
    assert masks([Place("f", 1, 4, 2, 1)]).keys() == {("f", 1)}


def test_a_long_line_is_cut_round_the_caret():
    line = "a: [" + "x, " * 200 + "]"
    for column in (1, 300, len(line)):
        made = with_source(Problem("f", 1, column, "", ""), {"f": [line]}, {})
        assert len(made.source) <= LONGEST + 2
        assert made.source[made.caret] == line[column - 1]


def test_nothing_can_move_the_terminals_cursor():
    assert shown("a: \x1b[2J\u202eb\u2028c", 1) == "a: ?[2J?b?c\n^"


def test_a_line_that_is_not_there_is_not_shown():
    for line in (0, 9):
        assert with_source(Problem("f", line, 1, "", ""), {"f": ["x"]}, {}).source == ""
    assert with_source(Problem("g", 1, 1, "", ""), {"f": ["x"]}, {}).source == ""


def test_a_key_without_a_space_after_its_colon_is_masked_too():
    assert shown("  api_key:hunter2 x", 3) == "  api_key:***\n  ^"
    assert shown("a: ${credential:b}", 1) == "a: ${credential:b}\n^"


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("api_key: hunter2", 1, "api_key: ***"),
        ("x: {api_key: hunter2, y: 1}", 1, "x: {api_key: ***"),
        ("- secret: hunter2", 1, "- secret: ***"),
        ("api_key:hunter2", 1, "api_key:***"),
        ("api_key:\n  hunter2", 2, "  ***"),
        ('secret: "a\n  hunter2', 2, "  ***"),
        ("path: x\n  y", 2, "  y"),
        ("y", 1, "y"),
        ("url: redis://me:hunter2@host", 1, "url: ***"),
        ("path: x", 1, "path: x"),
    ],
)
def test_in_a_text_that_is_not_yaml_secrets_are_guessed_by_their_keys(text, line, expected):
    assert guessed(text, line) == expected
