"""`tickerd support-bundle`: what somebody who helps needs to see, and no secret."""

import io
import os
import platform
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tickerd.observe.redact import HIDDEN, Redactor

if TYPE_CHECKING:
    from tickerd.config import Compiled

_DEFAULT = Path("/etc/tickerd/tickerd.yaml")
_LOG_BYTES = 2**20
_LOG_LINES = 2000
_LISTED = 5000
_ROUTES = {"status.json": "/v1/status", "health.json": "/health"}


@click.command("support-bundle")
@click.option(
    "-c",
    "--config",
    "file",
    type=click.Path(path_type=Path),
    default=_DEFAULT,
    show_default=True,
    help="The YAML file.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Where it goes; else a name with the time."
)
@click.option("--offline", is_flag=True, help="As of tickerd doctor: ask nothing beyond this machine.")
def support_bundle(file: Path, output: Path | None, offline: bool) -> None:
    """Write one file for whoever helps you: look into it before you send it.

    In it are versions, the configuration in force with every secret masked, what tickerd doctor says, status and
    health of the daemon where it answers, the last lines of log.file, and names and sizes of the state directory
    and the journal. There are no ticks, keys, tokens or passwords in it, and of URLs only the host.

    \b
    Examples:
      tickerd support-bundle
      tickerd support-bundle -c tickerd.yaml -o bundle.tar.gz
    """
    target = output or Path(f"tickerd-support-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar.gz")
    members = collect(file, is_offline=offline)
    try:
        _write(target, members)
    except FileExistsError:
        raise click.ClickException(f"{target}: is there already; choose another name with -o") from None
    except OSError as error:
        raise click.ClickException(f"{target}: {error.strerror}") from None
    click.echo(f"{target}: {', '.join(members)}")
    click.echo("look into it before you send it: tar -xzf it, and read", err=True)


def collect(file: Path, *, is_offline: bool) -> dict[str, str]:
    """The members' texts by name, redacted. What cannot be had says why, and the others are there."""
    from tickerd.cli.checkup.examination import compiled, environment
    from tickerd.cli.doctor import findings

    config, problems = compiled(file, environment(file, os.environ))
    hide = redactor(config)
    parts: dict[str, Callable[[], str]] = {
        "about.json": lambda: _json(about()),
        "doctor.json": lambda: _json(
            [asdict(one) for one in findings(file, is_offline=is_offline, timeout_s=3.0)]
        ),
        **{name: partial(_answer, file, route) for name, route in _ROUTES.items()},
    }
    if config is None:
        parts["config.txt"] = lambda: "\n".join(one.text for one in problems)
    else:
        parts |= {
            "config.yaml": lambda: shown(config),
            "files.txt": lambda: "\n".join(listing(config.settings.state.dir)),
            "log.txt": lambda: log_lines(config.settings.log.file),
        }
    return {name: hide(_had(part)) + "\n" for name, part in sorted(parts.items())}


def redactor(config: "Compiled | None") -> Redactor:
    """Knows every secret that can be found: of the configuration, of files that it names, of the state directory."""
    hide = Redactor()
    for secret in _secrets(config) if config is not None else ():
        hide.add(secret)
    return hide


