"""`tickerd keys`: make, list, rotate and revoke API keys, in the state directory itself."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tickerd.cli.place import directory_of, now_ns, place, plain_errors

if TYPE_CHECKING:
    from tickerd.state.keys import By, Made, NewKey

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

    Works beside a running daemon, which takes note within a second, and without one.

    \b
    Examples:
      tickerd keys create charts --scope ticks:read --state /var/lib/tickerd
      tickerd keys create backup --scope history:read --expires-in "90 days" --network 10.0.0.0/8 -c tickerd.yaml
      tickerd keys list --state /var/lib/tickerd
      tickerd keys rotate 3kTMd5lGqkYh --overlap 1h --state /var/lib/tickerd
      tickerd keys revoke 3kTMd5lGqkYh --state /var/lib/tickerd
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
@place
def create(
    *,
    label: str,
    scopes: Sequence[str],
    all_scopes: bool,
    expires_in: str | None,
    networks: Sequence[str],
    rates: Sequence[str],
    connections: int | None,
    test: bool,
    file: Path | None,
    state: Path | None,
    as_json: bool,
) -> None:
    """Make a key and print it, this once. LABEL says what it is for."""
    from tickerd.plugin import SCOPES
    from tickerd.state import keys as store

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
    _make(directory_of(file, state), as_json, store.create, new)


@keys.command("list")
@click.option("--all", "everything", is_flag=True, help="Those that have ended, too.")
@place
def list_keys(everything: bool, file: Path | None, state: Path | None, as_json: bool) -> None:
    """List the keys: what they may do, until when, and when they were last used. Never the keys themselves."""
    from tickerd.cli import keytable
    from tickerd.state import keys as store
    from tickerd.state import tools

    directory, now = directory_of(file, state), now_ns()
    with plain_errors(), tools.reading(directory) as connection:
        found = store.every(connection)
    shown = [key for key in found if everything or key.status(now) in ("active", "rotated")]
    if as_json:
        click.echo(keytable.as_json({"keys": [key.shown(now) for key in shown]}))
    else:
        click.echo(keytable.table(shown, now))


@keys.command()
@click.argument("key", metavar="ID")
@click.option(
    "--overlap",
    default="1 day",
    show_default=True,
    metavar="DURATION",
    help="How long both work; 0 after a leak.",
)
@place
def rotate(key: str, overlap: str, file: Path | None, state: Path | None, as_json: bool) -> None:
    """Make a successor of a key and print it, this once; the old key ends after the overlap."""
    from tickerd.cli.load import seconds_or_usage
    from tickerd.state import keys as store

    overlap_s = 0.0 if overlap == "0" else seconds_or_usage(overlap, "--overlap")
    _make(directory_of(file, state), as_json, store.rotate, _public(key), overlap_s=overlap_s)


@keys.command()
@click.argument("key", metavar="ID")
@place
def revoke(key: str, file: Path | None, state: Path | None, as_json: bool) -> None:
    """End a key now; a running daemon closes within a second what was opened with it."""
    from tickerd.cli import keytable
    from tickerd.state import keys as store
    from tickerd.state import tools

    public, directory, now = _public(key), directory_of(file, state), now_ns()
    with plain_errors(store.KeyRefused), tools.writing(directory) as connection:
        ended = store.revoke(connection, public, _by(), now_ns=now)
    click.echo(keytable.as_json(ended.shown(now)) if as_json else f"key {public} ({ended.label}) is revoked")


def _make(directory: Path, as_json: bool, change: "Callable[..., Made]", *what: Any, **more: Any) -> None:
    """Run a change that makes a key, and print the key."""
    from tickerd.cli import keytable
    from tickerd.state import keys as store
    from tickerd.state import tools
    from tickerd.state.pepper import open_peppers

    now = now_ns()
    with plain_errors(store.KeyRefused), tools.writing(directory) as connection:
        made = change(connection, open_peppers(directory), *what, _by(), now_ns=now, **more)
    if as_json:
        click.echo(keytable.made_as_json(made, now))
        return
    click.echo(made.text.text)
    ends = "for ever" if made.key.expires_ns is None else f"until {keytable.moment(made.key.expires_ns)}"
    click.echo(f"key {made.key.id} works {ends}; {_SHOWN_ONCE}", err=True)


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


def _by() -> "By":
    import os

    from tickerd.state.keys import By

    return By(f"uid {os.getuid()}", "cli")
