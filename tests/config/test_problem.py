"""Tests of `tickerd.config.problem`."""

from tickerd.config import ConfigError, Problem
from tickerd.config.problem import closest, did_you_mean, dotted


def test_a_problem_is_shown_with_its_source_line_and_a_caret():
    problem = Problem("f", 3, 4, "a.b", "unknown key", "did you mean 'c'?", "\tx: 1", 1)
    assert problem.text() == "f:3:4: a.b: unknown key (did you mean 'c'?)\n    \tx: 1\n    \t^"
    assert problem.text("warning").startswith("f:3:4: warning: a.b: unknown key")


def test_a_problem_of_a_whole_file_has_no_line():
    assert Problem("f", 0, 0, "", "no such file").text() == "f: no such file"


def test_the_same_comes_as_data():
    problem = Problem("f", 3, 4, "a.b", "unknown key", "h", "x: 1", 0)
    assert problem.data() == {
        "file": "f", "line": 3, "column": 4, "path": "a.b",
        "message": "unknown key", "hint": "h", "source": "x: 1", "caret": 0,
    }  # fmt: skip


def test_an_error_shows_every_problem():
    error = ConfigError([Problem("f", 1, 1, "", "one"), Problem("f", 2, 1, "", "two")])
    assert str(error) == "f:1:1: one\nf:2:1: two"
    assert len(error.problems) == 2


def test_a_path_is_written_as_people_write_it():
    assert dotted(("sources", "kite-2", "subscribe", 0, "mode")) == "sources.kite-2.subscribe[0].mode"
    assert dotted(("a b", "x\x1b")) == "'a b'.'x\\x1b'"
    assert dotted(("x" * 70,)) == repr("x" * 64 + "…")
    assert dotted(()) == ""


def test_the_closest_name_is_suggested():
    names = ["api_key", "api_secret", "mode"]
    assert closest("api_kye", names) == "did you mean 'api_key'?"
    assert closest("MODE", names) == "did you mean 'mode'?"
    assert closest("zzz", names) == ""
    assert closest(3, names) == ""
    assert closest("a" * 1000, names) == ""
    assert did_you_mean(["a", "b"]) == "did you mean 'a' or 'b'?"
    assert did_you_mean([]) == ""