def about() -> Mapping[str, Any]:
    """Versions and the machine; no names of it."""
    from importlib import metadata

    from tickerd import __version__
    from tickerd.runtime.registry import Registry

    names = sorted(
        {one.split(";")[0].split(">")[0].split("=")[0].strip() for one in metadata.requires("tickerd") or ()}
    )
    return {
        "tickerd": __version__,
        "python": sys.version,
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "user": "root" if os.geteuid() == 0 else "not root",
        "packages": {name: _version(name) for name in names},
        "plugins": [f"{one.name} of {one.distribution}" for one in Registry.installed().plugins()],
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def shown(config: "Compiled") -> str:
    """The configuration in force; secrets are masked, and of URLs everything behind the host."""
    from ruamel.yaml import YAML

    from tickerd.config.dump import dump

    out, yaml = io.StringIO(), YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(_without_paths(dump(config.settings, config.secret)), out)
    return out.getvalue().rstrip()


def listing(directory: Path) -> Iterator[str]:
    """Modes, sizes and names of what is in the state directory."""
    found = sorted(path for path in directory.rglob("*") if not path.is_dir())
    for path in found[:_LISTED]:
        try:
            status = path.lstat()
        except OSError:
            continue  # gone meanwhile
        when = datetime.fromtimestamp(status.st_mtime, UTC).isoformat(timespec="seconds")
        yield f"{status.st_mode & 0o7777:04o} {status.st_size:>14,} {when} {path.relative_to(directory)}"
    if len(found) > _LISTED:
        yield f"… and {len(found) - _LISTED:,} more"


def log_lines(file: Path | None) -> str:
    """The last of the log file."""
    if file is None:
        return "log.file is not set; under systemd the log is in the journal: journalctl -u tickerd -n 500"
    with file.open("rb") as log:
        log.seek(max(0, file.stat().st_size - _LOG_BYTES))
        text = log.read(_LOG_BYTES).decode("utf-8", "replace")
    return "\n".join(text.splitlines()[-_LOG_LINES:])


def _had(part: Callable[[], str]) -> str:
    try:
        return part()
    except (OSError, ValueError, click.ClickException) as error:
        return f"could not be had: {error.message if isinstance(error, click.ClickException) else error}"


def _answer(file: Path, route: str) -> str:
    from tickerd.cli.address import listening
    from tickerd.cli.client import Client

    return _json(Client(listening(file)[0].address, os.environ.get("TICKERD_KEY"), timeout_s=3.0).get(route))


def _secrets(config: "Compiled") -> Iterator[str]:
    from urllib.parse import urlsplit

    from tickerd.cli.checkup.network import texts
    from tickerd.cli.checkup.secrets import named

    yield from config.secret_texts
    settings = config.settings
    home = settings.state.dir
    for path in (*named(settings), home / "pepper", home / "bootstrap.key", *home.glob("source/*/*login*")):
        yield from _held(path)
    units = [
        *(one.options for one in settings.sources.values()),
        *(one.options for one in settings.sinks.values()),
    ]
    for options in units:
        for text in texts(options):
            if "://" in text and len(rest := text.partition(urlsplit(text).netloc)[2]) >= len("/12345678"):
                yield rest


def _held(path: Path) -> Iterator[str]:
    """What stands in a file: as a whole, by lines, and every text of its JSON."""
    import json

    try:
        text = path.read_text("utf-8", "replace")[:_LOG_BYTES]
    except OSError:
        return
    yield from filter(None, (text.strip(), *map(str.strip, text.splitlines())))
    try:
        held = json.loads(text)
    except ValueError:
        return
    yield from (one for one in held.values() if isinstance(one, str)) if isinstance(held, dict) else ()


def _without_paths(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_paths(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_paths(inner) for inner in value]
    if not isinstance(value, str) or "://" not in value:
        return value
    scheme, _, rest = value.partition("://")
    host, slash, _ = rest.rpartition("@")[2].partition("/")
    return f"{scheme}://{host.partition('?')[0]}{f'/{HIDDEN}' if slash or '?' in host else ''}"


def _version(name: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _json(data: Any) -> str:
    import json

    return json.dumps(data, indent=2, ensure_ascii=False)


def _write(target: Path, members: Mapping[str, str]) -> None:
    handle = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(handle, "wb") as out, tarfile.open(fileobj=out, mode="w:gz") as tar:  # noqa: PTH123 - a descriptor
        for name, text in members.items():
            data = text.encode("utf-8", "replace")
            entry = tarfile.TarInfo(f"tickerd-support/{name}")
            entry.size, entry.mode = len(data), 0o600
            tar.addfile(entry, io.BytesIO(data))
