"""Each row stands once and in order in the files, wherever a process is killed or the power is cut."""

import errno
import os
import random
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tickerd.wire.compression import SUFFIXES, Compression, decompressed
from tickerd_plugins.file import disk as disk_module
from tickerd_plugins.file import ledger
from tickerd_plugins.file.disk import Disk
from tickerd_plugins.file.files import Files, Kind
from tickerd_plugins.file.ledger import LOG, Ledger
from tickerd_plugins.file.template import parse

BATCHES = 20
SYMBOLS = 7
HEADER = b"n\n"
KINDS: tuple[Compression, ...] = ("none", "gzip", "zstd")
CALLS = {"open", "pwrite", "pread", "ftruncate", "fsync", "unlink", "rmdir", "mkdir", "lstat", "fstat"}
BLOCK = 64


class Killed(BaseException):
    """The process has ended here."""


class Machine:
    """Stands in for ``os`` in the disk layer: ends the process before one of its system calls.

    With ``power`` the whole machine stops: what was written, made or deleted and not flushed is lost by chance,
    block by block.
    """

    def __init__(self, die_at: int, chance: random.Random, *, power: bool = False) -> None:
        self.calls = 0
        self.dead = False
        self._die_at = die_at
        self._chance = chance
        self._power = power
        self._open_files: set[int] = set()
        self._flushed: dict[str, bytes] = {}
        """What the disk itself has of files that were written since."""
        self._nameless: set[str] = set()
        self._deleted: dict[str, bytes] = {}

    def __getattr__(self, name: str) -> Any:
        if name not in CALLS:
            return getattr(os, name)

        def call(*args: Any, **options: Any) -> Any:
            self.calls += 1
            if self.dead or self.calls == self._die_at:
                if not self.dead and name == "pwrite":  # in the middle of it
                    self._pwrite(args[0], args[1][: self._chance.randrange(len(args[1]))], args[2])
                self.dead = True
                raise Killed
            return getattr(self, f"_{name}", getattr(os, name))(*args, **options)

        return call

    def close(self, fd: int) -> None:
        self._open_files.discard(fd)
        os.close(fd)

    def _open(self, path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        full = path if dir_fd is None else f"{_path(dir_fd)}/{path}"
        fresh = bool(flags & os.O_CREAT) and not Path(full).exists()
        fd = os.open(path, flags, mode, dir_fd=dir_fd)
        self._open_files.add(fd)
        if fresh:
            self._nameless.add(full)
            self._flushed[full] = b""
        return fd

    def _pwrite(self, fd: int, data: bytes, offset: int) -> int:
        self._flushed.setdefault(_path(fd), Path(_path(fd)).read_bytes())
        return os.pwrite(fd, data, offset)

    def _ftruncate(self, fd: int, length: int) -> None:
        self._flushed.setdefault(_path(fd), Path(_path(fd)).read_bytes())
        os.ftruncate(fd, length)

    def _unlink(self, name: str, *, dir_fd: int) -> None:
        path = f"{_path(dir_fd)}/{name}"
        data = self._flushed.pop(path, Path(path).read_bytes())
        if path not in self._nameless:
            self._deleted.setdefault(path, data)
        self._nameless.discard(path)
        os.unlink(name, dir_fd=dir_fd)

    def _fsync(self, fd: int) -> None:
        path = _path(fd)
        self._flushed.pop(path, None)
        self._nameless = {file for file in self._nameless if str(Path(file).parent) != path}
        self._deleted = {file: data for file, data in self._deleted.items() if str(Path(file).parent) != path}

    def end(self) -> None:
        """What the kernel does when the process has ended, and what the disk holds when the power is back."""
        for fd in self._open_files:
            with suppress(OSError):
                os.close(fd)
        if not self._power:
            return
        for path, data in self._deleted.items():
            if self._chance.random() < 0.5:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                Path(path).write_bytes(data)
        for path, data in self._flushed.items():
            Path(path).write_bytes(self._torn(data, Path(path).read_bytes()))
        for path in self._nameless:
            if self._chance.random() < 0.5:
                Path(path).unlink()

    def _torn(self, old: bytes, new: bytes) -> bytes:
        size = self._chance.choice([len(old), len(new)])
        parts = [
            self._chance.choice([old, new])[at : at + BLOCK].ljust(BLOCK, b"\0")
            for at in range(0, size, BLOCK)
        ]
        return b"".join(parts)[:size]


def _path(fd: int) -> str:
    return str(Path(f"/proc/self/fd/{fd}").readlink())


class FullDisk(Disk):
    """Has no room now and then, in the middle of a write or even when something is cut off."""

    def __init__(self, host: "Host") -> None:
        self._host = host

    def _trouble(self) -> None:
        if self._host.chance.random() < self._host.trouble:
            raise OSError(errno.ENOSPC, "no space left on device")

    def write(self, fd: int, data: bytes, offset: int) -> None:
        half = len(data) // 2
        super().write(fd, data[:half], offset)
        self._trouble()
        super().write(fd, data[half:], offset + half)

    def truncate(self, fd: int, length: int) -> None:
        self._trouble()
        super().truncate(fd, length)


class Host:
    """Offers numbered rows to the files and keeps what they commit, as the daemon does it in its state file."""

    def __init__(self, root: Path, kind: Compression, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root / "out"
        self.state = root / "state"
        self.compression = kind
        self.chance = random.Random(seed)
        self.trouble = 0.0
        """How often the disk is full in the middle of a batch."""
        self.position = 0
        self.kept = b""
        self.delivered: dict[str, list[int]] = defaultdict(list)
        self._patch = monkeypatch
        plan = random.Random(seed + 1)
        self.plan = [[plan.randrange(SYMBOLS) for _ in range(plan.randrange(1, 9))] for _ in range(BATCHES)]
        template = parse("{date}/{symbol}.csv", SUFFIXES[kind])
        self.kind = Kind(template, kind, HEADER, HEADER)

    def life(self, die_at: int = 0, *, power: bool = False) -> int:
        """One life of the process, until it is killed or has written everything; the calls that it made."""
        machine = Machine(die_at, self.chance, power=power)
        self._patch.setattr(disk_module, "os", machine)
        try:
            with suppress(Killed, OSError):
                self._run()
        finally:
            self._patch.setattr(disk_module, "os", os)
            machine.end()
        return machine.calls

    def live(self) -> None:
        """Files from before, written without any of this."""
        files = Files(Disk(), str(self.root), rotate_size=150, sync=False, limit=3)
        for symbol in range(SYMBOLS):
            files.append(self.kind, f"2025-01-01/{symbol}", b"%d\n" % -symbol)
            files.commit()
        files.close()

    def _run(self) -> None:
        disk = FullDisk(self)
        files = Files(disk, str(self.root), rotate_size=150, sync=False, limit=3)
        files.restore(Ledger(disk, str(self.state), str(self.root)), self.kept)
        for n in range(self.position, BATCHES):
            self._batch(files, n)
            if n % 3 == 2 or n == BATCHES - 1:
                kept = files.checkpoint()
                if self.chance.random() < 0.8 or n == BATCHES - 1:  # else the state file can not be written
                    self.position, self.kept = n + 1, kept
                    if files.stored():
                        files.tidy()
        files.close()

    def _batch(self, files: Files, n: int) -> None:
        rows: dict[str, list[bytes]] = defaultdict(list)
        for place, symbol in enumerate(self.plan[n]):
            rows[f"2025-01-0{1 + n // 12}/{symbol}"].append(b"%d\n" % (n * 100 + place))
        while True:
            try:
                files.announce((self.kind, name) for name in rows)
                for name, lines in rows.items():
                    files.append(self.kind, name, b"".join(lines))
                files.commit()
            except OSError:
                files.undo()
            else:
                return

    def expected(self) -> dict[str, list[int]]:
        found = defaultdict(list, {f"2025-01-01/{symbol}": [-symbol] for symbol in range(SYMBOLS)})
        for n, batch in enumerate(self.plan):
            for place, symbol in enumerate(batch):
                found[f"2025-01-0{1 + n // 12}/{symbol}"].append(n * 100 + place)
        return found

    def found(self) -> dict[str, list[int]]:
        """What is in the files; of rotated ones one after the other."""
        numbers: dict[str, dict[int, list[int]]] = defaultdict(dict)
        for path in self.root.rglob("*.csv*"):
            stem, number = self._named(path)
            header, *lines = b"".join(decompressed([path.read_bytes()], self.compression)).split(b"\n")
            assert header + b"\n" == HEADER
            assert lines.pop() == b""
            numbers[stem][number] = list(map(int, lines))
        return {
            stem: [n for number in sorted(parts) for n in parts[number]] for stem, parts in numbers.items()
        }

    def _named(self, path: Path) -> tuple[str, int]:
        symbol, *number = path.name.removesuffix(SUFFIXES[self.compression]).removesuffix(".csv").split(".")
        return f"{path.parent.name}/{symbol}", int(number[0]) if number else 0


def try_all(tmp_path: Path, patch: pytest.MonkeyPatch, kind: Compression, *, step: int, power: bool) -> None:
    patch.setattr(ledger, "MOST", 5)  # so that files leave the commits, and the log has to do it
    patch.setattr(ledger, "AGE", 2)
    calls = Host(tmp_path / "whole", kind, 0, patch).life()
    assert calls > 300
    for seed, die_at in enumerate(range(1 + len(kind) % step, calls, step)):
        host = Host(tmp_path / str(seed), kind, seed, patch)
        host.live()
        host.trouble = (seed % 3) / 20
        host.life(die_at, power=power)
        host.life(1 + host.chance.randrange(60), power=power)  # once more, soon: while it comes back
        host.life(1 + host.chance.randrange(calls), power=power)
        host.trouble = 0
        host.life()
        assert host.found() == host.expected(), f"killed at call {die_at}, seed {seed}"
        assert (host.state / LOG).stat().st_size == 0


@pytest.mark.parametrize("power", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_wherever_it_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Compression, power: bool
) -> None:
    try_all(tmp_path, monkeypatch, kind, step=37, power=power)


@pytest.mark.full
@pytest.mark.parametrize("power", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_wherever_it_is_killed_at_every_second_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Compression, power: bool
) -> None:
    try_all(tmp_path, monkeypatch, kind, step=2, power=power)
