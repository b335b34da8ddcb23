"""`tickerd dlq`: what the sinks refused for good; look at it, have it offered again, or drop it."""

import re
from collections.abc import Sequence

import click

from tickerd.cli.letterbox import letterbox
from tickerd.cli.reach import Command, Where, anywhere

_RANGE = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?", re.ASCII)
_REDRIVE_NOTE = "a running daemon does it within seconds, else it is done at the sink's next start"


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

    Asks the running daemon. With -c or --state it works without one, too: then in the state directory.

    \b
    Examples:
      tickerd dlq ls
      tickerd dlq ls archive --state /var/lib/tickerd
      tickerd dlq show archive 17 -c /etc/tickerd/tickerd.yaml
      tickerd dlq redrive archive 17 20-29
      tickerd dlq drop archive --all --yes
    """


@dlq.command("ls")
@click.argument("sink", required=False)
@click.option("--after", default=0, show_default=True, type=click.IntRange(0), help="Begin after this id.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 999), help="Letters shown.")
@anywhere
def list_letters(where: Where, *, sink: str | None, after: int, limit: int, as_json: bool) -> None:
    """List the sinks that have dead letters, or the letters of one SINK, oldest first."""
    from tickerd.cli import letters

    box = letterbox(where.place())
    if sink is None:
        click.echo(letters.sinks(box.totals(), as_json))
        return
    found = box.page(sink, after, limit + 1)
    click.echo(letters.page(sink, found[:limit], more=len(found) > limit, as_json=as_json))


@dlq.command()
@click.argument("sink")
@click.argument("letter", metavar="ID", type=click.IntRange(1, 2**63 - 1))
@anywhere
def show(where: Where, *, sink: str, letter: int, as_json: bool) -> None:
    """Show one letter of SINK whole: why, how often, what was answered, and the record itself."""
    from tickerd.cli.letters import whole

    found = letterbox(where.place()).whole(sink, letter)
    if found is None:
        raise click.ClickException(f"{sink!r} has no dead letter {letter}; list them with tickerd dlq ls")
    click.echo(whole(found, as_json))


@dlq.command()
@_choice
@anywhere
def redrive(where: Where, *, sink: str, letters: Sequence[str], everything: bool, as_json: bool) -> None:
    """Have letters offered to SINK again.

    They are marked in the state file. One that is taken is gone then, one that is refused again stays.
    """
    from tickerd.cli.letters import counted, json_text

    ranges = _ranges(letters, everything)
    marked, waiting = letterbox(where.place(sink)).redrive(sink, ranges)
    text = f"{counted(marked)} of {sink!r} will be offered again; {_REDRIVE_NOTE}"
    click.echo(json_text({"sink": sink, "marked": marked, "waiting": waiting}) if as_json else text)


@dlq.command()
@_choice
@click.option("--yes", is_flag=True, help="Do not ask.")
@anywhere
def drop(
    where: Where, *, sink: str, letters: Sequence[str], everything: bool, yes: bool, as_json: bool
) -> None:
    """Delete letters of SINK for good, after asking."""
    from tickerd.cli.letters import counted, json_text

    ranges = _ranges(letters, everything)
    box = letterbox(where.place())
    if ranges is None:
        # what comes while we ask was not meant
        ranges = [(1, box.newest(sink))]
        if not ranges[0][1]:
            raise click.ClickException(f"{sink!r} has no dead letter; list them with tickerd dlq ls")
    if not yes:
        there = box.count(sink, ranges)
        what = "these dead letters" if there is None else counted(there)
        if there == 0:
            raise click.ClickException(f"{sink!r} has no such dead letter; list them with tickerd dlq ls")
        click.confirm(f"delete {what} of {sink!r} for good?", abort=True, err=True)
    dropped = box.drop(sink, ranges)
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
