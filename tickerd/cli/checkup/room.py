"""Room on the disk, and file descriptors."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

from tickerd.cli.checkup.finding import Finding, Patient, ok, problem, skipped, warning
from tickerd.cli.journal_note import note
from tickerd.journal.files import Files
from tickerd.observe.status import size

FEWEST = 4096
"""Descriptors; each client, file and connection takes one."""
_TIGHT = 0.8
_WARN_INODES = 0.05


def disk(patient: Patient) -> Iterator[Finding]:
    """Room where the state is, against what the journal has to leave."""
    home = _existing(patient.settings.state.dir)
    try:
        room, inodes = Files().room(home), os.statvfs(home)
    except OSError as error:
        yield problem("disk", f"{home}: cannot be looked at: {error.strerror}", "is the file system mounted?")
        return
    settings = patient.settings.journal
    least = 0 if settings is None else settings.min_free
    if room.free < least:
        text = f"{home}: {size(room.free)} free, less than journal.min_free ({size(least)})"
        yield problem(
            "disk", text, "make room, or set journal.min_free lower: old days of the journal go first"
        )
    elif room.free < 2 * least:
        text = f"{home}: {size(room.free)} free, and journal.min_free keeps {size(least)} of it"
        yield warning("disk", text, "make room before the journal has to let go of old days")
    else:
        yield ok("disk", f"{home}: {size(room.free)} of {size(room.total)} free")
    if inodes.f_files and inodes.f_favail < _WARN_INODES * inodes.f_files:
        text = f"{home}: only {inodes.f_favail:,} of {inodes.f_files:,} inodes are left"
        yield warning("disk", text, "delete small files; df -i shows where")
    yield ok("disk", note(patient.settings))


def descriptors(patient: Patient) -> Iterator[Finding]:
    """How many may be open: of the daemon where one runs, else of this process."""
    if patient.process is None:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        used, whose = 0, "processes of this user"
    else:
        try:
            soft, used = _of(patient.process)
        except OSError:
            yield skipped("descriptors", f"process {patient.process} is another user's; run this as root")
            return
        whose = f"process {patient.process}"
    text = f"{whose} may open {soft:,} files" + (f", and has {used:,} open" if used else "")
    if used > _TIGHT * soft:
        yield problem("descriptors", text, "raise LimitNOFILE= in the unit, or look for clients that pile up")
    elif soft < FEWEST:
        yield warning("descriptors", text, "set LimitNOFILE=65536 in the unit, or ulimit -n 65536")
    else:
        yield ok("descriptors", text)


def _of(process: int) -> tuple[int, int]:
    folder = Path(f"/proc/{process}")
    line = next(
        one for one in (folder / "limits").read_text().splitlines() if one.startswith("Max open files")
    )
    soft = line.split()[3]
    return 2**63 if soft == "unlimited" else int(soft), len(list((folder / "fd").iterdir()))


def _existing(path: Path) -> Path:
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
