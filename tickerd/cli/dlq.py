"""`tickerd dlq`: what the sinks refused for good; look at it, have it offered again, or drop it."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tickerd.cli.place import Command, directory_of, now_ns, place, plain_errors

if TYPE_CHECKING:
    from tickerd.state.audit import Change

_RANGE = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?", re.ASCII)
_REDRIVE_NOTE = "it is done at the sink's next start, and by a running daemon once it notices"


def _choice(command: Command) -> Command:
    """Which letters of which sink."""
    for decorate in (
        click.option("--all", "everything", is_flag=True, help="All letters of the sink."),
        click.argument("letters", metavar="[ID|FROM-TO]…", nargs=-1),
        click.argument("sink"),
    ):
        command = decorate(command)
    return command


@click.group()
def dlq() -> None:
    """Look at dead letters: the ticks and records that a sink refused for good, and why.

    Works beside a running daemon, and without one.

    \b
    Examples:
      tickerd dlq ls -c /etc/tickerd/tickerd.yaml
      tickerd dlq ls archive --state /var/lib/tickerd
      tickerd dlq show archive 17 --state /var/lib/tickerd
      tickerd dlq redrive archive 17 20-29 --state /var/lib/tickerd
      tickerd dlq drop archive --all --yes --state /var/lib/tickerd
    """


@dlq.command("ls")
@click.argument("sink", required=False)
@click.option("--after", default=0, show_default=True, type=click.IntRange(0), help="Begin after this id.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 999), help="Letters shown.")
@place
def list_letters(
    sink: str | None, after: int, limit: int, file: Path | None, state: Path | None, as_json: bool
) -> None:
    """List the sinks that have dead letters, or the letters of one SINK, oldest first."""
    from tickerd.cli import letters
    from tickerd.state import deadletters, tools

    with plain_errors(), tools.reading(directory_of(file, state)) as connection:
        sinks = deadletters.totals(connection)
        found = [] if sink is None else deadletters.page(connection, sink, after=after, limit=limit + 1)
    if sink is None:
        click.echo(letters.sinks(sinks, as_json))
    else:
        click.echo(letters.page(sink, found[:limit], more=len(found) > limit, as_json=as_json))


@dlq.command()
@click.argument("sink")
@click.argument("letter", metavar="ID", type=click.IntRange(1, 2**63 - 1))
@place
def show(sink: str, letter: int, file: Path | None, state: Path | None, as_json: bool) -> None:
    """Show one letter of SINK whole: why, how often, what was answered, and the record itself."""
    from tickerd.cli.letters import whole
    from tickerd.state import deadletters, tools

    with plain_errors(), tools.reading(directory_of(file, state)) as connection:
        found = deadletters.get(connection, sink, letter)
    if found is None:
        raise click.ClickException(f"{sink!r} has no dead letter {letter}; list them with tickerd dlq ls")
    click.echo(whole(found, as_json))


@dlq.command()
@_choice
@place
def redrive(
    sink: str, letters: Sequence[str], everything: bool, file: Path | None, state: Path | None, as_json: bool
) -> None:
    """Have letters offered to SINK again.

    They are marked in the state file. One that is taken is gone then, one that is refused again stays.
    """
    from tickerd.cli.letters import counted, json_text
    from tickerd.state import audit, deadletters, tools

    ranges, when = _ranges(letters, everything), now_ns()
    with plain_errors(), tools.writing(directory_of(file, state, sink)) as connection:
        marked = deadletters.request_redrive(connection, sink, ranges, now_ns=when)
        waiting = next((one.redrives for one in deadletters.totals(connection) if one.sink == sink), 0)
        if marked:
            audit.append(connection, _change("dlq.redrive", sink, ranges, marked, when))
    _require(marked, f"{sink!r} has no such dead letter that is not waiting already")
    text = f"{counted(marked)} of {sink!r} will be offered again; {_REDRIVE_NOTE}"
    click.echo(json_text({"sink": sink, "marked": marked, "waiting": waiting}) if as_json else text)


@dlq.command()
@_choice
@click.option("--yes", is_flag=True, help="Do not ask.")
@place
def drop(
    sink: str,
    letters: Sequence[str],
    everything: bool,
    yes: bool,
    file: Path | None,
    state: Path | None,
    as_json: bool,
) -> None:
    """Delete letters of SINK for good, after asking."""
    from tickerd.cli.letters import counted, json_text
    from tickerd.state import audit, deadletters, tools

    ranges, directory = _ranges(letters, everything), directory_of(file, state)
    with plain_errors(), tools.reading(directory) as connection:
        # what comes while we ask was not meant
        ranges = [(1, deadletters.newest(connection, sink))] if ranges is None else ranges
        there = deadletters.count(connection, sink, ranges)
    _require(there, f"{sink!r} has no such dead letter")
    if not yes:
        click.confirm(f"delete {counted(there)} of {sink!r} for good?", abort=True, err=True)
    when = now_ns()
    with plain_errors(), tools.writing(directory) as connection:
        dropped = deadletters.drop(connection, sink, ranges)
        audit.append(connection, _change("dlq.drop", sink, ranges, dropped, when))
    text = f"{counted(dropped)} of {sink!r} deleted"
    click.echo(json_text({"sink": sink, "dropped": dropped}) if as_json else text)


def _ranges(letters: Sequence[str], everything: bool) -> Sequence[tuple[int, int]] | None:
    if everything == bool(letters):
        raise click.UsageError("say which letters: their ids, such as 5 or 7-12, or --all")
    if everything:
        return None
    ranges: list[tuple[int, int]] = []
    for first, last in sorted(map(_range, letters)):
        if ranges and first <= ranges[-1][1]:  # so that none is counted twice
            ranges[-1] = (ranges[-1][0], max(last, ranges[-1][1]))
        else:
            ranges.append((first, last))
    return ranges


def _range(text: str) -> tuple[int, int]:
    match = _RANGE.fullmatch(text)
    if match is None or int(match[2] or match[1]) < int(match[1]):
        raise click.BadParameter(f"{text!r} is neither an id nor a range such as 7-12", param_hint="ID")
    return int(match[1]), int(match[2] or match[1])


def _change(
    what: str, sink: str, ranges: Sequence[tuple[int, int]] | None, letters: int, when: int
) -> "Change":
    import os

    from tickerd.state.audit import Change

    after = {"sink": sink, "ids": ranges or "all", "letters": letters}
    return Change(when_ns=when, who=f"uid {os.getuid()}", what=what, origin="cli", after=after)


def _require(number: int, text: str) -> None:
    if not number:
        raise click.ClickException(f"{text}; list them with tickerd dlq ls")
