"""systemd: its version, and whether it understands our unit."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tickerd.cli.checkup.finding import Finding, Patient, ok, skipped, warning

OLDEST = 252
_FOLDERS = (
    "/etc/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
_UNIT = "tickerd.service"
_TIMEOUT_S = 15.0

Run = Callable[[Sequence[str]], str]


def service(
    patient: Patient, run: "Run | None" = None, folders: Sequence[str] = _FOLDERS
) -> Iterator[Finding]:
    """Where there is no systemd there is nothing to look at."""
    del patient
    run = run or _output
    if (told := run(("systemctl", "--version"))) == "":
        yield skipped("systemd", "there is no systemd here")
        return
    match = re.match(r"systemd (\d+)", told)
    if match is None or int(match[1]) < OLDEST:
        version = match[1] if match else "of an unknown version"
        yield warning(
            "systemd", f"systemd is {version}", f"the unit is made for {OLDEST} and newer: use a newer system"
        )
    else:
        yield ok("systemd", f"version {match[1]}")
    unit = next((path for folder in folders if (path := Path(folder) / _UNIT).exists()), None)
    if unit is None:
        yield skipped("systemd", f"no {_UNIT} is installed")
        return
    if complaint := run(("systemd-analyze", "verify", "--man=no", str(unit))):
        first = complaint.splitlines()[0]
        yield warning("systemd", f"{unit}: {first}", f"systemd-analyze verify {unit} shows all of it")
    else:
        yield ok("systemd", f"{unit}: systemd understands all of it")


def _output(command: Sequence[str]) -> str:
    """All that it prints; nothing where it is not there or does not end."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = subprocess.run(  # noqa: S603 - ours, without a shell
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout + done.stderr).strip()
