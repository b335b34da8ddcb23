"""`tickerd webhooks`."""

import json
from typing import Any

from click.testing import CliRunner, Result

from tickerd.cli.webhooks import webhooks

SHOWN = {
    "name": "pager",
    "origin": "https://example.com",
    "registered": "runtime",
    "state": "running",
    "breaker": "closed",
    "events": ["gap", "status"],
    "dead_letters": 2,
}
MADE = {"webhook": SHOWN, "secret": "whsec_abc"}


def run(fake_api: Any, verb: str, *words: str) -> Result:
    return CliRunner().invoke(webhooks, [verb, "--socket", fake_api.socket, *words])


def test_all_are_listed(fake_api: Any) -> None:
    fake_api.answers["/v1/webhooks"] = (200, {"items": [SHOWN], "next": None})
    _, line = run(fake_api, "list").stdout.splitlines()
    assert line.split() == [
        "pager",
        "https://example.com",
        "runtime",
        "running",
        "closed",
        "gap",
        "status",
        "2",
    ]
    assert json.loads(run(fake_api, "list", "--json").stdout) == {"webhooks": [SHOWN]}
    fake_api.answers["/v1/webhooks"] = (200, {"items": [], "next": None})
    assert run(fake_api, "list").stdout == "there are no webhooks\n"


def test_one_is_registered_and_its_secret_printed_alone(fake_api: Any) -> None:
    fake_api.answers["/v1/webhooks"] = (201, MADE)
    done = run(fake_api, "register", "pager", "https://example.com/h", "--event", "gap")
    assert done.stdout == "whsec_abc\n"
    assert "only time" in done.stderr
    assert json.loads(fake_api.asked[0][3]) == {
        "name": "pager",
        "url": "https://example.com/h",
        "events": ["gap"],
        "instruments": None,
    }


def test_a_secret_is_replaced(fake_api: Any) -> None:
    fake_api.answers["/v1/webhooks/pager/rotate-secret"] = (200, MADE)
    assert json.loads(run(fake_api, "rotate-secret", "pager", "--json").stdout) == MADE
    run(fake_api, "rotate-secret", "pager", "--overlap", "0")
    assert [json.loads(one[3]) for one in fake_api.asked] == [{"overlap": "1 day"}, {"overlap": 0}]


def test_a_ping_tells_what_came_back_and_fails_when_it_was_not_taken(fake_api: Any) -> None:
    answer = {"ok": False, "status": None, "detail": "timed out", "took_s": 15.0}
    fake_api.answers["/v1/webhooks/pager/test"] = (200, answer)
    done = run(fake_api, "test", "pager")
    assert (done.exit_code, done.stdout) == (1, "pager did not take it: no answer, timed out (15.000 s)\n")
    fake_api.answers["/v1/webhooks/pager/test"] = (
        200,
        answer | {"ok": True, "status": 204, "detail": "fine"},
    )
    done = run(fake_api, "test", "pager")
    assert (done.exit_code, done.stdout) == (0, "pager took it: status 204, fine (15.000 s)\n")
    assert json.loads(run(fake_api, "test", "pager", "--json").stdout)["ok"] is True


def test_one_is_removed(fake_api: Any) -> None:
    fake_api.answers["/v1/webhooks/a%2Fb"] = (200, {"name": "a/b"})
    assert run(fake_api, "remove", "a/b").stdout == "a/b is removed\n"
    assert fake_api.asked[0][0] == "DELETE"
