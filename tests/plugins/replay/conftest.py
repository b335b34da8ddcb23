"""Recordings: rows written to files as the file sink writes them."""

import gzip
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tickerd.plugin import OHLC, AnyRecord, Depth, Level, Row
from tickerd.wire.compression import zstd
from tickerd.wire.rows import CSV_HEADER, csv_lines, json_line

START = 1_735_799_400 * 10**9
SECOND = 10**9


def make_row(
    seq: int, token: int = 1, symbol: str | None = "NSE:INFY", ts: int | None = None, epoch: int = 1
) -> Row:
    return Row(
        token, symbol, last_price=100 + seq / 20, volume_traded=seq, ohlc=OHLC(1.0, 2.0, 0.5, 1.5),
        change=0.1 * seq, exchange_timestamp=START // SECOND,
        depth=Depth([Level(seq, 99.95, 2)] * 5, [Level(3, 100.1, 4)] * 5), source="kite", connection=2,
        ts_recv=START + seq * SECOND if ts is None else ts, epoch=epoch, seq=seq, flags=("snapshot",),
    )  # fmt: skip


Record = Callable[..., Path]


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """``record(name, items)`` writes a recording in the format and compression that its name says."""

    def write(name: str, items: Sequence[Row | AnyRecord]) -> Path:
        text = b"".join(map(json_line, items))
        if ".csv" in name:
            text = CSV_HEADER + csv_lines(items)  # type: ignore[arg-type]
        if name.endswith(".gz"):
            text = gzip.compress(text)
        elif name.endswith(".zst"):
            text = zstd.compress(text)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
        return path

    return write


@pytest.fixture(name="make_row")
def _make_row() -> Callable[..., Row]:
    return make_row
