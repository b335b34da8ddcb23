"""`tickerd subs`."""

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tickerd.cli.subs import subs

WANTED = {
    "items": [
        {"instrument": "NSE:INFY", "source": "kite", "mode": "full", "owners": ["yaml", "uid 0"]},
        {"instrument": "NSE:A", "source": "demo", "mode": "ltp", "owners": ["yaml"]},
    ],
    "next": None,
}
CHANGED = {
    "owner": "uid 0",
    "accepted": [{"instrument": "NSE:INFY", "source": "kite", "mode": "full", "left_out": 0}],
    "rejected": [],
}
REJECTED = {
    "item": "NSE:INFI",
    "code": "unknown_symbol",
    "detail": "no such instrument",
    "suggestion": "NSE:INFY",
}


def run(fake_api: Any, verb: str, *words: str) -> Result:
    return CliRunner().invoke(subs, [verb, "--socket", fake_api.socket, *words])


def bodies(fake_api: Any) -> list[Any]:
    return [json.loads(one[3]) for one in fake_api.asked]


def test_all_that_is_wanted_is_listed_with_who_wants_it(fake_api: Any) -> None:
    fake_api.answers["/v1/subscriptions"] = (200, WANTED)
    assert [line.split() for line in run(fake_api, "list").stdout.splitlines()] == [
        ["instrument", "source", "mode", "wanted", "by"],
        ["NSE:INFY", "kite", "full", "yaml,", "uid", "0"],
        ["NSE:A", "demo", "ltp", "yaml"],
    ]
    listed = json.loads(run(fake_api, "list", "--source", "demo", "--json").stdout)
    assert [one["instrument"] for one in listed["subscriptions"]] == ["NSE:A"]
    fake_api.answers["/v1/subscriptions"] = (200, {"items": [], "next": None})
    assert run(fake_api, "list").stdout == "nothing is wanted\n"


def test_instruments_are_added(fake_api: Any) -> None:
    fake_api.answers["/v1/subscriptions"] = (200, CHANGED)
    done = run(fake_api, "add", "NSE:INFY", "--mode", "quote", "--source", "kite", "NSE:INFY")
    assert (done.exit_code, done.stdout) == (0, "NSE:INFY: full (kite)\n")
    assert bodies(fake_api) == [
        {"mode": "quote", "source": "kite", "owner": None, "instruments": ["NSE:INFY"]}
    ]


def test_what_was_not_accepted_is_told_and_is_a_failure(fake_api: Any) -> None:
    fake_api.answers["/v1/subscriptions"] = (200, CHANGED | {"rejected": [REJECTED]})
    done = run(fake_api, "add", "NSE:INFY", "NSE:INFI")
    assert (done.exit_code, done.stderr) == (1, "NSE:INFI: no such instrument (did you mean 'NSE:INFY'?)\n")
    done = run(fake_api, "add", "NSE:INFY", "NSE:INFI", "--json")
    assert (done.exit_code, json.loads(done.stdout)["rejected"]) == (1, [REJECTED])


def test_what_waits_and_what_has_no_room_is_told(fake_api: Any) -> None:
    one = {"instrument": "NFO:*", "source": None, "mode": "ltp", "left_out": 1200}
    fake_api.answers["/v1/subscriptions"] = (200, CHANGED | {"accepted": [one]})
    said = "NFO:*: ltp (waits for the day's instruments, no room for 1,200 of them)\n"
    assert run(fake_api, "add", "NFO:*").stdout == said


def test_many_are_sent_in_parts(fake_api: Any) -> None:
    fake_api.answers["/v1/subscriptions"] = (200, CHANGED)
    run(fake_api, "add", *map(str, range(4000)))
    assert [len(body["instruments"]) for body in bodies(fake_api)] == [3000, 1000]


def test_instruments_are_removed(fake_api: Any) -> None:
    gone = {"instrument": "NSE:INFY", "source": None, "mode": None, "left_out": 0}
    fake_api.answers["/v1/subscriptions/remove"] = (200, CHANGED | {"accepted": [gone]})
    assert run(fake_api, "remove", "NSE:INFY").stdout == "NSE:INFY: no longer wanted in that name\n"
    assert run(fake_api, "remove", "--all", "--owner", "uid 7").exit_code == 0
    assert [body.get("all") for body in bodies(fake_api)] == [None, True]
    assert bodies(fake_api)[1]["owner"] == "uid 7"


@pytest.mark.parametrize("words", [[], ["NSE:INFY", "--all"]])
def test_it_has_to_be_said_what_to_remove(fake_api: Any, words: list[str]) -> None:
    assert run(fake_api, "remove", *words).exit_code == 2
    assert fake_api.asked == []
