"""The running daemon where one runs, else the files that it left: for commands that work on either."""

import fcntl
import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from tickerd.cli.client import Client, client_of, options
from tickerd.cli.place import directory_of

Command = Callable[..., None]


@dataclass(frozen=True)
class Where:
    """What the command line said; `place` makes something of it."""

    file: Path | None
    state: Path | None
    path: str
    url: str | None
    key: str | None

    @property
    def is_files(self) -> bool:
        """Whether a state directory was named."""
        return self.state is not None or self.file is not None

    def place(self, sink: str | None = None) -> Client | Path:
        """The daemon, or the state directory; which of them it is goes to standard error where both were possible.

        Args:
            sink: refused where the file that was named does not have it.
        """
        if not self.is_files:
            return client_of(path=self.path, url=self.url, key=self.key, file=None)
        if self.state is not None and self.url is not None and _is_said("url"):
            raise click.UsageError("give --url or --state, not both")
        directory = directory_of(self.file, self.state, sink)
        process = holder(directory)
        client = None if process is None else self._daemon(process)
        if client is not None:
            click.echo(f"asking the running tickerd (process {process}) at {client.address}", err=True)
            return client
        state = "no tickerd runs on it" if process is None else f"process {process} runs on it"
        click.echo(f"in {directory} itself: {state}", err=True)
        return directory

    def _daemon(self, holder: int) -> Client | None:
        """The control API of the process that holds the directory, if it has one that may do everything.

        Somebody else's daemon may listen at the address: the process has to be the same.
        """
        addresses = [f"unix:{self.path}"]
        if self.file is not None and not _is_said("path"):
            from tickerd.cli.address import listening

            try:
                found = listening(self.file)
            except click.ClickException:
                return None
            addresses = [one.address for one in found if one.is_unix and not one.is_narrowed]
        for address in addresses:
            client = Client(address, self.key)
            if client.process() == holder:
                return client
        return None


def anywhere(command: Command) -> Command:
    """Adds ``--json``, and all that says where; the command is handed a `Where` first, and ``as_json``."""

    @options
    @click.option("--state", "state", type=click.Path(path_type=Path), help="The state directory itself.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
    @functools.wraps(command)
    def wrapped(
        file: Path | None, state: Path | None, path: str, url: str | None, key: str | None, **arguments: Any
    ) -> None:
        command(Where(file, state, path, url, key), **arguments)

    return wrapped


def _is_said(name: str) -> bool:
    """Whether an option stands on the command line itself."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def holder(directory: Path) -> int | None:
    """The process that holds the state directory; None where nobody does, or it cannot be told.

    The lock is tried only while the process that it names lives: a daemon that starts must not find it taken by us.
    """
    try:
        lock = os.open(directory / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        text = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
        if not text.isdigit() or not Path(f"/proc/{text}").exists():
            return None
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(text)
    except OSError:
        return None
    finally:
        os.close(lock)
    return None
