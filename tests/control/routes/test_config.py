"""Checking a configuration and going over to it, over the API."""

from dataclasses import replace
from typing import Any

import pytest
import trio

from tickerd.config.problem import Problem as ConfigProblem
from tickerd.control.steering import Examined, Reloaded
from tickerd.runtime.verdict import refused

WRONG = (
    ConfigProblem("t.yaml", 3, 5, "sinks.a", "unknown plugin 'fil'", "did you mean 'file'?", "  a: …", 2),
    ConfigProblem("t.yaml", 9, 1, "sources", "is empty"),
)
VALIDATE = {"Content_Type": "application/yaml", "Authorization": "Bearer all"}


async def test_a_document_is_handed_on_as_it_came_and_its_plan_is_shown(api: Any) -> None:
    answer = await api.raw("POST", "/v1/config/validate", b"sources: {}\n\xff", **VALIDATE)
    assert api.steering.asked == [("validate", b"sources: {}\n\xff")]
    assert (answer.status, answer.json["ok"], answer.json["plan"]["changes"]) == (200, True, False)
    assert ("reads", "key all") in api.access.hits


async def test_mistakes_of_a_document_are_what_was_asked_for(api: Any) -> None:
    api.steering.examined = Examined(problems=WRONG)
    answer = await api.raw("POST", "/v1/config/validate", b"x", **VALIDATE)
    assert (answer.status, answer.json["ok"], answer.json["plan"]) == (200, False, None)
    first = answer.json["problems"][0]
    assert (first["line"], first["path"], first["hint"]) == (3, "sinks.a", "did you mean 'file'?")


@pytest.mark.parametrize(
    "kind", ["application/json", "multipart/form-data", "application/x-www-form-urlencoded"]
)
async def test_only_yaml_is_checked(kind: str, api: Any) -> None:
    answer = await api.raw("POST", "/v1/config/validate", b"a=1", **VALIDATE | {"Content_Type": kind})
    assert (answer.status, answer.json["detail"].partition(" or ")[0]) == (
        415,
        "send the body as application/yaml",
    )


async def test_a_document_that_is_too_long_is_refused(api: Any) -> None:
    assert (await api.raw("POST", "/v1/config/validate", b" " * (2**20 + 1), **VALIDATE)).status == 413


async def test_a_reload_answers_with_its_verdict(api: Any) -> None:
    answer = await api.raw("POST", "/v1/reload", Authorization="Bearer all")
    assert answer.status == 200
    assert (answer.json["applied"], answer.json["generation"], answer.json["kept"]) == (
        True,
        2,
        ["sink.archive"],
    )
    assert answer.json["verdict"] == "kept 1 unit"
    assert api.steering.asked == [("reload", ("key all", "127.0.0.1"), False)]


async def test_a_dry_run_does_nothing_and_says_so(api: Any) -> None:
    api.steering.reloaded = Reloaded(plan={"changes": True}, generation=4)
    answer = await api.raw("POST", "/v1/reload?dry_run=true", Authorization="Bearer all")
    assert (answer.json["dry_run"], answer.json["applied"], answer.json["generation"]) == (True, False, 4)
    assert answer.json["plan"] == {"changes": True}
    assert api.steering.asked[0][2] is True


async def test_a_file_that_is_wrong_is_a_problem_with_every_place(api: Any) -> None:
    api.steering.reloaded = Reloaded(problems=WRONG)
    answer = await api.raw("POST", "/v1/reload", Authorization="Bearer all")
    assert (answer.status, answer.json["type"]) == (422, "urn:tickerd:problem:config-invalid")
    said = "t.yaml:3:5: sinks.a: unknown plugin 'fil' (did you mean 'file'?), and 1 more"
    assert answer.json["detail"] == said
    assert answer.json["errors"][1] == {"at": "t.yaml:9:1", "problem": "sources: is empty"}
    assert answer.json["problems"][0]["caret"] == 2


async def test_a_reload_that_was_taken_back_is_a_conflict_with_the_verdict(api: Any) -> None:
    verdict = refused(1, "sink.archive does not come up: disk full")
    api.steering.reloaded = replace(api.steering.reloaded, verdict=verdict)
    answer = await api.raw("POST", "/v1/reload", Authorization="Bearer all")
    assert (answer.status, answer.json["type"]) == (409, "urn:tickerd:problem:reload-failed")
    assert answer.json["detail"] == verdict.text()
    assert answer.json["verdict"]["generation"] == 1


async def test_a_reload_goes_on_when_its_caller_leaves(api: Any) -> None:
    api.steering.wait = trio.Event()
    async with await api.running.connect() as stream:
        await stream.send_all(
            b"POST /v1/reload HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer all\r\n\r\n"
        )
        with trio.fail_after(2):
            while not api.steering.asked:
                await trio.sleep(0.001)
    assert api.application._changes._under_way == 1
    api.steering.wait.set()
    with trio.fail_after(2):
        while api.application._changes._under_way:
            await trio.sleep(0.001)
