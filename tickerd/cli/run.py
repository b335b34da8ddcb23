"""`tickerd run`: compiles the configuration and runs the daemon in the foreground."""

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tickerd.cli.foreground import Foreground
    from tickerd.config import Compiled
    from tickerd.daemon import Outcome
    from tickerd.runtime.registry import Registry
    from tickerd.systemd import Systemd


@click.command()
@click.option("-c", "--config", "file", type=click.Path(path_type=Path), required=True, help="The YAML file.")
@click.option(
    "--for", "duration", metavar="DURATION", help="Stop by itself after this long, for example 10s."
)
@click.option("--status-line", is_flag=True, help="Show a live line of figures, and a summary at the end.")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="Instead of log.level."
)
def run(file: Path, duration: str | None, status_line: bool, log_level: str | None) -> None:
    """Run the daemon in the foreground until SIGTERM or Ctrl-C.

    \b
    Examples:
      tickerd run -c /etc/tickerd/tickerd.yaml
      tickerd run -c config/demo.yaml --status-line --for 10s
    """
    from tickerd.cli.lean import without

    with without("rich", "twisted"):
        import structlog  # noqa: F401
    from tickerd.cli.load import seconds_or_usage
    from tickerd.systemd import Systemd

    for_s = None if duration is None else seconds_or_usage(duration, "--for")
    with Systemd(os.environ, os.getpid()) as systemd:
        compiled, registry = _load(file, systemd)
        from tickerd.cli.foreground import Foreground

        foreground = Foreground(file, compiled, registry, status_line=status_line, log_level=log_level)
        try:
            outcome = _run(foreground, systemd, for_s)
        finally:
            foreground.close()
    foreground.sum_up(outcome)
    sys.exit(outcome.exit_code)


def _load(file: Path, systemd: "Systemd") -> tuple["Compiled", "Registry"]:
    from tickerd.cli.load import load_or_exit

    try:
        return load_or_exit(file)
    except SystemExit:
        systemd.turn_away()
        raise


def _run(foreground: "Foreground", systemd: "Systemd", for_s: float | None) -> "Outcome":
    """Run the daemon; errors that are no bugs end the command with a sentence."""
    import trio

    from tickerd.plugin.errors import may_pass
    from tickerd.runtime.supervisor import describe
    from tickerd.state import StateDirectory, StateLocked

    try:
        with StateDirectory(foreground.settings.state.dir) as state:
            return trio.run(partial(foreground.run, state, systemd, for_s))
    except (StateLocked, OSError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    except ExceptionGroup as group:  # out of the daemon's nurseries
        if not may_pass(group):
            raise
        raise click.ClickException(describe(group)) from None
