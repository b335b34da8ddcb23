"""Steering sinks over the API."""

from typing import Any

import pytest

from tickerd.control.steering import Refused


@pytest.mark.parametrize(
    ("path", "asked"),
    [("pause", "pause"), ("resume", "resume"), ("flush", "flush"), ("breaker/reset", "reset_breaker")],
)
async def test_a_sink_is_steered_and_shown_as_it_stands_then(path: str, asked: str, api: Any) -> None:
    answer = await api.raw("POST", f"/v1/sinks/archive/{path}", Authorization="Bearer all")
    assert (answer.status, answer.json["name"]) == (200, "archive")
    ((verb, sink, by),) = api.steering.asked
    assert (verb, sink, by) == (asked, "archive", ("key all", "127.0.0.1"))


async def test_a_sink_that_there_is_not_is_told_with_what_may_have_been_meant(api: Any) -> None:
    answer = await api.raw("POST", "/v1/sinks/archve/pause", Authorization="Bearer all")
    assert (answer.status, answer.json["detail"]) == (404, "no sink 'archve' (did you mean 'archive'?)")
    assert api.steering.asked == []


@pytest.mark.parametrize(
    ("code", "status"),
    [("unknown", 404), ("conflict", 409), ("invalid", 422), ("refused", 403), ("unavailable", 503)],
)
async def test_what_is_refused_is_a_problem_with_the_daemons_words(code: Any, status: int, api: Any) -> None:
    api.steering.refusal = Refused(code, "the sink does not run")
    answer = await api.raw("POST", "/v1/sinks/archive/flush", Authorization="Bearer all")
    assert (answer.status, answer.json["detail"]) == (status, "the sink does not run")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_on_a_unix_socket_the_trail_names_the_socket(open_api: Any) -> None:
    async with open_api(unix=True) as api:
        await api.raw("POST", "/v1/sinks/archive/pause")
        who, origin = api.steering.asked[0][2]
        assert who.startswith("uid ")
        assert origin == "unix:api"
