"""Having the instrument dump downloaded again over the API."""

from typing import Any

import pytest

from tickerd.control.steering import Refused


@pytest.mark.parametrize(
    ("body", "source", "answered"), [({}, None, ["kite"]), ({"source": "sim"}, "sim", ["sim"])]
)
async def test_sources_are_asked_and_named(body: Any, source: Any, answered: Any, api: Any) -> None:
    answer = await api.post("/v1/instruments/refresh", body, key="all")
    assert (answer.status, answer.json) == (202, {"sources": answered})
    assert api.steering.asked == [("refresh_instruments", source, ("key all", "127.0.0.1"))]


async def test_a_source_that_cannot_is_a_problem_with_the_daemons_words(api: Any) -> None:
    api.steering.refusal = Refused(
        "unknown", "no source 'x' that runs and has an instrument dump; there is none"
    )
    answer = await api.post("/v1/instruments/refresh", {"source": "x"}, key="all")
    assert (answer.status, answer.json["detail"]) == (404, str(api.steering.refusal))


async def test_it_takes_the_scope_of_sources(api: Any) -> None:
    assert (await api.post("/v1/instruments/refresh", {}, key="nse")).status == 403
    assert (await api.post("/v1/instruments/refresh", {"sourc": "kite"}, key="all")).status == 400
