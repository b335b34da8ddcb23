"""`tickerd audit`: who changed what, when and from where."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import click

from tickerd.cli.client import Client
from tickerd.cli.reach import Where, anywhere
from tickerd.cli.table import table

_LONGEST = 100

Entry = Mapping[str, Any]
"""As the control API shows it."""


@click.command()
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000), help="Lines shown.")
@click.option("--before", type=click.IntRange(1), help="Begin before this id.")
@anywhere
def audit(where: Where, *, limit: int, before: int | None, as_json: bool) -> None:
    """Show the audit trail, the newest change first; with --json also what was before and after.

    Asks the running daemon. With -c or --state it works without one, too: then in the state directory.

    \b
    Examples:
      tickerd audit
      tickerd audit --limit 1000 --json | jq '.entries[] | select(.what == "keys.create")'
      tickerd audit --state /var/lib/tickerd
    """
    place = where.place()
    entries = _asked(place, limit, before) if isinstance(place, Client) else _read(place, limit, before)
    if as_json:
        import orjson

        click.echo(orjson.dumps({"entries": entries}, option=orjson.OPT_INDENT_2).decode())
    elif entries:
        click.echo("\n".join(lines(entries)))
    else:
        click.echo("nothing was changed yet")


def lines(entries: Sequence[Entry]) -> Iterator[str]:
    """For people."""
    from tickerd.cli.status import moment

    rows = [
        (one["id"], moment(one["when_ns"]), one["who"], one["origin"], one["what"], _short(one["after"]))
        for one in entries
    ]
    yield from table(("id", "when", "who", "from", "what", "after"), rows)


def _asked(client: Client, limit: int, before: int | None) -> list[Entry]:
    return list(client.every("/v1/audit", most=limit, after=before))


def _read(directory: Path, limit: int, before: int | None) -> list[Entry]:
    from dataclasses import asdict

    from tickerd.cli.place import plain_errors
    from tickerd.state import audit, tools

    with plain_errors(), tools.reading(directory) as connection:
        return [asdict(entry) for entry in islice(_pages(audit, connection, before), limit)]


def _pages(audit: Any, connection: Any, before: int | None) -> Iterator[Any]:
    while page := audit.page(connection, before=before, limit=audit.PAGE):
        yield from page
        before = page[-1].id


def _short(value: Any) -> str:
    import orjson

    text = orjson.dumps(value).decode()
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
