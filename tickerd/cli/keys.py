"""`tickerd keys`: make, list, rotate and revoke API keys, of the running daemon or in its state directory."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from tickerd.cli.keystore import key_store
from tickerd.cli.reach import Where, anywhere
from tickerd.observe.clean import escape

if TYPE_CHECKING:
    from tickerd.state.keys import NewKey

_SHOWN_ONCE = "this is the only time that the key is shown"
_OPTIONS = {
    "label": "LABEL",
    "scopes": "--scope",
    "expires_in": "--expires-in",
    "networks": "--network",
    "limits": "--rate or --connections",
}


@click.group()
def keys() -> None:
    """Make, list, rotate and revoke API keys.

    Asks the running daemon. With -c or --state it works without one, too: then in the state directory.

    \b
    Examples:
      tickerd keys create charts --scope ticks:read
      tickerd keys create backup --scope history:read --expires-in "90 days" --network 10.0.0.0/8
      tickerd keys list --state /var/lib/tickerd
      tickerd keys rotate 3kTMd5lGqkYh --overlap 1h
      tickerd keys revoke 3kTMd5lGqkYh --url https://ticks.example.com:7801
    """


@keys.command()
@click.argument("label")
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help="What it may do; may be repeated.")
@click.option("--all-scopes", is_flag=True, help="It may do everything.")
@click.option(
    "--expires-in", metavar="DURATION", help="How long it works, such as 90 days.  [default: for ever]"
)
@click.option("--network", "networks", multiple=True, metavar="CIDR", help="Where it works; may be repeated.")
@click.option(
    "--rate", "rates", multiple=True, metavar="CLASS=RATE", help="Its own rate, such as reads=60/minute."
)
@click.option("--connections", type=int, help="Streams at the same time.")
@click.option("--test", is_flag=True, help="Begin it with tkd_test_: for trials.")
@anywhere
def create(
    where: Where,
    *,
    label: str,
    scopes: Sequence[str],
    all_scopes: bool,
    expires_in: str | None,
    networks: Sequence[str],
    rates: Sequence[str],
    connections: int | None,
    test: bool,
    as_json: bool,
) -> None:
    """Make a key and print it, this once. LABEL says what it is for."""
    from tickerd.plugin import SCOPES

    if all_scopes == bool(scopes):
        names = "\n".join(f"  {name:16} {doc}" for name, doc in SCOPES.items())
        raise click.UsageError(f"say what the key may do, with --scope or --all-scopes:\n{names}")
    new = _new_key(
        label=label,
        scopes=sorted(SCOPES) if all_scopes else list(scopes),
        expires_in=expires_in,
        networks=list(networks),
        limits={"rates": dict(map(_rate, rates)), "connections": connections},
        kind="test" if test else "live",
    )
    _show_made(key_store(where.place()).create(new), as_json)


@keys.command("list")
@click.option("--all", "everything", is_flag=True, help="Those that have ended, too.")
@anywhere
def list_keys(where: Where, *, everything: bool, as_json: bool) -> None:
    """List the keys: what they may do, until when, and when they were last used. Never the keys themselves."""
    from tickerd.cli import keytable

    found = key_store(where.place()).every(ended=everything)
    click.echo(keytable.as_json({"keys": found}) if as_json else keytable.table(found))


@keys.command()
@click.argument("given", metavar="ID")
@click.option(
    "--overlap",
    default="1 day",
    show_default=True,
    metavar="DURATION",
    help="How long both work; 0 after a leak.",
)
@anywhere
def rotate(where: Where, *, given: str, overlap: str, as_json: bool) -> None:
    """Make a successor of a key and print it, this once; the old key ends after the overlap."""
    from tickerd.cli.load import seconds_or_usage

    overlap_s = 0.0 if overlap == "0" else seconds_or_usage(overlap, "--overlap")
    public = _public(given)
    _show_made(key_store(where.place()).rotate(public, overlap_s), as_json)


@keys.command()
@click.argument("given", metavar="ID")
@anywhere
def revoke(where: Where, *, given: str, as_json: bool) -> None:
    """End a key now; a running daemon closes within a second what was opened with it."""
    from tickerd.cli import keytable

    public = _public(given)
    ended = key_store(where.place()).revoke(public)
    text = f"key {public} ({escape(ended['label'])}) is revoked"
    click.echo(keytable.as_json(ended) if as_json else text)


def _show_made(made: Mapping[str, Any], as_json: bool) -> None:
    """Print a key that was just made."""
    from tickerd.cli import keytable

    if as_json:
        click.echo(keytable.as_json(made))
        return
    click.echo(made["key"])
    ends = "for ever" if made["expires_ns"] is None else f"until {keytable.moment(made['expires_ns'])}"
    click.echo(f"key {made['id']} works {ends}; {_SHOWN_ONCE}", err=True)


def _new_key(**values: Any) -> "NewKey":
    from pydantic import ValidationError

    from tickerd.state.keys import NewKey

    try:
        return NewKey.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise click.BadParameter(first["msg"], param_hint=_OPTIONS[str(first["loc"][0])]) from None


def _rate(text: str) -> tuple[str, str]:
    name, equals, rate = text.partition("=")
    if not equals:
        raise click.BadParameter("write CLASS=RATE, such as reads=60/minute", param_hint="--rate")
    return name.strip(), rate.strip()


def _public(text: str) -> str:
    from tickerd.state.keytext import parse_id

    public = parse_id(text)
    if public is None:
        hint = "the 12 characters that tickerd keys list shows; a whole key does not belong on a command line"
        raise click.BadParameter(f"expected a key's id: {hint}", param_hint="ID")
    return public
