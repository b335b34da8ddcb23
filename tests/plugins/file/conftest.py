"""Batches of ticks, and a disk that fails when it is told to."""

import errno
import gzip
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tickerd.plugin import OHLC, AnyRecord, Batch, Depth, Instrument, Level, Row
from tickerd.testing import FakeContext
from tickerd.testing.fakes import stamped
from tickerd.wire.compression import zstd
from tickerd_plugins.file import FileSink
from tickerd_plugins.file.disk import Disk

NOON = 1_735_799_400 * 10**9
"""2025-01-02 12:00 IST."""

INSTRUMENTS = {
    1: Instrument("fake", 1, "NSE", "INFY"),
    2: Instrument("fake", 2, "NSE", "NIFTY 50"),
    3: Instrument("fake", 3, "BSE", "INFY"),
}


class Batches:
    """Makes published batches with running positions."""

    def __init__(self) -> None:
        self.seq = 1

    def __call__(
        self, *tokens: int, ts: int = NOON, records: Sequence[AnyRecord] = (), instruments: Any = None
    ) -> Batch:
        rows = [self.row(token, n) for n, token in enumerate(tokens)]
        batch = Batch.of(rows, connection=1, ts_recv=ts) if rows else Batch.control()
        batch.records = list(records)
        stamped(batch, self.seq, instruments=INSTRUMENTS if instruments is None else instruments)
        self.seq += len(batch)
        return batch

    def row(self, token: int, n: int = 0) -> Row:
        return Row(
            token, last_price=100.05 + n, volume_traded=self.seq + n, ohlc=OHLC(1.0, 2.0, 0.5, 1.5),
            depth=Depth([Level(1, 99.95, 2)] * 5, [Level(3, 100.1, 4)] * 5), exchange_timestamp=1_735_799_399,
        )  # fmt: skip


class FailingDisk(Disk):
    """Fails the calls that are in ``failing``: {method name: errno, or a function that raises}."""

    def __init__(self) -> None:
        self.failing: dict[str, int] = {}
        self.room: int | None = None
        """Bytes by which files may still grow; a write that needs more is done in part."""
        self.calls: list[str] = []

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name in self.failing:
            raise OSError(self.failing[name], os.strerror(self.failing[name]))

    def folder(self, root: str, parts: list[str], *, make: bool) -> int:
        self._call("folder")
        return super().folder(root, parts, make=make)

    def open(self, root: str, path: str, *, make: bool = True) -> int:
        self._call("open")
        return super().open(root, path, make=make)

    def write(self, fd: int, data: bytes, offset: int) -> None:
        self._call("write")
        if self.room is not None:
            size = self.identify(fd)[1]
            fits = data[: max(0, size + self.room - offset)]
            super().write(fd, fits, offset)
            self.room -= max(0, offset + len(fits) - size)
            if len(fits) < len(data):
                raise OSError(errno.ENOSPC, "no space left on device")
            return
        super().write(fd, data, offset)

    def truncate(self, fd: int, length: int) -> None:
        self._call("truncate")
        super().truncate(fd, length)

    def sync(self, fd: int) -> None:
        self._call("sync")
        super().sync(fd)

    def sync_folder(self, root: str, path: str) -> None:
        self._call("sync_folder")
        super().sync_folder(root, path)

    def remove(self, root: str, path: str, *, sync: bool = False) -> None:
        self._call("remove")
        super().remove(root, path, sync=sync)


@pytest.fixture
def batches() -> Batches:
    return Batches()


@pytest.fixture
def disk() -> FailingDisk:
    return FailingDisk()


MakeSink = Callable[..., FileSink]


@pytest.fixture
async def context(tmp_path: Path) -> FakeContext:
    return FakeContext(tmp_path / "state")


@pytest.fixture
async def make_sink(tmp_path: Path, context: FakeContext, disk: FailingDisk) -> MakeSink:
    """A sink below ``tmp_path/out`` with these options, on the disk that can fail."""

    def make(path: str = "{date}/{exchange}.jsonl", **options: Any) -> FileSink:
        return FileSink(FileSink.Options(path=f"{tmp_path}/out/{path}", **options), context, disk)

    return make


@pytest.fixture
def text(tmp_path: Path) -> Callable[[str], str]:
    """Everything in a file below ``tmp_path/out``; refuses what is not whole."""

    def read(path: str) -> str:
        file = tmp_path / "out" / path
        if path.endswith(".gz"):
            return gzip.decompress(file.read_bytes()).decode()
        if path.endswith(".zst"):
            return zstd.decompress(file.read_bytes()).decode()
        return file.read_text()

    return read
