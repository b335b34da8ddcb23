"""Whether the addresses to listen on are free, or held by the daemon that shall have them."""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from tickerd.cli.checkup.finding import Finding, Patient, ok, problem, warning
from tickerd.config.access import listeners_in

_LISTEN = "0A"
_MANAGER = 1
"""systemd: it holds sockets open for a service."""
_SINGLE = 4


def ports(patient: Patient) -> Iterator[Finding]:
    """Of the control API, of ``hooks`` and of each sink."""
    for address in addresses(patient):
        if address.startswith("unix:"):
            yield from _unix(Path(address.removeprefix("unix:")), patient.process)
        else:
            yield from _tcp(address, patient.process)


def addresses(patient: Patient) -> list[str]:
    """All of them, each once."""
    settings = patient.settings
    found = [entry.address for _, entry in listeners_in(settings.control)]
    found += [] if settings.hooks is None else [settings.hooks.listen]
    for sink in settings.sinks.values():
        found += [entry.address for _, entry in listeners_in(sink.options)]
    return list(dict.fromkeys(found))


def _tcp(address: str, process: int | None) -> Iterator[Finding]:
    host, _, port = address.rpartition(":")
    try:
        found = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, kind, protocol, _, place in found:
            with closing(socket.socket(family, kind, protocol)) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind(place)
    except PermissionError:
        yield warning(
            "ports", f"{address}: this user may not open it", "a .socket unit opens ports below 1024"
        )
        return
    except OSError as error:
        if isinstance(error, socket.gaierror) or error.errno != 98:
            yield problem("ports", f"{address}: {error.strerror}", "is this one of this machine's addresses?")
        else:
            yield _taken(address, holders(int(port)), process)
        return
    yield ok("ports", f"{address}: free")


def _taken(address: str, found: dict[int, str], process: int | None) -> Finding:
    if process is not None and process in found:
        return ok("ports", f"{address}: held by the running tickerd (process {process})")
    if _MANAGER in found:
        return ok("ports", f"{address}: held open by systemd")
    if found:
        names = ", ".join(f"{name} (process {number})" for number, name in sorted(found.items()))
        text = f"{address}: taken by {names}"
        return problem("ports", text, "end that program, or choose another port")
    if process is not None:
        text = f"{address}: in use; whether by tickerd (process {process}), this user cannot see"
        return warning("ports", text, "run this as root to be sure")
    return problem(
        "ports", f"{address}: taken, and no tickerd runs", f"ss -ltnp 'sport = :{address.rpartition(':')[2]}'"
    )


def holders(port: int) -> dict[int, str]:
    """Processes that listen on a TCP port, with their names; of other users only root sees them."""
    wanted = {f"socket:[{inode}]" for inode in _inodes(port)}
    found: dict[int, str] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and wanted and _has(folder, wanted):
            try:
                found[int(folder.name)] = (folder / "comm").read_text().strip()
            except OSError:
                continue
    return found


def _has(folder: Path, wanted: set[str]) -> bool:
    try:
        with os.scandir(folder / "fd") as entries:
            return any(_target(entry.path) in wanted for entry in entries)
    except OSError:
        return False  # another user's, or gone


def _target(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 - it is no path
    except OSError:
        return ""


def _inodes(port: int) -> Iterator[str]:
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _unix(path: Path, process: int | None) -> Iterator[Finding]:
    try:
        found = path.stat()
    except PermissionError:
        yield warning("ports", f"unix:{path}: this user may not look there", "run this as root")
        return
    except OSError:
        if path.absolute().parent.is_dir():
            yield ok("ports", f"unix:{path}: free")
        else:
            yield problem(
                "ports", f"unix:{path}: its directory is not there", f"make {path.absolute().parent}"
            )
        return
    if not stat.S_ISSOCK(found.st_mode):
        yield problem("ports", f"unix:{path}: a file is in its place", "move it away")
        return
    if found.st_mode & 0o007:
        do = "SocketMode=0660 in the .socket unit; tickerd itself makes it so"
        yield problem("ports", f"unix:{path}: everybody on this machine can open it", do)
    listening = _listener(path)
    if listening is None:
        yield ok("ports", f"unix:{path}: left over, nobody listens")
    elif listening in (process, _MANAGER):
        yield ok("ports", f"unix:{path}: process {listening} listens")
    elif process is None:
        text = f"unix:{path}: process {listening} listens, and no tickerd is seen to run on state.dir"
        yield warning(
            "ports", text, "is it another daemon with the same address? run this as root to be sure"
        )
    else:
        text = f"unix:{path}: process {listening} listens, and tickerd is process {process}"
        yield problem("ports", text, "two daemons have the same address; give one another control.listen")


def _listener(path: Path) -> int | None:
    from tickerd.cli.client import Client

    return Client(f"unix:{path}", timeout_s=_SINGLE).process()
