"""The replay source as the host runs it, and the way round: file sink, replay, the same rows."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from pydantic import ValidationError
from trio.testing import MockClock

from tickerd.plugin import Batch, Gap, Instrument, Row
from tickerd.testing import FakeContext, check_plugin, check_source
from tickerd.testing.fakes import stamped
from tickerd.wire.rows import CSV_HEADER, csv_lines
from tickerd_plugins import replay
from tickerd_plugins.file import FileSink
from tickerd_plugins.replay import ReplaySource

START = 1_735_799_400 * 10**9
SECOND = 10**9
DATA = Row.__struct_fields__[: Row.__struct_fields__.index("source")]


def data(rows: Any) -> Any:
    """The columns that a replay keeps, whatever the kind of their sequences."""
    return [
        msgspec.json.decode(msgspec.json.encode({name: getattr(row, name) for name in DATA})) for row in rows
    ]


def rows_of(context: FakeContext) -> list[Row]:
    return [tick.row for batch in context.published for tick in batch.ticks]


@pytest.fixture
async def context(tmp_path: Path) -> FakeContext:
    return FakeContext(tmp_path, "recorded")


@asynccontextmanager
async def playing(context: FakeContext, *paths: object, **options: Any) -> AsyncIterator[None]:
    source = ReplaySource(ReplaySource.Options(paths=[str(path) for path in paths], **options))
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: source.run(context, task_status=task_status))
        yield
        nursery.cancel_scope.cancel()


async def played(context: FakeContext, *paths: object, **options: Any) -> None:
    async with playing(context, *paths, **{"speed": "max"} | options):
        with trio.fail_after(20):
            await context.until(lambda: context.reports and context.reports[-1][0] == "finished")


@pytest.mark.parametrize(
    "name", ["{date}/{exchange}.jsonl", "{date}/{exchange}.csv", "{symbol}.jsonl.zst", "all.csv.gz"]
)
async def test_what_the_file_sink_wrote_comes_back(
    tmp_path: Path, context: FakeContext, make_row: Any, name: str
) -> None:
    table = {
        n: Instrument("kite", n, exchange, "INFY")
        for n, exchange in enumerate(("NSE", "BSE", "NFO"), start=1)
    }
    original: list[Any] = []
    async with FileSink(FileSink.Options(path=f"{tmp_path}/ticks/{name}"), FakeContext(tmp_path)) as sink:
        for n in range(20):
            rows = [make_row(n * 10 + k, token=1 + k % 3, symbol=None, ts=START + n) for k in range(10)]
            rows[0].ohlc = rows[1].depth = rows[2].last_price = rows[3].last_trade_time = None
            gap = Gap(reason="test", ts_recv=START + n, lost=n)
            batch = stamped(
                Batch.of(rows, connection=2, ts_recv=START + n), n * 11 + 1, instruments=table, source="kite"
            )
            batch.records = [gap]
            gap.epoch, gap.seq = 1, n * 11 + 11
            await sink.write(batch)
            original += [tick.row for tick in batch.ticks]
    await played(context, tmp_path / "ticks/**/*")
    back = rows_of(context)
    assert data(back) == data(original)
    assert [(row.ts_recv, row.source, row.connection) for row in back] == [
        (row.ts_recv, row.source, row.connection) for row in original
    ]
    assert [row.seq for row in back] == [n for n in range(1, 221) if n % 11]
    assert [record.lost for batch in context.published for record in batch.records] == list(range(20))  # type: ignore[union-attr]
    assert {i.symbol for i in context.instruments.table.values()} == {"NSE:INFY", "BSE:INFY", "NFO:INFY"}
    assert {i.namespace for i in context.instruments.table.values()} == {"recorded"}
    assert context.reports[-1] == (
        "finished",
        "",
        {"rows": 200, "records": 20, "files": context.reports[-1][2]["files"]},
    )


async def test_reads_are_published_as_they_came(context: FakeContext, record: Any, make_row: Any) -> None:
    path = record("a.jsonl", [make_row(n, ts=START + n // 4) for n in range(10)])
    await played(context, path)
    assert [(len(batch), batch.origin.ts_recv, batch.origin.connection) for batch in context.published] == [  # type: ignore[union-attr]
        (4, START, 2), (4, START + 1, 2), (2, START + 2, 2),
    ]  # fmt: skip


async def test_stamps_can_be_new(context: FakeContext, record: Any, make_row: Any) -> None:
    path = record("a.jsonl", [make_row(1), Gap(reason="x", source="kite", epoch=1, seq=2)])
    now = context.clock.now_ns()
    await played(context, path, stamps="now")
    (row,) = rows_of(context)
    assert (row.source, row.connection) == ("recorded", None)
    assert row.ts_recv >= now
    (gap,) = context.published[1].records
    assert gap.source == "recorded"
    assert gap.ts_recv >= now


async def test_control_records_can_be_left_out(context: FakeContext, record: Any, make_row: Any) -> None:
    await played(context, record("a.jsonl", [make_row(1), Gap(reason="x")]), records=False)
    assert [len(batch.ticks) for batch in context.published] == [1]


class TestPace:
    """With virtual time; the threshold leaves the reading thread its time."""

    @pytest.fixture
    def mock_clock(self) -> MockClock:
        return MockClock(autojump_threshold=0.05)

    @pytest.mark.parametrize(("speed", "seconds"), [(1, 40), (10, 4), ("max", 0)])
    async def test_the_pace_is_as_asked_for(
        self, mock_clock: MockClock, tmp_path: Path, record: Any, make_row: Any, speed: Any, seconds: float
    ) -> None:
        context = FakeContext(tmp_path)
        path = record("a.jsonl", [make_row(n) for n in (0, 10, 40)])
        async with playing(context, path, speed=speed):
            await context.until(lambda: context.seq >= 1)
            began = trio.current_time()
            await context.until(lambda: context.seq >= 3)
            assert trio.current_time() - began == pytest.approx(seconds, abs=0.3)

    async def test_pauses_can_be_shortened(
        self, mock_clock: MockClock, tmp_path: Path, record: Any, make_row: Any
    ) -> None:
        context = FakeContext(tmp_path)
        path = record("a.jsonl", [make_row(n) for n in (0, 5, 80_000)])
        async with playing(context, path, max_pause="7s"):
            await context.until(lambda: context.seq >= 1)
            began = trio.current_time()
            await context.until(lambda: context.seq >= 3)
            assert trio.current_time() - began == pytest.approx(12, abs=0.3)
        assert [report[0] for report in context.reports].count("playing") >= 1


async def test_flat_out_leaves_the_others_their_turns(
    context: FakeContext, record: Any, make_row: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = 0
    rows_in_turn: Counter[int] = Counter()
    publish = context.publish

    async def others() -> None:
        nonlocal turn
        while True:
            turn += 1
            await trio.lowlevel.checkpoint()

    def counting(batch: Batch) -> None:
        rows_in_turn[turn] += len(batch)
        publish(batch)

    monkeypatch.setattr(context, "publish", counting)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(others)
        await played(context, record("a.jsonl", [make_row(n) for n in range(3000)]))
        nursery.cancel_scope.cancel()
    assert rows_in_turn.total() == 3000
    # twice the measure, since two of its turns may follow each other, and never a whole block
    assert max(rows_in_turn.values()) <= 1000


async def test_it_can_go_on_for_ever(context: FakeContext, record: Any, make_row: Any) -> None:
    path = record("a.jsonl", [make_row(n) for n in range(3)])
    async with playing(context, path, speed="max", loop=True):
        with trio.fail_after(10):
            await context.until(lambda: context.seq >= 30)
    assert [row.volume_traded for row in rows_of(context)][:7] == [0, 1, 2, 0, 1, 2, 0]
    assert "finished" not in {state for state, _, _ in context.reports}


async def test_a_loop_over_nothing_ends(context: FakeContext, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_bytes(b"")
    await played(context, tmp_path / "empty.jsonl", loop=True)
    assert not context.published


async def test_no_file_at_all_is_told(context: FakeContext, tmp_path: Path) -> None:
    await played(context, tmp_path / "nothing/*")
    assert context.reports[-1][1] == "no file matches any of paths"


async def test_only_what_is_wanted_is_played(context: FakeContext, record: Any, make_row: Any) -> None:
    infy = Instrument("recorded", 1, "NSE", "INFY")
    context.demand.want({infy: "full"})
    path = record("a.jsonl", [make_row(n, token=1 + n % 2, symbol=f"NSE:{n % 2}") for n in range(10)])
    await played(context, path)
    assert {row.instrument_token for row in rows_of(context)} == {1}
    assert context.counts["rows"] == 5


async def test_demand_may_change_meanwhile(context: FakeContext, record: Any, make_row: Any) -> None:
    one, two = (Instrument("recorded", n, "NSE", str(n)) for n in (1, 2))
    context.demand.want({one: "full"})
    path = record("a.jsonl", [make_row(n, token=1 + n % 2, symbol=f"NSE:{n % 2}") for n in range(4)])
    async with playing(context, path, speed="max", loop=True):
        with trio.fail_after(10):
            await context.until(lambda: context.seq >= 5)
            context.demand.want({one: None, two: "full"})
            await context.until(lambda: context.published[-1].ticks[0].instrument_token == 2)
            seen = len(context.published)
            await context.until(lambda: len(context.published) > seen + 5)
    assert {tick.instrument_token for batch in context.published[seen:] for tick in batch.ticks} == {2}


async def test_instruments_that_come_late_are_loaded_when_they_come(
    context: FakeContext, record: Any, make_row: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tickerd_plugins.replay.source._SURVEY", 0)
    rows = [make_row(n) for n in range(50)]
    rows += [
        make_row(50, token=7, symbol="MCX:GOLD"),
        make_row(51, token=8, symbol="odd"),
        make_row(52, token=9, symbol=None),
    ]
    await played(context, record("a.jsonl", rows))
    assert [i.symbol for i in context.instruments.table.values()] == ["NSE:INFY", "MCX:GOLD"]
    assert [tick.symbol for batch in context.published for tick in batch.ticks][-3:] == [
        "MCX:GOLD",
        None,
        None,
    ]
    assert [row.symbol for row in rows_of(context)][-3:] == ["MCX:GOLD", "odd", None]


async def test_what_is_wrong_with_files_is_counted_once(
    context: FakeContext, tmp_path: Path, record: Any, make_row: Any
) -> None:
    record("b.jsonl", [make_row(2)])
    (tmp_path / "a.jsonl").write_bytes(b"{broken\n" + (tmp_path / "b.jsonl").read_bytes())
    (tmp_path / "c.jsonl").write_text("diary")
    await played(context, tmp_path / "*.jsonl")
    assert context.counts == {"rows": 2, "broken_lines": 1, "unreadable_files": 1}


async def test_a_number_that_no_tick_can_hold_is_a_broken_line(
    context: FakeContext, tmp_path: Path, make_row: Any
) -> None:
    good = csv_lines([make_row(1)])
    bad = good.replace(b",1735799400,", b"," + b"9" * 30 + b",")
    (tmp_path / "a.csv").write_bytes(CSV_HEADER + good + bad)
    (tmp_path / "b.csv").write_bytes(CSV_HEADER + bad)
    await played(context, tmp_path / "*.csv")
    assert context.counts == {"rows": 1, "broken_lines": 2}


async def test_it_behaves_as_every_source_must(tmp_path: Path, record: Any, make_row: Any) -> None:
    check_plugin(replay)
    assert replay.tickerd_sources() is ReplaySource
    path = record("a.jsonl.zst", [make_row(n) for n in range(2000)])
    options = ReplaySource.Options(paths=[str(path)], speed="max")
    await check_source(lambda: ReplaySource(options), lambda: FakeContext(tmp_path), items=1500)


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({}, "paths"),
        ({"paths": []}, "paths"),
        ({"paths": [""]}, "paths"),
        ({"paths": ["x"], "speed": 0}, "speed"),
        ({"paths": ["x"], "speed": "fast"}, "speed"),
        ({"paths": ["x"], "speed": float("inf")}, "speed"),
        ({"paths": ["x"], "max_pause": "0s"}, "max_pause"),
        ({"paths": ["x"], "other": 1}, "other"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, object], where: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ReplaySource.Options.model_validate(options)
    assert {error["loc"][0] for error in caught.value.errors()} == {where}
