"""Dead letters of a running daemon; those of a state directory are tried with the command."""

import json
from typing import Any

import click
import pytest
from click.testing import CliRunner

from tickerd.cli.client import ApiError, Client
from tickerd.cli.dlq import dlq
from tickerd.cli.letterbox import DaemonLetters, Letterbox, letterbox

TOTAL = {"sink": "archive", "letters": 3, "bytes": 600, "removed": 0, "redrives": 1, "newest": 9}
LINE = {
    "id": 7,
    "position": [1, 5],
    "kind": "tick",
    "symbol": "NSE:INFY",
    "reason": "no",
    "attempts": 1,
    "first_ns": 1,
    "last_ns": 2,
    "size": 200,
    "redrive_requested_ns": None,
}


@pytest.fixture
def box(fake_api: Any) -> Letterbox:
    fake_api.answers["/v1/dead-letters"] = (200, {"items": [TOTAL], "next": None})
    return letterbox(Client(f"unix:{fake_api.socket}"))


def run(fake_api: Any, *words: str, **how: Any) -> Any:
    return CliRunner().invoke(dlq, [*words, "--socket", fake_api.socket], **how)


def test_figures_and_lines_are_as_those_of_the_file(box: Letterbox, fake_api: Any) -> None:
    assert isinstance(box, DaemonLetters)
    fake_api.answers["/v1/dead-letters/archive"] = (200, {"items": [dict(LINE)], "next": None})
    (total,) = box.totals()
    assert (total.sink, total.letters, total.redrives) == ("archive", 3, 1)
    (line,) = box.page("archive", 6, 10)
    assert (line.id, line.epoch, line.seq) == (7, 1, 5)
    assert fake_api.asked[-1][1] == "/v1/dead-letters/archive?after=6&limit=10"
    assert run(fake_api, "ls", "archive").stdout.splitlines()[1].split()[:3] == ["7", "1:5", "NSE:INFY"]


def test_one_is_shown_whole(box: Letterbox, fake_api: Any) -> None:
    whole = LINE | {
        "sink": "archive",
        "payload": {"a": 1},
        "response": "",
        "message_id": None,
        "instrument": None,
    }
    fake_api.answers["/v1/dead-letters/archive/7"] = (200, whole)
    assert '"a": 1' in run(fake_api, "show", "archive", "7").stdout
    fake_api.answers["/v1/dead-letters/archive/8"] = (404, {"type": "t", "title": "x", "status": 404})
    assert box.whole("archive", 8) is None
    fake_api.answers["/v1/dead-letters/archive/9"] = (403, {"type": "t", "title": "x", "status": 403})
    with pytest.raises(ApiError):
        box.whole("archive", 9)


def test_letters_are_offered_again(box: Letterbox, fake_api: Any) -> None:
    fake_api.answers["/v1/dead-letters/archive/redrive"] = (
        200,
        {"sink": "archive", "marked": 2, "waiting": 3},
    )
    done = run(fake_api, "redrive", "archive", "5", "7-9")
    assert done.stdout.startswith("2 dead letters of 'archive' will be offered again")
    assert json.loads(fake_api.asked[-1][3]) == {
        "letters": [{"first": 5, "last": 5}, {"first": 7, "last": 9}]
    }
    box.redrive("archive", None)
    assert json.loads(fake_api.asked[-1][3]) == {"all": True}


def test_all_that_there_are_now_are_dropped_and_none_that_comes_meanwhile(
    box: Letterbox, fake_api: Any
) -> None:
    fake_api.answers["/v1/dead-letters/archive/drop"] = (200, {"sink": "archive", "dropped": 3})
    done = run(fake_api, "drop", "archive", "--all", input="y\n")
    assert "delete 3 dead letters of 'archive' for good?" in done.stderr
    assert json.loads(fake_api.asked[-1][3]) == {"letters": [{"first": 1, "last": 9}]}
    done = run(fake_api, "drop", "archive", "5", input="y\n")
    assert "delete these dead letters of 'archive' for good?" in done.stderr
    assert run(fake_api, "drop", "other", "--all", "--yes").exit_code == 1


def test_too_many_ranges_are_a_mistake_of_the_command_line(box: Letterbox) -> None:
    with pytest.raises(click.UsageError, match="1000 ranges at a time"):
        box.drop("archive", [(number, number) for number in range(1, 3002, 2)])
