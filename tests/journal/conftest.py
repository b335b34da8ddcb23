"""A feed of random batches as the hub publishes them, segments of them, and a disk that fails when told to."""

import errno
import itertools
import os
import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tickerd.dataflow.hub import Hub
from tickerd.instruments import Namespace
from tickerd.journal.files import Files
from tickerd.journal.index import IndexWriter
from tickerd.journal.segment import Encoder, Header, file_name
from tickerd.plugin import Batch, Gap, Instrument, Market, Notice, Position, Row, Status
from tickerd.plugin.plain import PLAIN
from tickerd.wire.kite import KITE, frame
from tickerd.wire.kite.layout import FULL_PACKET, LTP_PACKET, QUOTE_PACKET

CODECS = {KITE.id: KITE, PLAIN.id: PLAIN}
NOON = 1_795_415_400 * 10**9
"""2026-11-23 12:00 IST."""
TOKENS = [256265, 408065, 2953217, 779521, 5633, 12345]


def packet(rng: random.Random) -> bytes:
    """A packet of any mode; some tokens are in no dump."""
    token, price = rng.choice(TOKENS), rng.randint(-5, 10**6)
    match rng.randrange(3):
        case 0:
            return LTP_PACKET.pack(token, price)
        case 1:
            return QUOTE_PACKET.pack(token, price, *[rng.randrange(1000)] * 9)
        case _:
            return FULL_PACKET.pack(token, price, *[rng.randrange(1000)] * 14, *[1, price, 1] * 10)


def table(namespace: str, day: int) -> list[Instrument]:
    """A dump; from day to day the same token means something else."""
    return [Instrument(namespace, token, "NSE", f"S{token % 97}D{day}") for token in TOKENS[:-1]]


class Feed:
    """Publishes random batches through a hub, and remembers them."""

    def __init__(self, seed: int = 0, epoch: int = 7, start_ns: int = NOON) -> None:
        self.rng = random.Random(seed)
        self.hub = Hub(epoch)
        self.now = start_ns
        self.namespaces = {name: Namespace(name) for name in ("kite", "other")}
        for name, namespace in self.namespaces.items():
            namespace.load(table(name, 0))
        self.batches: list[Batch] = []

    def publish(self, batch: Batch, source: str = "sim", namespace: str = "kite") -> Batch:
        """Any batch."""
        self.hub.publish(batch, source, self.namespaces[namespace])
        if len(batch):
            self.batches.append(batch)
        return batch

    def ticks(self, many: int = 3, namespace: str = "kite", connection: int | None = 1) -> Batch:
        """A network read of Kite's."""
        self.now += self.rng.randint(1, 10**9)
        raw = frame.join([packet(self.rng) for _ in range(many)])
        return self.publish(
            Batch.read(KITE, raw, connection=connection, ts_recv=self.now), f"{namespace}-source", namespace
        )

    def plain(self, many: int = 2) -> Batch:
        """Rows that never were wire bytes."""
        rows = [Row(self.rng.choice(TOKENS), last_price=self.rng.random(), symbol="X:Y") for _ in range(many)]
        return self.publish(Batch.of(rows, ts_recv=self.now), "rows", "other")

    def control(self, *, reason: str = "disconnected") -> Batch:
        """Control records."""
        records = [
            Gap(reason=reason, since_ns=self.now, until_ns=self.now + 5, ts_recv=self.now),
            Status(state="connected", connection=1),
            Market(exchange="NSE", event="open", ts_recv=self.now),
            Notice(kind="message", data={"text": "\N{GRINNING FACE}", "bytes": [1, None, 2.5]}),
        ]
        return self.publish(Batch.control(*records[: self.rng.randint(1, 4)]))

    def both(self) -> Batch:
        """Ticks and records in one."""
        batch = Batch.of([Row(408065, last_price=1.0)], ts_recv=self.now)
        batch.records = [Status(state="stale", ts_recv=self.now)]
        return self.publish(batch)

    def new_dump(self) -> None:
        """From here on, tokens mean something else."""
        day = self.rng.randrange(1, 1000)
        for name, namespace in self.namespaces.items():
            namespace.load(table(name, day))

    def some(self, count: int) -> "Feed":
        """So many random steps."""
        steps: list[Callable[[], Any]] = [
            self.ticks, self.ticks, lambda: self.ticks(self.rng.randint(1, 40), "other", None),
            self.plain, self.control, self.both, self.new_dump,
        ]  # fmt: skip
        for _ in range(count):
            self.rng.choice(steps)()
        return self


