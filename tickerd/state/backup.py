"""What belongs into a backup of a state directory, and how it gets back: whole, and never over what is there."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from sqlite3 import Connection

from tickerd.state import archive, audit, pepper, schema
from tickerd.state.archive import ArchiveError, Manifest
from tickerd.state.connection import FILE, connect, transaction
from tickerd.state.directory import StateDirectory
from tickerd.state.errors import StateError, told
from tickerd.state.keyring import BOOTSTRAP_FILE
from tickerd.state.soundness import examine

EPOCH = "epoch"
EPOCHS_LEFT_FREE = 1000
"""The old daemon may have begun so many more runs after the backup; their positions are never given out again."""
LARGEST = 2**28
"""Of a file of a unit: more than that is no state."""

_SINGLE = (EPOCH, pepper.FILE, BOOTSTRAP_FILE)
_TREES = ("source", "sink")
_MODE = 0o640
"""At most, of what is put back; the state file itself is for its owner alone."""
_IGNORED = frozenset({"lock", "lost+found", "journal", "conf.d", "credentials"})
"""May be in a directory that counts as empty: what a package makes, and a journal that was put back before."""


@dataclass(frozen=True)
class ConfigFiles:
    """The configuration that shall be in a backup."""

    main: Path
    others: Sequence[Path]
    """``conf.d/*.yaml``, and the file of the calendar."""


@dataclass(frozen=True)
class Restored:
    """What was done."""

    manifest: Manifest
    epoch: int
    """The next run's is one more."""
    moved_aside: Path | None
    """Where what stood in the way is now."""


class NotEmpty(ArchiveError):
    """Something is there already."""


def back_up(
    target: Path, state: Path, config: ConfigFiles | None, *, version: str, now: datetime
) -> Manifest:
    """Make a backup of a state directory; a daemon may be running on it.

    The state file is copied as it is at one moment. The journal is not in it.

    Args:
        target: the archive; nothing may be there yet.
        state: the state directory.
        config: the configuration, where it shall be in it.
        version: of this tickerd.
        now: UTC.

    Raises:
        StateError: there is no state file, or it cannot be read, is damaged, or newer than we are.
        FileExistsError: something is at the target.
        OSError: a file cannot be read, or the archive not be written.
    """
    with _scratch(target.parent) as scratch:
        number = _copy_database(state, scratch / FILE)
        files = {f"state/{FILE}": scratch / FILE}
        for path in _of_units(state):
            _take(path, f"state/{path.relative_to(state).as_posix()}", scratch, files)
        if config is not None:
            _take(config.main, f"config/{config.main.name}", scratch, files)
            for path in config.others:
                _take(path, f"config/{_below(path, config.main.parent)}", scratch, files)
        manifest = Manifest(
            format=archive.FORMAT,
            tickerd=version,
            schema=number,
            epoch=_epoch(scratch / "state" / EPOCH),
            created=now.isoformat(timespec="seconds"),
            state_dir=str(state.absolute()),
            config_file=None if config is None else str(config.main.absolute()),
            files=archive.described(files),
        )
        archive.write(target, manifest, files)
    return manifest


def restore(
    source: Path, state: Path, config: Path | None, *, force: bool, now: datetime, who: str
) -> Restored:
    """Put a backup into a state directory, and its configuration into another directory.

    All of it is checked before anything is touched. What was there is moved aside, never deleted.

    Args:
        source: the archive.
        state: the state directory; made if need be.
        config: where the configuration goes; None leaves it in the archive.
        force: also where something is there already.
        now: UTC.
        who: for the audit trail.

    Raises:
        ArchiveError: the archive cannot be used, or is newer; `NotEmpty` where something is in the way.
        StateError: its state file is damaged.
        StateLocked: a daemon runs on the directory.
        OSError: something cannot be written.
    """
    places = [place for place in (state, config) if place is not None]
    if not force:
        for place in places:
            _refuse_unless_empty(place)
    with StateDirectory(state), _scratch(state) as scratch:
        manifest = archive.unpack(source, scratch)
        _check(source, manifest, scratch)
        epoch = max(manifest.epoch, _epoch(state / EPOCH)) + EPOCHS_LEFT_FREE
        for member in manifest.files:
            (scratch / member.name).chmod(member.mode & _MODE | archive.MODE)  # and nothing for others
        _prepare(scratch / "state", epoch, manifest, now=now, who=who)
        moved = _place(scratch / "state", state, now)
        _own(state / "lock", state.stat())
        if config is not None and (scratch / "config").is_dir():
            config.mkdir(parents=True, exist_ok=True, mode=0o750)
            moved_config = _place(scratch / "config", config, now)
            moved = moved or moved_config
    return Restored(manifest, epoch, moved)


def inspect(source: Path) -> Manifest:
    """Check all of an archive, its state file too, without restoring it.

    Raises:
        ArchiveError: it cannot be used, or is newer.
        StateError: its state file is damaged.
    """
    with tempfile.TemporaryDirectory(prefix="tickerd-") as scratch:
        manifest = archive.unpack(source, Path(scratch))
        _check(source, manifest, Path(scratch))
    return manifest


@contextmanager
def _scratch(beside: Path) -> Iterator[Path]:
    """A directory of our own on the same file system."""
    with tempfile.TemporaryDirectory(prefix=".tickerd-", dir=beside) as name:
        yield Path(name)


def _copy_database(state: Path, target: Path) -> int:
    """The state file at one moment, by SQLite's own means, as one file; its version."""
    path = state / FILE
    if not path.exists():
        raise StateError(path, "missing", "there is no such state file; has tickerd run with this directory?")
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, archive.MODE))
    with told(path), closing(_reader(path)) as source, closing(connect(target, "rw")) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
        examine(copy, path)
        return schema.version(copy)


def _reader(path: Path) -> Connection:
    try:
        return connect(path, "ro")
    except sqlite3.OperationalError:
        log = path.with_name(f"{path.name}-wal")
        if log.exists() and log.stat().st_size:
            raise
        return connect(path, "ro", immutable=True)  # nobody writes, and we may not make the files beside


def _of_units(state: Path) -> Iterator[Path]:
    """Files besides the state file: no journal, no recorded ticks, nothing half written."""
    yield from (path for name in _SINGLE if (path := state / name).is_file())
    for tree in _TREES:
        for path in sorted((state / tree).rglob("*")):
            if path.is_file() and not path.is_symlink() and path.suffix not in (".new", ".part"):
                yield path


def _take(path: Path, name: str, scratch: Path, files: dict[str, Path]) -> None:
    """Copy a file aside, so that nobody changes it while it is packed; one that has just gone is left out."""
    copy = scratch / name
    copy.parent.mkdir(parents=True, exist_ok=True)
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise OSError(f"{path}: has {size:,} bytes, which is no state; move it elsewhere")
        shutil.copy(path, copy)
    except FileNotFoundError:
        return
    files[name] = copy


def _below(path: Path, directory: Path) -> str:
    """Where a file of the configuration lies beside the main one; by its name where it lies elsewhere."""
    try:
        return path.absolute().relative_to(directory.absolute()).as_posix()
    except ValueError:
        return f"elsewhere/{path.name}"


def _epoch(file: Path) -> int:
    try:
        return int(file.read_text("ascii"))
    except (FileNotFoundError, ValueError):
        return 0


def _check(source: Path, manifest: Manifest, scratch: Path) -> None:
    """The state file in it is one that we can use."""
    path = scratch / "state" / FILE
    if f"state/{FILE}" not in manifest.names:
        raise ArchiveError(f"{source}: holds no state file")
    shown = Path(f"{source}:state/{FILE}")
    with told(shown), closing(connect(path, "rw")) as connection:
        if (number := schema.version(connection)) > (known := schema.newest()):
            text = (
                f"was made by a newer tickerd, {manifest.tickerd} (version {number}, this one knows {known})"
            )
            raise ArchiveError(f"{source}: {text}; restore it with that one")
        examine(connection, shown)


def _prepare(staged: Path, epoch: int, manifest: Manifest, *, now: datetime, who: str) -> None:
    """Bring what was unpacked up to date before it is put in place."""
    path = staged / FILE
    (staged / EPOCH).write_text(f"{epoch}\n", "ascii")
    with told(path), closing(connect(path, "rw")) as connection:
        schema.migrate(connection)
        change = audit.Change(
            when_ns=int(now.timestamp()) * 10**9,
            who=who,
            what="state.restore",
            origin="cli",
            after={"created": manifest.created, "tickerd": manifest.tickerd, "epoch": epoch},
        )
        with transaction(connection, "sync"):
            audit.append(connection, change)
    path.chmod(archive.MODE)


def _refuse_unless_empty(place: Path) -> None:
    try:
        found = sorted({path.name for path in place.iterdir()} - _IGNORED)
    except FileNotFoundError:
        return
    if found:
        some = ", ".join(found[:3]) + (" …" if len(found) > 3 else "")
        hint = "choose an empty one, or --force, which moves aside what stands in the way"
        raise NotEmpty(f"{place}: is not empty ({some}); {hint}")


def _place(staged: Path, target: Path, now: datetime) -> Path | None:
    """Move each file to its place, the state file last; where what was there is now, if anything was."""
    aside = target / f"before-restore-{now:%Y%m%dT%H%M%SZ}"
    owner = target.stat()
    files = sorted(
        (file for file in staged.rglob("*") if file.is_file()), key=lambda file: (file.name == FILE, file)
    )
    names = [file.relative_to(staged) for file in files]
    if Path(FILE) in names:  # a log of another state file would be played into this one
        names += [Path(f"{FILE}-wal"), Path(f"{FILE}-shm")]
    for name in names:
        if (target / name).exists():
            (aside / name).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            (target / name).rename(aside / name)
    for file in files:
        place = target / file.relative_to(staged)
        for parent in reversed(place.relative_to(target).parents[:-1]):
            _make(target / parent, owner)
        _own(file, owner)
        file.rename(place)
        pepper.sync_directory(place.parent)
    return aside if aside.exists() else None


def _make(directory: Path, owner: os.stat_result) -> None:
    if not directory.exists():
        directory.mkdir(mode=0o750)
        _own(directory, owner)


def _own(path: Path, owner: os.stat_result) -> None:
    """Root gives what it makes to whom the directory belongs: the daemon has to read it."""
    if os.geteuid() == 0:
        os.chown(path, owner.st_uid, owner.st_gid)


def utc_now() -> datetime:
    """The host's clock."""
    return datetime.now(UTC)
