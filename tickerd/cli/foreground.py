"""What `tickerd run` puts around a daemon: its log, those that observe it, and what it calls outside."""

import os
import sys
from pathlib import Path

import click

from tickerd.config import Compiled, load
from tickerd.daemon import Daemon, Hooks, Outcome, Program
from tickerd.observe import logging
from tickerd.observe.status import StatusLine, summary
from tickerd.runtime.observers import Observers
from tickerd.runtime.registry import Registry
from tickerd.state import StateDirectory
from tickerd.systemd import Systemd


class Foreground:
    """One run. From the time it is made it is the one that logs; `close` it.

    Args:
        file: the configuration, read again at a reload.
        compiled: the same, compiled.
        registry: the plugins that it names.
        status_line: show a live line of figures on standard error.
        log_level: instead of the configuration's.
    """

    def __init__(
        self, file: Path, compiled: Compiled, registry: Registry, *, status_line: bool, log_level: str | None
    ) -> None:
        self.settings = compiled.settings
        self._compiled = compiled
        self._log_level = log_level
        self._handle = _configure_log(compiled, status_line=status_line, level=log_level)
        self._line = StatusLine(sys.stderr) if status_line else None
        self._observers = Observers(registry)
        self._observers.settings_applied(self.settings)
        self._program = Program(file, compiled, registry, lambda: load(file, registry, os.environ))

    async def run(self, state: StateDirectory, systemd: Systemd, for_s: float | None) -> Outcome:
        """The daemon, until it has stopped."""
        hooks = Hooks(
            leave=self._leave,
            tell=self._line.show if self._line else lambda _: None,
            changed=self._observers.unit_changed,
            hide=self._handle.redactor.add,
            applied=self._applied,
        )
        return await Daemon(self._program, state, hooks, systemd).run(for_s=for_s)

    def close(self) -> None:
        """Everything that was to be shown has been."""
        if self._line:
            self._line.end()
        self._handle.close()

    def sum_up(self, outcome: Outcome) -> None:
        """The last figures, where figures are shown."""
        if self._line:
            click.echo(summary(outcome.snapshot), err=True)

    def _leave(self, code: int) -> None:
        self._handle.close()
        os._exit(code)

    def _applied(self, new: Compiled) -> None:
        self._handle.set_level(self._log_level or new.settings.log.level)
        self._observers.settings_applied(new.settings)


def _configure_log(compiled: Compiled, *, status_line: bool, level: str | None) -> logging.LoggingHandle:
    log = compiled.settings.log
    try:
        return logging.configure(
            level=level or log.level,
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
