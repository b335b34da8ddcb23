"""The state directory: there, ours, closed to others, and the state file in it whole."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from tickerd.cli.checkup.finding import Finding, Patient, ok, problem, skipped, warning
from tickerd.state import StateError
from tickerd.state.connection import FILE, connect
from tickerd.state.errors import told
from tickerd.state.soundness import examine

_CHECK = "state"


def state(patient: Patient) -> Iterator[Finding]:
    """Directory, epoch and state file."""
    home = patient.settings.state.dir
    try:
        found = home.stat()
    except FileNotFoundError:
        yield from _absent(home)
        return
    except PermissionError:
        yield skipped(
            _CHECK, f"{home}: this user may not look at it; run this as root or as the daemon's user"
        )
        return
    mode = found.st_mode & 0o777
    if mode & 0o007:
        text = f"{home}: everybody on this machine can enter it (mode {mode:04o})"
        yield problem(_CHECK, text, f"chmod 0750 {home}")
    if os.geteuid() and not os.access(home, os.W_OK):
        text = f"{home}: user id {os.geteuid()} cannot write it"
        yield problem(_CHECK, text, f"run tickerd as its owner (user id {found.st_uid}), or chown it")
    yield from _epoch(home / "epoch")
    yield from _file(home / FILE)
    running = "no tickerd runs on it" if patient.process is None else f"process {patient.process} runs on it"
    yield ok(_CHECK, f"{home}: {running}")


def _absent(home: Path) -> Iterator[Finding]:
    parent = home.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if os.access(parent, os.W_OK):
        yield ok(_CHECK, f"{home}: is not there yet; the first start makes it")
    else:
        text = f"{home}: is not there, and user id {os.geteuid()} cannot make it in {parent}"
        yield problem(_CHECK, text, "make it and give it to the daemon's user, or set state.dir")


def _epoch(file: Path) -> Iterator[Finding]:
    try:
        int(file.read_text("ascii"))
    except (FileNotFoundError, PermissionError):
        return
    except ValueError:
        text = f"{file}: does not hold a number, so that tickerd cannot start"
        yield problem(_CHECK, text, "write the highest epoch seen so far into it; tickerd verify shows it")


def _file(path: Path) -> Iterator[Finding]:
    if not path.exists():
        return
    try:
        with told(path), closing(connect(path, "ro")) as connection:
            examine(connection, path)
    except StateError as error:
        if error.problem in ("unreachable", "read_only", "busy"):
            yield skipped(_CHECK, str(error))
        elif error.problem == "newer":
            yield problem(_CHECK, str(error), "docs/runbooks/rollback.md says how to go back")
        else:
            text = "the next start moves it aside and begins anew; restore a backup first: tickerd restore"
            yield problem(_CHECK, str(error), text)
        return
    for damaged in sorted(path.parent.glob(f"{path.name}.corrupt-*")):
        if not damaged.name.endswith(("-wal", "-shm")):
            text = f"{damaged}: a damaged state file was moved aside; cursors and keys of it are lost to this one"
            yield warning(
                _CHECK, text, "see 'A damaged state file' in docs/operations.md; delete it when done"
            )
