"""The journal: what there is, what is known to be bad, and whether its end is whole."""

from collections.abc import Iterator
from pathlib import Path

from tickerd.cli.checkup.finding import Finding, Patient, ok, problem, skipped, warning
from tickerd.cli.codecs import InstalledCodecs
from tickerd.journal.audit import audit
from tickerd.journal.catalog import quarantined, segments
from tickerd.journal.files import Files
from tickerd.observe.status import size

_CHECK = "journal"


def journal(patient: Patient) -> Iterator[Finding]:
    """The newest segment is read from end to end; `tickerd verify` reads them all."""
    if patient.settings.journal is None:
        yield warning(
            _CHECK, "is off: what a sink misses is lost", "remove journal: off, unless that is meant"
        )
        return
    directory = patient.settings.state.dir / "journal"
    try:
        found, bad = segments(directory, Files()), quarantined(directory, Files())
    except FileNotFoundError:
        yield ok(_CHECK, "there is none yet")
        return
    except OSError as error:
        yield skipped(_CHECK, f"{directory}: {error.strerror}; run this as root or as the daemon's user")
        return
    yield from (_unreadable(path) for path in bad)
    if not found:
        yield ok(_CHECK, f"{directory}: empty")
        return
    newest = found[-1]
    report = audit([newest], InstalledCodecs(), among=found)
    taken = sum(_size(one.path) for one in found)
    about = f"{directory}: {len(found):,} segments, {size(taken)}"
    if report.wrong:
        text = f"{about}; {newest.path.name} is damaged, or lacks what nobody told"
        yield problem(_CHECK, text, "tickerd verify shows all of it; look at the disk: dmesg, smartctl")
    else:
        yield ok(_CHECK, f"{about}; the newest is whole")


def _unreadable(path: Path) -> Finding:
    do = "tickerd verify; what it held is lost, move it away when you have looked at it"
    return problem(_CHECK, f"{path}: could not be read and was set aside", do)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # compressed or removed meanwhile
