"""The sink on a real file."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tickerd.plugin import Batch, Instrument, Retry, Row
from tickerd.testing import FakeContext, check_sink, stamped, writing

from tickerd_example.sink import LatestOptions, LatestSink

TABLE = {1: Instrument("toy", 1, "TOY", "ACME"), 2: Instrument("toy", 2, "TOY", "GLOBEX")}


def batch(*rows: Row, seq: int = 1) -> Batch:
    return stamped(Batch.of(rows), seq, instruments=TABLE)


async def test_it_keeps_the_rules_of_every_sink(
    tmp_path: Path, tickerd_context: Callable[..., FakeContext]
) -> None:
    options = LatestOptions(path=tmp_path / "latest.json")
    await check_sink(lambda ctx: LatestSink(options, ctx), tickerd_context)


async def test_the_file_holds_the_newest_price_of_each_symbol(
    tmp_path: Path, tickerd_context: Callable[..., FakeContext]
) -> None:
    path, ctx = tmp_path / "latest.json", tickerd_context()
    async with writing(LatestSink(LatestOptions(path=path), ctx), ctx) as sink:
        await sink.write(batch(Row(1, last_price=1.0), Row(2, last_price=7.5), Row(1, last_price=2.0)))
        assert json.loads(path.read_bytes()) == {"TOY:ACME": 2.0, "TOY:GLOBEX": 7.5}
        (reject,) = await sink.write(batch(Row(1), Row(2, last_price=8.0), seq=4))
        assert json.loads(path.read_bytes()) == {"TOY:ACME": 2.0, "TOY:GLOBEX": 8.0}
        assert (reject.position.seq, reject.reason) == (4, "no symbol or no price")
    assert list(tmp_path.glob(".*")) == []


async def test_a_disk_that_fails_takes_nothing_and_is_tried_again(
    tmp_path: Path, tickerd_context: Callable[..., FakeContext]
) -> None:
    directory, ctx = tmp_path / "gone", tickerd_context()
    async with writing(LatestSink(LatestOptions(path=directory / "latest.json"), ctx), ctx) as sink:
        with pytest.raises(Retry, match="No such file or directory"):
            await sink.write(batch(Row(1, last_price=1.0)))
        directory.mkdir()
        assert await sink.write(batch(Row(1, last_price=1.0))) == []
        assert json.loads((directory / "latest.json").read_bytes()) == {"TOY:ACME": 1.0}
