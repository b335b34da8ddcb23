"""The audit trail over the API."""

from typing import Any

from tickerd.state import audit


def change(number: int) -> audit.Change:
    return audit.Change(
        when_ns=number,
        who="uid unmapped",
        what="sinks.pause",
        origin="unix:/x",
        before=None,
        after={"n": number},
    )


async def test_it_is_listed_from_the_newest_back_page_by_page(api: Any) -> None:
    for number in range(5):
        await api.desk.db.run(audit.append, change(number))
    first = (await api.get("/v1/audit?limit=3")).json
    assert [one["after"]["n"] for one in first["items"]] == [4, 3, 2]
    assert first["items"][0]["who"] == "uid unmapped"
    rest = (await api.get(f"/v1/audit?limit=3&after={first['next']}")).json
    assert ([one["after"]["n"] for one in rest["items"]], rest["next"]) == ([1, 0], None)


async def test_a_page_begins_where_the_one_before_said(api: Any) -> None:
    for bad in ("x", "-1", "1.5", "9" * 30, "%00", "9" * 19):
        assert (await api.get(f"/v1/audit?after={bad}")).status == 400
