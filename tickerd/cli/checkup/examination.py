"""The whole check-up: the configuration first, since all else depends on it, then everything it names."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from tickerd.cli.checkup import clock, journal, network, ports, room, secrets, service, state
from tickerd.cli.checkup.finding import Check, Finding, Patient, ok, problem, warning
from tickerd.config import Compiled, ConfigError, load
from tickerd.runtime.registry import Registry

CHECKS: tuple[Check, ...] = (
    secrets.secrets,
    state.state,
    room.disk,
    room.descriptors,
    clock.clock,
    network.network,
    ports.ports,
    service.service,
    journal.journal,
)
_CREDENTIALS = "CREDENTIALS_DIRECTORY"
_RUNNING = "/run/credentials/tickerd.service"


def environment(file: Path, env: Mapping[str, str]) -> dict[str, str]:
    """With what systemd would hand the service, where this user can look at it."""
    if _CREDENTIALS in env:
        return dict(env)
    for place in (Path(_RUNNING), file.parent / "credentials"):
        if place.is_dir() and os.access(place, os.R_OK | os.X_OK):
            return {**env, _CREDENTIALS: str(place)}
    return dict(env)


def compiled(file: Path, env: Mapping[str, str]) -> tuple[Compiled | None, list[Finding]]:
    """The configuration, and what is to be said of it."""
    try:
        found = load(file, Registry.installed(), env)
    except ConfigError as error:
        do = f"tickerd check {file}"
        return None, [problem("config", one.text().splitlines()[0], do) for one in error.problems]
    said = [warning("config", one.text().splitlines()[0], f"tickerd check {file}") for one in found.warnings]
    settings = found.settings
    text = f"{file}: {len(settings.sources)} sources, {len(settings.sinks)} sinks"
    return found, [*said, ok("config", text)]


def examine(patient: Patient) -> Iterator[Finding]:
    """Everything but the configuration. A check that fails itself says so, and the others go on."""
    for check in CHECKS:
        try:
            yield from check(patient)
        except Exception as error:  # noqa: BLE001 - a check-up has to come to its end
            name = check.__name__
            text = f"could not be looked at: {type(error).__name__}"
            yield problem(name, text, "tell the makers of tickerd: this is a mistake in it")
