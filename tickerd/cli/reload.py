"""`tickerd reload`: has the running daemon read its file again, and tells what came of it."""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import click

from tickerd.cli.client import ApiError, Client, api
from tickerd.observe.clean import escape

WAIT_S = 310.0
"""As long as the daemon tries, and a little more."""
CONFIG_WRONG = 78


@click.command()
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@api
def reload(client: Client, dry_run: bool, as_json: bool) -> None:
    """Have the daemon read its file again and go over to it; wait until that is done.

    Either all of it is in force afterwards, or everything runs on as before. Exits with 78 when the file is wrong,
    and with 1 when it could not be applied or the daemon does not answer.

    \b
    Examples:
      tickerd reload
      tickerd reload --dry-run
      tickerd reload --json | jq .needs_restart
    """
    target = f"/v1/reload?dry_run={str(dry_run).lower()}"
    try:
        done = client.ask("POST", target, timeout_s=WAIT_S)
    except ApiError as error:
        if as_json and error.problem:
            click.echo(_json(error.problem))
        if not (problems := error.problem.get("problems")):
            raise
        click.echo("\n".join(mistakes(problems)), err=True)
        sys.exit(CONFIG_WRONG)
    if as_json:
        click.echo(_json(done))
    else:
        click.echo("\n".join(lines(done)))


def lines(done: Mapping[str, Any]) -> Iterator[str]:
    """What came of it, for people."""
    from tickerd.cli import plan

    yield from mistakes(done["warnings"], "warning")
    if done["plan"] is not None:
        yield from map(_safe, plan.lines(done["plan"]))
    if not done["dry_run"]:
        yield escape(f"generation {done['generation']}: {done['verdict']}")


def mistakes(found: list[dict[str, Any]], kind: str = "") -> Iterator[str]:
    """As ``tickerd check`` shows them."""
    from tickerd.config.problem import Problem

    for one in found:
        yield "\n".join(map(escape, Problem(**one).text(kind).split("\n")))


def _safe(line: str) -> str:
    """Colours are ours; everything else that is no letter is not."""
    plain = click.unstyle(line)
    return line if escape(plain) == plain else escape(plain)


def _json(data: Any) -> str:
    import orjson

    return orjson.dumps(data, option=orjson.OPT_INDENT_2).decode()
