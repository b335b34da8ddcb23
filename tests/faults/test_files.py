"""A file sink whose disk fails under a real daemon: nothing else waits, and in the end every tick is there once."""

import json
import os
import subprocess
import time

import pytest

WAIT_S = 60
YAML = """
sources: {{good: {{use: bad, how: well, after: 0}}}}
sinks:
  archive: {{use: file, path: "disk/archive/{{date}}.jsonl", batch: {{max_wait: 20ms}}{more}}}
  other: {{use: file, path: "other/{{date}}.jsonl", batch: {{max_wait: 20ms}}}}
state: {{dir: state}}
journal: {{min_free: 1MiB}}
"""
SITE = """
import os, time

def slow(call):
    def slowly(fd):
        if os.path.exists("slow") and "/disk/" in os.readlink(f"/proc/self/fd/{fd}"):
            open("waited", "a").close()
            while os.path.exists("slow"):
                time.sleep(0.05)
        return call(fd)
    return slowly

os.fsync, os.fdatasync = slow(os.fsync), slow(os.fdatasync)
"""


def until(condition, what, seconds=WAIT_S):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


class Storing:
    """A daemon with one sink on a disk that is ours to break, and one on another."""

    def __init__(self, process):
        self.process = process
        process.wait_for("ready")
        self.grows("disk/archive")

    def numbers(self, folder):
        """What is stored below it, in order of arrival in each file."""
        files = sorted((self.process.directory / folder).rglob("*.jsonl*"), key=lambda one: one.stat().st_ino)
        lines = [line for one in files for line in one.read_bytes().splitlines(keepends=True)]
        rows = [json.loads(line) for line in lines if line.endswith(b"\n")]
        return [row["volume_traded"] for row in rows if "record" not in row]

    def grows(self, folder):
        """Until more is stored there than now."""
        before = max(self.numbers(folder), default=0)
        until(lambda: max(self.numbers(folder), default=0) > before + 20, folder)

    def stop(self):
        """In good order; the loop was never held up."""
        self.process.signal()
        assert self.process.end(WAIT_S) == 0
        assert "event loop blocked" not in self.process.log_file.read_text()

    def whole(self, *folders):
        """Every number once, from the first to the last that came."""
        self.stop()
        for folder in ("other", *folders):
            numbers = self.numbers(folder)
            assert sorted(numbers) == list(range(1, len(numbers) + 1)), folder
        assert {len(self.numbers(folder)) for folder in ("other", *folders)} == {len(self.numbers("other"))}


@pytest.fixture
def storing(daemon):
    """``storing()`` starts one; its working directory is ``place``."""

    def start(more="", prepare=None, **env):
        # the directory is made first, so that there can be a disk in it before anything writes
        process = daemon(YAML.format(more=more), "--for", "0.2s", **env)
        assert process.end(WAIT_S) == 0
        for name in ("disk", "other", "state"):
            subprocess.run(["rm", "-rf", process.directory / name], check=True)
        (process.directory / "disk").mkdir()
        process.log_file.unlink()
        if prepare is not None:
            prepare(process)
        process.command = [one for one in process.command if one not in ("--for", "0.2s")]
        process.start()
        process.starts = 1
        return Storing(process)

    return start


@pytest.mark.full
def test_a_file_that_is_rotated_under_it_goes_on_in_a_new_one(storing):
    one = storing()
    (written,) = (one.process.directory / "disk/archive").iterdir()
    for number in range(3):
        written.rename(written.with_name(f"{written.name}.{number}"))
        until(written.exists, "a new file")
        one.grows("disk/archive")
    one.whole("disk/archive")


@pytest.mark.full
def test_a_directory_that_is_deleted_is_made_again_and_what_comes_goes_there(storing):
    one = storing()
    place = one.process.directory / "disk/archive"
    lost = max(one.numbers("disk/archive"))
    place.rename(one.process.directory / "taken")
    until(place.exists, "the directory")
    one.grows("disk/archive")
    one.stop()
    everything = one.numbers("taken") + one.numbers("disk/archive")
    assert max(one.numbers("taken")) >= lost
    assert sorted(everything) == one.numbers("other")


def is_mounted(place, *options):
    done = subprocess.run(["mount", *options, str(place)], capture_output=True, check=False)
    return done.returncode == 0


def mount(place, *options):
    assert is_mounted(place, *options)


@pytest.fixture
def small_disk():
    """``prepare`` for `storing`: a file system of 1 MiB."""
    mounted = []

    def prepare(process):
        place = process.directory / "disk"
        mount(place, "-t", "tmpfs", "-o", "size=1m", "tmpfs")
        mounted.append(place)

    yield prepare
    for place in mounted:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.root
@pytest.mark.full
def test_a_disk_that_is_full_and_then_read_only_has_everything_in_the_end(storing, small_disk):
    one = storing(prepare=small_disk)
    disk = one.process.directory / "disk"
    ballast = disk / "ballast"
    with ballast.open("wb") as out, pytest.raises(OSError, match="No space"):  # noqa: PT012 - at some point
        while True:
            os.write(out.fileno(), bytes(4096))
    one.process.wait_for("file sink can not write", reason="disk full")
    one.grows("other")
    until(lambda: is_mounted(disk, "-o", "remount,ro"), "a moment at which no file is open for writing")
    one.process.wait_for("file sink can not write", reason="read-only file system")
    one.grows("other")
    mount(disk, "-o", "remount,rw,size=64m")
    one.process.wait_for("file sink writes again", after="read-only file system")
    one.grows("disk/archive")
    one.whole("disk/archive")


@pytest.mark.full
def test_a_permission_that_is_lost_for_a_while_costs_nothing(storing):
    def as_others_are(process):
        """Root may write everywhere: without that capability it is as anybody."""
        if os.geteuid() == 0:
            process.command = [
                "setpriv", "--bounding-set=-dac_override,-dac_read_search", *process.command
            ]  # fmt: skip

    one = storing(prepare=as_others_are)
    place = one.process.directory / "disk"
    (place / "archive").rename(place / "before")
    place.chmod(0o500)
    one.process.wait_for("file sink can not write", reason="permission denied")
    one.grows("other")
    place.chmod(0o700)
    one.process.wait_for("file sink writes again", after="permission denied")
    one.grows("disk/archive")
    one.stop()
    assert sorted(one.numbers("disk")) == one.numbers("other")


@pytest.mark.full
def test_a_disk_that_does_not_answer_for_seconds_holds_nobody_up(storing):
    """Each call that waits for that disk takes as long as the file ``slow`` is there."""

    def make_slow(process):
        (process.directory / "site/sitecustomize.py").write_text(SITE)

    one = storing(", sync: batch", prepare=make_slow)
    place = one.process.directory
    (place / "slow").touch()
    until((place / "waited").exists, "a call that waits")
    time.sleep(5)  # longer than the loop may stand still before that is told
    one.grows("other")
    (place / "slow").unlink()
    one.grows("disk/archive")
    one.whole("disk/archive")
