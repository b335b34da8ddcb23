"""Where a command finds the state directory, and what is wrong with it without a traceback."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

Command = Callable[..., None]


def place(command: Command) -> Command:
    """Add ``-c``, ``--state`` and ``--json``; the command gets ``file``, ``state`` and ``as_json``."""
    for decorate in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON for programs."),
        click.option("--state", "state", type=click.Path(path_type=Path), help="The state directory itself."),
        click.option(
            "-c",
            "--config",
            "file",
            type=click.Path(path_type=Path),
            help="The YAML file, for its state.dir.",
        ),
    ):
        command = decorate(command)
    return command


def directory_of(file: Path | None, state: Path | None, sink: str | None = None) -> Path:
    """The state directory that was meant; a sink that the file does not have is refused where a file is given."""
    if (file is None) == (state is None):
        raise click.UsageError("say where the state is: either -c FILE or --state DIR")
    if state is not None:
        return state
    assert file is not None
    from tickerd.cli.load import load_or_exit

    settings = load_or_exit(file)[0].settings
    if sink is not None and sink not in settings.sinks:
        names = ", ".join(sorted(settings.sinks)) or "none"
        raise click.ClickException(f"{file} has no sink {sink!r} that could take them; it has {names}")
    return settings.state.dir


@contextmanager
def plain_errors(*also: type[Exception]) -> Iterator[None]:
    """What is wrong with the state file, and errors of these types, as a line of text."""
    from tickerd.state import StateError

    expected: tuple[type[Exception], ...] = (StateError, *also)
    try:
        yield
    except expected as error:
        raise click.ClickException(str(error)) from None


def now_ns() -> int:
    """The host's clock, as the daemon reads it at its start."""
    return int(datetime.now(UTC).timestamp() * 1e6) * 1000
