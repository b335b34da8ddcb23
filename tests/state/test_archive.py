"""The archive: what was put in comes out, and nothing else is taken for it."""

import io
import stat
import tarfile
from pathlib import Path

import msgspec
import pytest

from tickerd.state import archive
from tickerd.state.archive import FORMAT, MANIFEST, ArchiveError, Manifest


def manifest_of(files, **more):
    plain = {
        "format": FORMAT, "tickerd": "1", "schema": 1, "epoch": 1, "created": "2026-11-23T00:00:00+00:00",
        "state_dir": "/s", "config_file": None, "files": archive.described(files),
    }  # fmt: skip
    return Manifest(**plain | more)


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a").write_bytes(b"a" * 3_000_000)
    (folder / "b").write_bytes(b"")
    return {"state/a": folder / "a", "config/conf.d/b": folder / "b"}


@pytest.fixture
def made(tmp_path, files):
    path = tmp_path / "one.tar"
    archive.write(path, manifest_of(files), files)
    return path


def rewritten(path: Path, change) -> Path:
    """The same archive after ``change(name, data)`` of each member; None leaves it out, a TarInfo stands as it is."""
    other = path.with_name("other.tar")
    with tarfile.open(path) as old, tarfile.open(other, "w") as new:
        for entry in old:
            data = change(entry.name, old.extractfile(entry).read())
            if isinstance(data, tarfile.TarInfo):
                new.addfile(data)
            elif data is not None:
                entry.size = len(data)
                new.addfile(entry, io.BytesIO(data))
    return other


def test_what_was_put_in_comes_out(tmp_path, files, made):
    into = tmp_path / "out"
    manifest = archive.unpack(made, into)
    assert manifest == manifest_of(files)
    assert {name: (into / name).read_bytes() for name in files} == {
        n: p.read_bytes() for n, p in files.items()
    }
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out", "one.tar"}


def test_only_its_owner_reads_it_and_any_tar_can(made, files):
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    with tarfile.open(made) as tar:
        assert tar.getnames() == [MANIFEST, *sorted(files)]
        assert {entry.mode for entry in tar} == {0o600}


def test_it_replaces_nothing(made, files):
    before = made.read_bytes()
    with pytest.raises(FileExistsError):
        archive.write(made, manifest_of(files), files)
    assert made.read_bytes() == before
    assert [path.name for path in made.parent.iterdir() if path.name.startswith(".")] == []


def test_a_changed_byte_is_noticed_wherever_it_is(tmp_path, made):
    whole = made.read_bytes()
    damaged = tmp_path / "damaged.tar"
    with tarfile.open(made) as tar:
        places = [entry.offset_data for entry in tar if entry.size] + [tar.getmember("state/a").offset + 2]
    for number, place in enumerate([*places, len(whole) // 2]):
        data = bytearray(whole)
        data[place] ^= 0x55
        damaged.write_bytes(data)
        with pytest.raises(ArchiveError):
            archive.unpack(damaged, tmp_path / f"out{number}")


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9])
def test_a_part_of_one_is_noticed(tmp_path, made, part):
    whole = made.read_bytes()
    made.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(ArchiveError, match=r"one\.tar: "):
        archive.unpack(made, tmp_path / "out")


def test_a_member_that_is_missing_or_too_many_is_noticed(tmp_path, made):
    without = rewritten(made, lambda name, data: None if name == "state/a" else data)
    with pytest.raises(ArchiveError, match="'state/a' is missing"):
        archive.unpack(without, tmp_path / "out")


@pytest.mark.parametrize(
    "name", ["state/../../evil", "/etc/passwd", "other/x", "state", "state//x", "config/./y"]
)
def test_names_that_lead_elsewhere_are_refused_before_anything_is_written(tmp_path, made, name):
    def change(which, data):
        if which != MANIFEST:
            return data
        manifest = msgspec.json.decode(data)
        manifest["files"][0]["name"] = name
        return msgspec.json.encode(manifest)

    with pytest.raises(ArchiveError, match="names a file that no backup holds"):
        archive.unpack(rewritten(made, change), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_only_plain_files_are_taken(tmp_path, made, kind):
    def change(name, data):
        if name != "state/a":
            return data
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, "/etc/passwd"
        return entry

    with pytest.raises(ArchiveError, match="'state/a', of which its manifest does not tell"):
        archive.unpack(rewritten(made, change), tmp_path / "out")


def test_a_newer_format_is_told_even_where_all_else_is_other(tmp_path, made):
    newer = rewritten(made, lambda name, data: b'{"format": 9, "x": 1}' if name == MANIFEST else data)
    with pytest.raises(ArchiveError, match=r"newer format \(9, this tickerd knows 1\); restore it with"):
        archive.unpack(newer, tmp_path / "out")


@pytest.mark.parametrize("text", [b"", b"[]", b'{"format": "x"}', b'{"format": 1}', b"\xff"])
def test_a_manifest_that_makes_no_sense_is_damage(tmp_path, made, text):
    bad = rewritten(made, lambda name, data: text if name == MANIFEST else data)
    with pytest.raises(ArchiveError, match=r"manifest.json"):
        archive.unpack(bad, tmp_path / "out")


def test_one_name_twice_is_damage(tmp_path, made):
    def change(name, data):
        if name != MANIFEST:
            return data
        manifest = msgspec.json.decode(data)
        manifest["files"].append(manifest["files"][0])
        return msgspec.json.encode(manifest)

    with pytest.raises(ArchiveError, match="damaged"):
        archive.unpack(rewritten(made, change), tmp_path / "out")


def test_other_files_are_no_backups(tmp_path):
    other = tmp_path / "other"
    other.write_text("sources: {}\n" * 100)
    with pytest.raises(ArchiveError, match="is no whole backup"):
        archive.unpack(other, tmp_path / "out")
