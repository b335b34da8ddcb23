"""`tickerd webhooks`: the endpoints that are posted to; register and remove some, try them out, make secrets."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from tickerd.cli.client import Client, api, options, segment
from tickerd.cli.subs import json_text
from tickerd.cli.table import cell, table

TEST_S = 40.0
"""The daemon may take 30 of them."""
_SHOWN = 400
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


@click.group()
def webhooks() -> None:
    """Show the endpoints that are posted to, register and remove some that last over a restart, try them out.

    Those of the YAML are changed there.

    \b
    Examples:
      tickerd webhooks list
      tickerd webhooks register pager https://pager.example.com/hook --event gap --event status
      tickerd webhooks rotate-secret pager
      tickerd webhooks test pager
      tickerd webhooks secret
    """


@webhooks.command("list")
@_json
@api
def list_webhooks(client: Client, *, as_json: bool) -> None:
    """List all endpoints."""
    found = list(client.every("/v1/webhooks"))
    if as_json:
        click.echo(json_text({"webhooks": found}))
    elif not found:
        click.echo("there are no webhooks")
    else:
        head = ("name", "endpoint", "registered", "state", "breaker", "events", "dead letters")
        click.echo("\n".join(table(head, map(_row, found))))


@webhooks.command()
@click.argument("name")
@click.argument("endpoint", metavar="URL")
@click.option(
    "--event", "events", multiple=True, metavar="KIND", help="Kind of record to send; several times."
)
@click.option(
    "--instrument", "instruments", multiple=True, metavar="SYMBOL", help="Only ticks of these; several times."
)
@_json
@api
def register(
    client: Client,
    *,
    name: str,
    endpoint: str,
    events: Sequence[str],
    instruments: Sequence[str],
    as_json: bool,
) -> None:
    """Register an endpoint under NAME, also after a restart, and print the secret that signs for it."""
    body = {"name": name, "url": endpoint, "events": list(events), "instruments": list(instruments) or None}
    _show_secret(client.post("/v1/webhooks", body), as_json)


@webhooks.command("rotate-secret")
@click.argument("name")
@click.option(
    "--overlap", default="1 day", show_default=True, help="How long the old one signs too; 0 after a leak."
)
@_json
@api
def rotate_secret(client: Client, *, name: str, overlap: str, as_json: bool) -> None:
    """Give an endpoint a new secret, and print it."""
    body = {"overlap": 0 if overlap == "0" else overlap}
    _show_secret(client.post(f"/v1/webhooks/{segment(name)}/rotate-secret", body), as_json)


@webhooks.command()
@click.argument("name")
@_json
@api
def remove(client: Client, *, name: str, as_json: bool) -> None:
    """Remove an endpoint that was registered at run time; what waits for it is given up."""
    removed = client.delete(f"/v1/webhooks/{segment(name)}")
    click.echo(json_text(removed) if as_json else f"{cell(removed['name'])} is removed")


@webhooks.command("secret")
def new_secret() -> None:
    """Make a secret that signs deliveries, 32 random bytes: for `secret:` of a webhook and for its receiver."""
    import secrets

    from tickerd.wire.standard_webhooks import KEY_BYTES, secret_of

    click.echo(secret_of(secrets.token_bytes(KEY_BYTES)))


@webhooks.command()
@click.argument("name")
@_json
@options
def test(*, name: str, as_json: bool, file: Path | None, path: str, url: str | None, key: str | None) -> None:
    """Send a signed ping to an endpoint, and show what came back.

    Asks the running daemon. With -c it works without one, too: then it is sent from here, by the configuration.
    It goes through the checks and the client that deliveries go through. Exits with 1 when it was not taken.
    """
    from tickerd.cli.reach import Where

    place = Where(file, None, path, url, key).place()
    if isinstance(place, Client):
        tested = place.ask("POST", f"/v1/webhooks/{segment(name)}/test", timeout_s=TEST_S)
    else:
        from tickerd.cli.ping import ping

        assert file is not None
        tested = ping(name, file)
    click.echo(json_text(tested) if as_json else "\n".join(_tested(name, tested)))
    sys.exit(0 if tested["ok"] else 1)


def _row(one: Mapping[str, Any]) -> tuple[object, ...]:
    events = " ".join(one["events"])
    return (
        *(one["name"], one["origin"], one["registered"], one["state"]),
        *(one["breaker"], events, one["dead_letters"]),
    )


def _show_secret(made: Mapping[str, Any], as_json: bool) -> None:
    """Alone on standard output, for a pipe into a file."""
    if as_json:
        click.echo(json_text(made))
        return
    click.echo(made["secret"])
    click.echo("this is the only time that it is shown: give it to the receiver", err=True)


def _tested(name: str, tested: Mapping[str, Any]) -> list[str]:
    verb = "took it" if tested["ok"] else "did not take it"
    status = "no answer" if tested["status"] is None else f"status {tested['status']}"
    lines = [f"{cell(name)} {verb}: {status}, {cell(tested['detail'])} ({tested['took_s']:.3f} s)"]
    if tested.get("answer"):
        lines.append(f"it said: {cell(tested['answer'][:_SHOWN])}")
    return lines
