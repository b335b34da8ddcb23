"""Dead letters over the API."""

from typing import Any

import pytest

from tickerd.plugin import Instrument, Position, Principal
from tickerd.state import deadletters
from tickerd.state.deadletters import Letter

INFY = Instrument("kite", 408065, "NSE", "INFY")


def letter(seq: int, sink: str = "archive", **more: Any) -> Letter:
    values = {"instrument": INFY, "payload": b'{"a":1}', **more}
    return Letter(sink=sink, position=Position(1, seq), reason=f"no {seq}", first_ns=1, last_ns=2, **values)


@pytest.fixture
async def kept(api: Any) -> Any:
    await api.desk.db.run(deadletters.add, [letter(seq) for seq in range(1, 6)])
    return api


async def test_sinks_are_told_in_figures(kept: Any) -> None:
    (item,) = (await kept.get("/v1/dead-letters")).json["items"]
    assert (item["sink"], item["letters"], item["redrives"]) == ("archive", 5, 0)


async def test_letters_are_listed_from_the_oldest_page_by_page(kept: Any) -> None:
    first = (await kept.get("/v1/dead-letters/archive?limit=3")).json
    assert [(one["id"], one["position"], one["reason"]) for one in first["items"]] == [
        (number, [1, number], f"no {number}") for number in (1, 2, 3)
    ]
    rest = (await kept.get(f"/v1/dead-letters/archive?limit=3&after={first['next']}")).json
    assert ([one["id"] for one in rest["items"]], rest["next"]) == ([4, 5], None)
    assert (await kept.get("/v1/dead-letters/archive?after=x")).status == 400


async def test_a_sink_that_never_was_is_a_404_and_one_without_letters_is_empty(api: Any) -> None:
    assert (await api.get("/v1/dead-letters/archive")).json == {"items": [], "next": None}
    answer = await api.get("/v1/dead-letters/archve")
    assert (answer.status, answer.json["detail"]) == (404, "no sink 'archve' (did you mean 'archive'?)")


async def test_letters_of_a_sink_that_is_gone_can_be_seen_and_dropped(api: Any) -> None:
    await api.desk.db.run(deadletters.add, [letter(1, "old")])
    assert len((await api.get("/v1/dead-letters/old")).json["items"]) == 1
    assert (await api.post("/v1/dead-letters/old/redrive", {"all": True})).status == 404
    assert (await api.post("/v1/dead-letters/old/drop", {"all": True})).json == {"sink": "old", "dropped": 1}
    assert (await api.get("/v1/dead-letters/old")).json["items"] == []


async def test_one_is_shown_whole_with_its_record(kept: Any) -> None:
    whole = (await kept.get("/v1/dead-letters/archive/3")).json
    assert (whole["id"], whole["payload"], whole["symbol"]) == (3, {"a": 1}, "NSE:INFY")
    assert (await kept.get("/v1/dead-letters/archive/99")).json["detail"] == "'archive' has no dead letter 99"
    assert (await kept.get("/v1/dead-letters/other/3")).status == 404
    for bad in ("x", "-1", "1e3", "9" * 40):
        assert (await kept.get(f"/v1/dead-letters/archive/{bad}")).status == 400


@pytest.mark.parametrize(
    ("payload", "form", "shown"),
    [
        (None, "json", None),
        (b"\xff", "json", "ff"),
        (b"\x81\xa1a\x01", "msgpack", {"a": 1}),
        (b"a", "x", "61"),
    ],
)
async def test_a_record_is_decoded_or_shown_in_hex(payload: bytes, form: str, shown: Any, api: Any) -> None:
    odd = letter(1, payload=payload, payload_form=form, instrument=None, response=b"\xff\x1b[31m")
    await api.desk.db.run(deadletters.add, [odd])
    whole = (await api.get("/v1/dead-letters/archive/1")).json
    assert (whole["payload"], whole["response"], whole["instrument"]) == (shown, "\\xff\x1b[31m", None)


async def test_a_record_of_an_instrument_that_the_key_may_not_see_is_not_shown(kept: Any) -> None:
    kept.access.keys["bse"] = Principal(id="key bse", scopes=frozenset({"history:read", "ticks:read:BSE"}))
    assert (await kept.get("/v1/dead-letters/archive/3", key="bse")).status == 403


async def test_a_control_record_is_not_shown_to_a_key_for_some_exchanges(api: Any) -> None:
    api.access.keys["bse"] = Principal(id="key bse", scopes=frozenset({"history:read", "ticks:read:BSE"}))
    await api.desk.db.run(deadletters.add, [letter(1, kind="order", instrument=None)])
    answer = await api.get("/v1/dead-letters/archive/1", key="bse")
    assert (answer.status, answer.json["detail"]) == (403, "this key may not see 'order'")
    assert (await api.get("/v1/dead-letters/archive/1")).status == 200


async def test_letters_are_marked_to_be_offered_again_once(kept: Any) -> None:
    body = {"letters": [{"first": 2, "last": 3}, {"first": 3, "last": 4}]}
    answer = await kept.post("/v1/dead-letters/archive/redrive", body)
    assert answer.json == {"sink": "archive", "marked": 3, "waiting": 3}
    again = await kept.post("/v1/dead-letters/archive/redrive", body)
    assert (again.status, again.json["detail"]) == (
        404,
        "'archive' has no such dead letter that is not waiting already",
    )
    (entry,) = (await kept.get("/v1/audit")).json["items"]
    assert (entry["what"], entry["who"]) == ("dlq.redrive", "key all")
    assert entry["after"] == {"sink": "archive", "ids": [[2, 3], [3, 4]], "letters": 3} or entry["after"] == {
        "sink": "archive",
        "ids": [[2, 4]],
        "letters": 3,
    }


async def test_letters_are_dropped_and_the_trail_says_by_whom(kept: Any) -> None:
    one = await kept.post("/v1/dead-letters/archive/drop", {"letters": [{"first": 5, "last": 5}]})
    assert one.json == {"sink": "archive", "dropped": 1}
    assert (await kept.post("/v1/dead-letters/archive/drop", {"all": True})).json["dropped"] == 4
    assert (await kept.post("/v1/dead-letters/archive/drop", {"all": True})).status == 404
    entries = (await kept.get("/v1/audit")).json["items"]
    assert [(one["what"], one["after"]["ids"]) for one in entries] == [
        ("dlq.drop", "all"),
        ("dlq.drop", [[5, 5]]),
    ]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"all": False},
        {"all": True, "letters": [{"first": 1, "last": 2}]},
        {"letters": []},
        {"letters": [{"first": 0, "last": 2}]},
        {"letters": [{"first": 1, "last": 2**63}]},
        {"letters": [{"first": 1}]},
        {"letters": ["1-2"]},
        {"letters": [{"first": 1, "last": 1}] * 1001},
    ],
)
async def test_it_has_to_be_said_which_letters(body: dict[str, Any], kept: Any) -> None:
    for verb in ("redrive", "drop"):
        assert (await kept.post(f"/v1/dead-letters/archive/{verb}", body)).status == 400
    assert len((await kept.get("/v1/dead-letters/archive")).json["items"]) == 5


async def test_a_range_that_is_the_wrong_way_round_has_no_letters(kept: Any) -> None:
    body = {"letters": [{"first": 4, "last": 2}]}
    assert (await kept.post("/v1/dead-letters/archive/drop", body)).status == 404
