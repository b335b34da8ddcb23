"""Which tick goes where."""

from typing import Any

from tickerd.plugin import Batch, Gap, Instrument, Row
from tickerd.testing.fakes import stamped
from tickerd_plugins.file.routes import Routes
from tickerd_plugins.file.template import parse

HOUR = 3600 * 10**9
NOON = 1_735_799_400 * 10**9


def routes(path: str) -> Routes:
    return Routes(parse(path), parse(path).control())


def where(route: Routes, *batches: Batch) -> dict[str, list[int]]:
    ticks = Batch.merged(batches).ticks
    return {name: [tick.instrument_token for tick in some] for name, some in route.ticks(ticks, NOON).items()}


def test_ticks_are_grouped_by_what_the_path_names(batches: Any) -> None:
    assert where(routes("{date}/{exchange}.csv"), batches(1, 2, 3, 1)) == {
        "2025-01-02/NSE": [1, 2, 1], "2025-01-02/BSE": [3],
    }  # fmt: skip
    assert where(routes("{exchange}/{symbol}-{date}.csv"), batches(2)) == {"NSE/NIFTY 50-2025-01-02": [2]}
    assert where(routes("{date}/{symbol}.csv"), batches(2)) == {"2025-01-02/NSE%3ANIFTY 50": [2]}


def test_a_path_without_instruments_takes_the_batch_as_it_is(batches: Any) -> None:
    ticks = batches(1, 2, 3).ticks
    assert routes("all.csv").ticks(ticks, NOON) == {"all.2025-01-02": ticks}
    assert routes("all.csv").ticks(ticks, NOON)["all.2025-01-02"] is ticks


def test_batches_of_two_days_are_parted(batches: Any) -> None:
    old, new, later = batches(1, 3, ts=NOON - 7 * HOUR), batches(1), batches(3, ts=NOON + 17 * HOUR)
    assert where(routes("{date}/{exchange}.csv"), old, new, later) == {
        "2025-01-01/NSE": [1], "2025-01-01/BSE": [3], "2025-01-02/NSE": [1], "2025-01-02/BSE": [3],
    }  # fmt: skip
    assert where(routes("{date}.csv"), old, new) == {"2025-01-01": [1, 3], "2025-01-02": [1]}


def test_what_has_no_time_came_now(batches: Any) -> None:
    assert where(routes("{date}.csv"), batches(1, ts=0)) == {"2025-01-02": [1]}
    records = routes("{date}.csv").records([Gap(reason="x"), Gap(reason="y", ts_recv=NOON - 24 * HOUR)], NOON)
    assert sorted(records) == ["2025-01-01.control", "2025-01-02.control"]


def test_a_token_that_changed_its_meaning_goes_elsewhere(batches: Any) -> None:
    route = routes("{date}/{exchange}.csv")
    assert list(where(route, batches(1))) == ["2025-01-02/NSE"]
    other = {1: Instrument("other", 1, "MCX", "GOLD")}
    assert list(where(route, batches(1, instruments=other))) == ["2025-01-02/MCX"]
    assert list(where(route, batches(1))) == ["2025-01-02/NSE"]


def test_unlisted_instruments_go_by_the_symbol_of_the_row_or_by_token() -> None:
    batch = stamped(Batch.of([Row(7, "MCX:GOLD"), Row(8)], ts_recv=NOON))
    assert where(routes("{exchange}/{symbol}.csv"), batch) == {
        "MCX/GOLD.2025-01-02": [7], "_unknown/_8.2025-01-02": [8],
    }  # fmt: skip


def test_few_days_are_remembered(batches: Any) -> None:
    route = routes("{date}/{exchange}.csv")
    for day in range(10):
        where(route, batches(1, ts=NOON + day * 24 * HOUR))
    assert len(route._names) == 3
