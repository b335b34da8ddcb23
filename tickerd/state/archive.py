"""A backup as one file: a tar whose first member says what the others are, so that damage shows before use."""

import hashlib
import io
import os
import secrets
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO

import msgspec

MANIFEST = "manifest.json"
FORMAT = 1
"""Of the archive; one with a higher number is refused."""
MODE = 0o600
MOST_FILES = 20_000
LARGEST_MANIFEST = 2**24
_CHUNK = 2**20


class ArchiveError(ValueError):
    """An archive cannot be used; the text says which and why."""


class Member(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of an archive."""

    name: str
    """Where it belongs: below ``state/`` or ``config/``."""
    size: int
    sha256: str
    mode: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive says of itself."""

    format: int
    tickerd: str
    """Version of the tickerd that made it."""
    schema: int
    """Version of the state file in it."""
    epoch: int
    """Of the last run before it was made; 0 when there was none."""
    created: str
    """UTC, ISO 8601."""
    state_dir: str
    config_file: str | None
    files: Sequence[Member]

    @property
    def names(self) -> set[str]:
        """Of all files."""
        return {one.name for one in self.files}


def described(files: Mapping[str, Path]) -> list[Member]:
    """Sizes, sums and modes of these files, by the name that they shall have; sorted."""
    return [_described(name, files[name]) for name in sorted(files)]


def write(target: Path, manifest: Manifest, files: Mapping[str, Path]) -> None:
    """Make the archive, readable for its owner alone; it is there whole or not at all.

    Args:
        target: where; nothing may be there yet.
        manifest: says what `files` are.
        files: where each of its members is now; nobody changes them meanwhile.

    Raises:
        FileExistsError: something is there.
        OSError: it cannot be written.
    """
    part = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    handle = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, MODE)
    try:
        with open(handle, "wb") as out:  # noqa: PTH123 - a descriptor
            _pack(out, manifest, files)
            out.flush()
            os.fsync(handle)
        target.hardlink_to(part)  # unlike a rename it never replaces what somebody else has just made
        _sync(target.parent)
    finally:
        part.unlink()


def unpack(source: Path, into: Path) -> Manifest:
    """Check all of an archive and put its files into an empty directory, by their names.

    Raises:
        ArchiveError: it is none, of a newer format, or not as it was made.
        OSError: it cannot be read, or the directory not be written.
    """
    try:
        with source.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            return _unpacked(source, tar, into)
    except (tarfile.TarError, EOFError) as error:
        raise ArchiveError(f"{source}: is no whole backup: {error}") from None


def _pack(out: IO[bytes], manifest: Manifest, files: Mapping[str, Path]) -> None:
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        text = msgspec.json.format(msgspec.json.encode(manifest))
        tar.addfile(_entry(MANIFEST, len(text)), io.BytesIO(text))
        for member in manifest.files:
            with files[member.name].open("rb") as file:
                tar.addfile(_entry(member.name, member.size), file)


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, MODE
    return entry


def _unpacked(source: Path, tar: tarfile.TarFile, into: Path) -> Manifest:
    manifest = _manifest(source, tar)
    wanted = {member.name: member for member in manifest.files}
    for entry in tar:
        if entry.name == MANIFEST:
            continue
        member = wanted.pop(entry.name, None)
        if member is None or not entry.isreg():
            raise ArchiveError(f"{source}: holds {entry.name!r}, of which its manifest does not tell")
        data = tar.extractfile(entry)
        assert data is not None
        if _copied(data, into / member.name) != (member.size, member.sha256):
            raise ArchiveError(f"{source}: {entry.name!r} is damaged: it is not what was put in")
    if wanted:
        raise ArchiveError(f"{source}: {min(wanted)!r} is missing in it; is it a part of a backup?")
    return manifest


def _manifest(source: Path, tar: tarfile.TarFile) -> Manifest:
    first = tar.next()
    if first is None or first.name != MANIFEST or not first.isreg() or first.size > LARGEST_MANIFEST:
        raise ArchiveError(f"{source}: is no backup of tickerd: it does not begin with {MANIFEST}")
    data = tar.extractfile(first)
    assert data is not None
    text = data.read()
    try:
        number = msgspec.json.decode(text, type=dict[str, msgspec.Raw]).get("format", msgspec.Raw(b"0"))
        if (found := msgspec.json.decode(number, type=int)) > FORMAT:
            hint = "restore it with the tickerd that made it, or a newer one"
            raise ArchiveError(
                f"{source}: is of a newer format ({found}, this tickerd knows {FORMAT}); {hint}"
            )
        manifest = msgspec.json.decode(text, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise ArchiveError(f"{source}: its {MANIFEST} is damaged") from None
    for member in manifest.files:
        _check_name(source, member.name)
    if len(manifest.files) > MOST_FILES or len(manifest.names) != len(manifest.files):
        raise ArchiveError(f"{source}: its {MANIFEST} is damaged")
    return manifest


def _check_name(source: Path, name: str) -> None:
    parts = PurePosixPath(name).parts
    plain = "/".join(parts) == name and "\0" not in name and ".." not in parts
    if not plain or len(parts) < 2 or parts[0] not in ("state", "config"):
        raise ArchiveError(f"{source}: names a file that no backup holds: {name!r}")


def _described(name: str, path: Path) -> Member:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    found = path.stat()
    return Member(name=name, size=found.st_size, sha256=sha256, mode=found.st_mode & 0o777)


def _copied(data: IO[bytes], target: Path) -> tuple[int, str]:
    """Write it to the disk; how long it was, and its sum."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, MODE)
    size, digest = 0, hashlib.sha256()
    with open(handle, "wb") as out:  # noqa: PTH123 - a descriptor
        while chunk := data.read(_CHUNK):
            size += len(chunk)
            digest.update(chunk)
            out.write(chunk)
        out.flush()
        os.fsync(handle)
    return size, digest.hexdigest()


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # some file systems cannot
            os.fsync(handle)
    finally:
        os.close(handle)
