"""`tickerd subs`: which instruments the daemon brings, and who wants them; want more or fewer."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from tickerd.cli.client import Client, api
from tickerd.cli.table import cell, table

MOST = 3000
"""Instruments of one request."""
_owner = click.option("--owner", metavar="NAME", help="In whose name; by default your own.")
_source = click.option("--source", metavar="NAME", help="Of which source; by default whichever has room.")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


@click.group()
def subs() -> None:
    """Show which instruments are wanted and by whom; add and remove some that last over a restart.

    An instrument is brought while anybody wants it: the YAML, a client, or somebody who added it here.

    \b
    Examples:
      tickerd subs list
      tickerd subs add NSE:INFY "NSE:NIFTY 50" --mode quote
      tickerd subs remove NSE:INFY
      tickerd subs remove --all --owner "uid 1000"
    """


@subs.command("list")
@click.option("--source", metavar="NAME", help="Only those of this source.")
@_json
@api
def list_subs(client: Client, *, source: str | None, as_json: bool) -> None:
    """List all instruments that somebody wants."""
    found = [one for one in client.every("/v1/subscriptions") if source in (None, one["source"])]
    if as_json:
        click.echo(json_text({"subscriptions": found}))
    elif not found:
        click.echo("nothing is wanted")
    else:
        rows = [(one["instrument"], one["source"], one["mode"], ", ".join(one["owners"])) for one in found]
        click.echo("\n".join(table(("instrument", "source", "mode", "wanted by"), rows)))


@subs.command()
@click.argument("instruments", metavar="INSTRUMENT…", nargs=-1, required=True)
@click.option(
    "--mode",
    type=click.Choice(["ltp", "quote", "full"]),
    default="full",
    show_default=True,
    help="How much of a tick.",
)
@_source
@_owner
@_json
@api
def add(
    client: Client,
    *,
    instruments: Sequence[str],
    mode: str,
    source: str | None,
    owner: str | None,
    as_json: bool,
) -> None:
    """Want instruments, EXCHANGE:SYMBOL or tokens, also after a restart.

    Exits with 1 when one of them was not accepted.
    """
    body = {"mode": mode, "source": source, "owner": owner}
    changed = [client.post("/v1/subscriptions", body | {"instruments": part}) for part in _parts(instruments)]
    _tell(changed, as_json)


@subs.command()
@click.argument("instruments", metavar="[INSTRUMENT]…", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that are wanted in that name.")
@_source
@_owner
@_json
@api
def remove(
    client: Client,
    *,
    instruments: Sequence[str],
    everything: bool,
    source: str | None,
    owner: str | None,
    as_json: bool,
) -> None:
    """Want instruments no more; what others want goes on.

    Exits with 1 when one of them was not wanted in that name.
    """
    if everything == bool(instruments):
        raise click.UsageError("say which instruments, or --all")
    body = {"source": source, "owner": owner}
    what: list[dict[str, Any]] = [{"instruments": part} for part in _parts(instruments)] or [{"all": True}]
    _tell([client.post("/v1/subscriptions/remove", body | one) for one in what], as_json)


def json_text(data: Any) -> str:
    """For programs."""
    import orjson

    return orjson.dumps(data, option=orjson.OPT_INDENT_2).decode()


def _parts(instruments: Sequence[str]) -> list[list[str]]:
    unique = list(dict.fromkeys(instruments))
    return [unique[start : start + MOST] for start in range(0, len(unique), MOST)]


def _tell(changed: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    """What became of each; ends the process with 1 where something was rejected."""
    accepted = [one for part in changed for one in part["accepted"]]
    rejected = [one for part in changed for one in part["rejected"]]
    if as_json:
        whole = {"owner": changed[0]["owner"], "accepted": accepted, "rejected": rejected}
        click.echo(json_text(whole))
    else:
        for one in accepted:
            click.echo(f"{cell(one['instrument'])}: {cell(_standing(one))}")
        for one in rejected:
            near = f" (did you mean {one['suggestion']!r}?)" if one["suggestion"] else ""
            about = "" if one["item"] in one["detail"] else f"{one['item']}: "
            click.echo(cell(f"{about}{one['detail']}{near}"), err=True)
    sys.exit(1 if rejected else 0)


def _standing(accepted: Mapping[str, Any]) -> str:
    if accepted["mode"] is None:
        return "no longer wanted in that name"
    source = accepted["source"] or "waits for the day's instruments"
    left_out = f", no room for {accepted['left_out']:,} of them" if accepted["left_out"] else ""
    return f"{accepted['mode']} ({source}{left_out})"
