"""Errors look the same everywhere."""

import json

from tickerd.control.problem import Problem


def test_a_problem_says_what_and_where_to_look() -> None:
    problem = Problem(404, "no source 'x'", extra={"retry_after": 3})
    assert json.loads(problem.json("abc")) == {
        "type": "urn:tickerd:problem:not-found",
        "title": "not found",
        "status": 404,
        "detail": "no source 'x'",
        "request_id": "abc",
        "retry_after": 3,
    }
    assert str(problem) == "not found: no source 'x'"


def test_what_is_not_known_is_left_out() -> None:
    assert json.loads(Problem(418).json()) == {
        "type": "urn:tickerd:problem:i'm-a-teapot",
        "title": "i'm a teapot",
        "status": 418,
    }
    assert str(Problem(599)) == "error"
