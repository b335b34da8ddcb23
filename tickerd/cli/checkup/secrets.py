"""Who else can read the files that hold secrets."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from tickerd.cli.checkup.finding import Finding, Patient, ok, problem, skipped, warning
from tickerd.config import Settings
from tickerd.config.excerpt import looks_secret
from tickerd.plugin.listening import TlsSettings

_REFERENCE = re.compile(r"\$\{file:(/[^{}\n]+)\}")
_CHECK = "secrets"


def secrets(patient: Patient) -> Iterator[Finding]:
    """Configuration files with secrets in them, files that they name, private keys, the state directory's own."""
    files = set(_written(patient)) | set(_named(patient)) | set(_own(patient))
    found = [finding for path in sorted(files) if (finding := _judged(path)) is not None]
    yield from found
    if not any(one.level == "problem" for one in found):
        yield ok(_CHECK, f"{len(files)} files with secrets, none open to everybody")


def config_files(file: Path) -> list[Path]:
    """The main file and its ``conf.d``."""
    beside = sorted((file.parent / "conf.d").glob("*.yaml"))
    return [file, *(path for path in beside if not path.name.startswith("."))]


def _written(patient: Patient) -> Iterator[Path]:
    """Files of the configuration that hold a secret themselves; the name of a file is none."""
    texts = patient.compiled.secret_texts - set(map(str, _named(patient)))
    for path in config_files(patient.file):
        text = path.read_text("utf-8", "replace")
        if any(secret in text for secret in texts):
            yield path


def _named(patient: Patient) -> Iterator[Path]:
    """Files that references and options name."""
    for path in config_files(patient.file):
        yield from map(Path, _REFERENCE.findall(path.read_text("utf-8", "replace")))
    yield from named(patient.settings)


def named(settings: Settings) -> Iterator[Path]:
    """Files with secrets that options name."""
    for section in (settings.sources, settings.sinks, settings.auth):
        for unit in section.values():
            yield from _paths(unit.options)
    for part in (settings.control, settings.hooks):
        if part is not None:
            yield from _paths(part)


def _paths(value: Any) -> Iterator[Path]:
    """Options that are files, and sound like a secret or are a private key."""
    if isinstance(value, TlsSettings):
        yield value.key
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            inner = getattr(value, name)
            if isinstance(inner, Path) and looks_secret(name.removesuffix("_file")):
                yield inner
            else:
                yield from _paths(inner)
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from _paths(inner)
    elif isinstance(value, dict):
        yield from _paths(list(value.values()))


def _own(patient: Patient) -> Iterator[Path]:
    home = patient.settings.state.dir
    yield from (path for name in ("pepper", "bootstrap.key") if (path := home / name).exists())


def _judged(path: Path) -> Finding | None:
    try:
        mode = path.stat().st_mode & 0o777
    except PermissionError:
        return skipped(_CHECK, f"{path}: this user may not look at it")
    except OSError:
        return None  # not there yet; a configuration that needs it says so itself
    if mode & 0o007:
        return problem(
            _CHECK, f"{path}: everybody on this machine can reach it (mode {mode:04o})", f"chmod o= {path}"
        )
    if mode & 0o020:
        return warning(_CHECK, f"{path}: its group can write it (mode {mode:04o})", f"chmod g-w {path}")
    return None