def facts(batch: Batch) -> list[Any]:
    """Everything that a reader may see of a batch, one entry for each tick and each record, in order."""
    origin = batch.origin
    out: list[Any] = [
        (tick.position, tick.packet, tick.connection, tick.source, tick.ts_recv, tick.marks, tick.symbol,
         tick.origin.namespace, tick.origin.codec.id, tick.instrument)
        for tick in batch.ticks
    ]  # fmt: skip
    assert origin is None or len(out) == len(batch) - len(batch.records)
    out += [(Position(r.epoch, r.seq), msgspec.to_builtins(r)) for r in batch.records]
    return out


def all_facts(items: Iterable[Any]) -> list[Any]:
    """The same of many; whatever is no batch is left out."""
    return [fact for item in items if isinstance(item, Batch) for fact in facts(item)]


class Written:
    """A segment that was written, and where in it which record stands."""

    def __init__(self, path: Path, data: bytes, records: list[tuple[int, int, list[Any]]]) -> None:
        self.path = path
        self.data = data
        self.records = records
        """(offset, end, facts) of each record of ticks or events."""


def write(
    directory: Path, batches: Sequence[Batch], *, files: Files | None = None, day: str = "2026-11-23",
    index: bool = True, close: bool = True,
) -> Written:  # fmt: skip
    """A segment of these batches, with the writer's own index."""
    files = files or Files()
    first = batches[0].last.seq - len(batches[0]) + 1
    header = Header(batches[0].last.epoch, first, NOON, day)
    encoder, path = Encoder(header), directory / file_name(header)
    indexer = IndexWriter(path, header, files) if index else None
    file, size, records = files.open_append(path), 0, []
    try:
        groups = [(encoder.begin(), None), *((encoder.batch(batch), batch) for batch in batches)]
        for buffers, batch in groups:
            if indexer is not None:
                indexer.add(size, buffers)
            records += _places(size, buffers, batch)
            size += files.writev(file, buffers)
        if indexer is not None:
            indexer.flush()
            if close:
                indexer.close(size)
    finally:
        files.close(file)
    return Written(path, path.read_bytes(), records)


def _places(offset: int, buffers: list[bytes], batch: Batch | None) -> list[tuple[int, int, list[Any]]]:
    if batch is None:
        return []
    found = []
    ticks = len(batch) - len(batch.records)
    parts = iter([part for part in (facts(batch)[:ticks], facts(batch)[ticks:]) if part])
    for head, payload in zip(buffers[::2], buffers[1::2], strict=True):
        end = offset + len(head) + len(payload)
        if head[8] in (4, 5):
            found.append((offset, end, next(parts)))
        offset = end
    return found


class FailingFiles(Files):
    """Fails the calls that are in ``failing``: {method name: errno}."""

    def __init__(self) -> None:
        self.failing: dict[str, int] = {}
        self.calls: list[tuple[str, str]] = []

    def _call(self, name: str, path: object = "") -> None:
        self.calls.append((name, Path(str(path)).name))
        if name in self.failing:
            raise OSError(self.failing[name], os.strerror(self.failing[name]))

    def open_append(self, path: Path) -> int:
        self._call("open_append", path)
        return super().open_append(path)

    def open_read(self, path: Path) -> int:
        self._call("open_read", path)
        return super().open_read(path)

    def writev(self, file: int, buffers: Sequence[bytes]) -> int:
        self._call("writev")
        return super().writev(file, buffers)

    def pread(self, file: int, size: int, offset: int) -> bytes:
        self._call("pread")
        return super().pread(file, size, offset)

    def close(self, file: int) -> None:
        super().close(file)
        self._call("close")

    def cut(self, path: Path, size: int) -> None:
        self._call("cut", path)
        super().cut(path, size)

    def sync(self, file: int) -> None:
        self._call("sync")
        super().sync(file)

    def sync_directory(self, path: Path) -> None:
        self._call("sync_directory")
        super().sync_directory(path)

    def rename(self, old: Path, new: Path) -> None:
        self._call("rename", new)
        super().rename(old, new)

    def remove(self, path: Path) -> None:
        self._call("remove", path)
        super().remove(path)

    def fail(self, *names: str, number: int = errno.EIO) -> None:
        """From now on."""
        self.failing = dict.fromkeys(names, number)


class Lab:
    """All of the above by one name, for tests and for properties."""

    codecs = CODECS
    noon = NOON
    Feed = Feed
    facts = staticmethod(facts)
    all_facts = staticmethod(all_facts)
    write = staticmethod(write)
    FailingFiles = FailingFiles

    def __init__(self, root: Path) -> None:
        self._root = root
        self._numbers = itertools.count()

    def directory(self) -> Path:
        """A new, empty one."""
        path = self._root / str(next(self._numbers))
        path.mkdir()
        return path


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """See `Lab`."""
    return Lab(tmp_path_factory.mktemp("journal"))


@pytest.fixture
def files() -> FailingFiles:
    """A disk that fails when it is told to."""
    return FailingFiles()
