"""`tickerd doctor`: looks at everything that a start or a trading day depends on, and says what to do."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tickerd.observe.clean import escape

if TYPE_CHECKING:
    from tickerd.cli.checkup.finding import Finding

_COLOURS = {"ok": "green", "skipped": "blue", "warning": "yellow", "problem": "red"}


@click.command(
    epilog="""
\b
Examples:
  tickerd doctor -c /etc/tickerd/tickerd.yaml
  tickerd doctor -c /etc/tickerd/tickerd.yaml --offline
  tickerd doctor -c /etc/tickerd/tickerd.yaml --json

\b
Exit codes:
  0   there is no problem; there may be warnings
  1   there is at least one
"""
)
@click.option("-c", "--config", "file", type=click.Path(path_type=Path), required=True, help="The YAML file.")
@click.option("--offline", is_flag=True, help="Ask nothing beyond this machine: no DNS, no connection.")
@click.option("--timeout", default="5s", show_default=True, metavar="DURATION", help="For each answer.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.pass_context
def doctor(context: click.Context, file: Path, offline: bool, timeout: str, as_json: bool) -> None:
    """Look at configuration, secrets, state, disk, descriptors, clock, network, ports, systemd and journal.

    Nothing is changed, and the daemon may be running. Run it as root or as the daemon's user: what this user may
    not look at is skipped, and told. Of the addresses in the configuration only host and port are shown, and
    connections to them carry no credential.
    """
    from tickerd.cli.load import seconds_or_usage

    found = list(findings(file, is_offline=offline, timeout_s=seconds_or_usage(timeout, "--timeout")))
    worst = any(one.level == "problem" for one in found)
    click.echo(_json(found, is_well=not worst) if as_json else "\n".join(_lines(found)))
    if worst:
        context.exit(1)


def findings(file: Path, *, is_offline: bool, timeout_s: float) -> "Iterator[Finding]":
    """All there is to be said."""
    from tickerd.cli.checkup.examination import compiled, environment, examine
    from tickerd.cli.checkup.finding import Patient, skipped
    from tickerd.cli.reach import holder

    env = environment(file, os.environ)
    config, said = compiled(file, env)
    yield from said
    if config is None:
        yield skipped("all else", "the configuration says where to look; mend it first")
        return
    process = holder(config.settings.state.dir)
    yield from examine(Patient(file, config, env, process, is_offline, timeout_s))


def _lines(found: "Iterable[Finding]") -> Iterator[str]:
    counts = dict.fromkeys(("problem", "warning"), 0)
    for one in found:
        counts[one.level] = counts.get(one.level, 0) + 1
        yield f"{click.style(f'{one.level:<8}', fg=_COLOURS[one.level])} {one.check:<12} {escape(one.text)}"
        if one.do:
            yield f"{'':<21} → {escape(one.do)}"
    yield f"{counts['problem']} problems, {counts['warning']} warnings"


def _json(found: "Iterable[Finding]", *, is_well: bool) -> str:
    import json
    from dataclasses import asdict

    return json.dumps(
        {"ok": is_well, "findings": [asdict(one) for one in found]}, indent=2, ensure_ascii=False
    )
