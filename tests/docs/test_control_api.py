"""docs/control-api.md says what the code says."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from tickerd.cli import client
from tickerd.control import replies
from tickerd.control.broadcast import KEPT
from tickerd.control.problem import TITLES, Problem
from tickerd.control.route import LONGEST_PAGE, PAGE
from tickerd.control.routes import ROUTES, sinks, tap
from tickerd.control.steering import Rejected
from tickerd.control.tickets import LIFE_S
from tickerd.daemon import steering, subscriptions


@pytest.fixture(scope="module")
def page(checkout: Path) -> str:
    return (checkout / "docs" / "control-api.md").read_text(encoding="utf-8")


def test_every_route_is_listed_with_its_scope_and_class(page: str) -> None:
    listed = re.findall(
        r"^\| `((?:GET|POST|PUT|PATCH|DELETE) /[^`]*)` \| (.*) \| `(\w+)` \| (.*) \|$", page, re.MULTILINE
    )
    assert listed == [
        (
            f"{route.method} {route.path}",
            f"`{route.scope}`" if route.scope else "none",
            route.rate,
            route.summary,
        )
        for route in ROUTES
    ]


def test_every_code_of_a_rejected_subscription_is_listed(page: str) -> None:
    for code in get_args(Rejected.__dataclass_fields__["code"].type):
        assert re.search(rf"^\|.*`{code}`.* \|", page, re.MULTILINE), code


def test_the_problem_that_is_shown_is_one(page: str) -> None:
    (shown,) = (
        json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL) if "urn:" in block
    )
    problem = Problem(403, "this needs the scope 'sinks:write'", code="scope-missing")
    assert shown == json.loads(problem.json("9f86d081884c7d65"))


def test_every_status_that_is_listed_is_known(page: str) -> None:
    statuses = [int(text) for text in re.findall(r"^\| (\d{3}) \|", page, re.MULTILINE)]
    assert set(statuses) <= TITLES.keys()
    assert {status for route in ROUTES for status in route.statuses} <= {*statuses}


@pytest.mark.parametrize(
    "text",
    [
        f"`limit` is {PAGE} and at most {LONGEST_PAGE:,}",
        f"The last {replies.MOST:,} answers are kept",
        f"{subscriptions.MOST:,} are wanted in that name already",
        f"is a 503 after {steering.FLUSH_S:g} s",
        f"among the last {KEPT:,}",
        f"{tap.MOST_PER_S:,} lines a second each",
        f"once, within\n{LIFE_S:g} s",
        f"They ask the daemon at `{client.SOCKET}`",
    ],
)
def test_numbers_are_the_real_ones(page: str, text: str) -> None:
    assert text in page


def test_the_daemon_gives_up_a_flush_before_the_route_does() -> None:
    assert steering.FLUSH_S < sinks.FLUSH_S


def test_a_day_is_a_day() -> None:
    assert replies.LIFE_S == 86_400


def test_every_option_that_says_where_is_listed(page: str) -> None:
    command: Any = client.options(lambda: None)
    for option in command.__click_params__:
        (name,) = (name for name in option.opts if name in ("--socket", "--url", "--key", "-c"))
        assert f"`{name}" in page
        assert option.envvar is None or f"`{option.envvar}`" in page
