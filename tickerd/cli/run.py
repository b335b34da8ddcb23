"""`tickerd run`: compiles the configuration and runs the daemon in the foreground."""

import os
import sys
from functools import partial
from pathlib import Path

import click


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
    import trio

    from tickerd.cli.load import load_or_exit, seconds_or_usage
    from tickerd.config import Compiled, load
    from tickerd.daemon import Daemon, Hooks, Outcome, Program
    from tickerd.observe import logging
    from tickerd.observe.status import StatusLine, summary
    from tickerd.plugin.errors import may_pass
    from tickerd.runtime.observers import Observers
    from tickerd.runtime.supervisor import describe
    from tickerd.state import StateDirectory, StateLocked
    from tickerd.systemd import Systemd

    for_s = None if duration is None else seconds_or_usage(duration, "--for")
    compiled, registry = load_or_exit(file)
    settings = compiled.settings
    log = settings.log
    try:
        handle = logging.configure(
            level=log_level or log.level,
            format="console" if log.format == "text" else log.format,
            file=log.file,
            rotate_size=log.rotate_size,
            keep_s=log.keep,
            compress="gzip" if log.compress else "none",
            stream=sys.stderr if status_line else sys.stdout,
            status_line=status_line,
            secrets=compiled.secret_texts,
        )
    except OSError as error:
        raise click.ClickException(f"{log.file}: {error.strerror}; change log.file") from None
    line = StatusLine(sys.stderr) if status_line else None
    observers = Observers(registry)
    observers.settings_applied(settings)

    def leave(code: int) -> None:
        handle.close()
        os._exit(code)

    def applied(new: Compiled) -> None:
        handle.set_level(log_level or new.settings.log.level)
        observers.settings_applied(new.settings)

    async def main(state: StateDirectory, systemd: Systemd) -> Outcome:
        hooks = Hooks(
            leave=leave,
            tell=line.show if line else lambda _: None,
            changed=observers.unit_changed,
            hide=handle.redactor.add,
            applied=applied,
        )
        program = Program(file, compiled, registry, lambda: load(file, registry, os.environ))
        return await Daemon(program, state, hooks, systemd).run(for_s=for_s)

    try:
        with Systemd(os.environ, os.getpid()) as systemd, StateDirectory(settings.state.dir) as state:
            outcome = trio.run(partial(main, state, systemd))
    except (StateLocked, OSError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    except ExceptionGroup as group:  # out of the daemon's nurseries
        if not may_pass(group):
            raise
        raise click.ClickException(describe(group)) from None
    finally:
        if line:
            line.end()
        handle.close()
    if status_line:
        click.echo(summary(outcome.snapshot), err=True)
    sys.exit(outcome.exit_code)
