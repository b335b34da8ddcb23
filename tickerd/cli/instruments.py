"""`tickerd instruments`: searching and showing what is traded, and having the dump downloaded again."""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tickerd.cli.client import ApiError, Client, segment
from tickerd.cli.reach import Where, anywhere

if TYPE_CHECKING:
    from tickerd.plugin import Instrument, Listing

TAKEN_WITHIN_S = 10.0
"""A running daemon looks for requests every two seconds."""
_COLUMNS = (
    "symbol",
    "token",
    "name",
    "segment",
    "instrument_type",
    "expiry",
    "strike",
    "lot_size",
    "tick_size",
)


@click.group()
def instruments() -> None:
    """Search what is traded, or get the broker's list anew.

    \b
    Examples:
      tickerd instruments search infosys
      tickerd instruments search nifty --exchange NFO --type FUT -c tickerd.yaml
      tickerd instruments show NSE:INFY --state /var/lib/tickerd
      tickerd instruments refresh
    """


@instruments.command()
@click.argument("words", nargs=-1)
@click.option("--exchange", help="Exactly, such as NFO.")
@click.option("--segment", "segment_", metavar="SEGMENT", help="Exactly, such as NFO-OPT.")
@click.option("--name", help="Company or underlying, exactly as in the dump.")
@click.option("--type", "instrument_type", help="EQ, FUT, CE or PE.")
@click.option("--expiry", metavar="DATE", help="YYYY-MM-DD.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000), help="Most of them.")
@anywhere
def search(where: Where, words: Sequence[str], limit: int, as_json: bool, **columns: str | None) -> None:
    """Instruments that have all WORDS in their symbol or name, by symbol."""
    columns["segment"] = columns.pop("segment_")
    wanted = {column: value for column, value in columns.items() if value is not None}
    place = where.place()
    if isinstance(place, Client):
        found = list(place.every("/v1/instruments", most=limit, q=" ".join(words) or None, **wanted))
    else:
        found = [_plain(one) for one in _search(place, words, wanted, limit)]
    _print(found, as_json=as_json)
    if not found:
        raise click.exceptions.Exit(1)


@instruments.command()
@click.argument("keys", nargs=-1, required=True, metavar="SYMBOL|TOKEN...")
@anywhere
def show(where: Where, keys: Sequence[str], as_json: bool) -> None:
    """Instruments by EXCHANGE:SYMBOL or token; exit code 1 when there is one that nobody knows."""
    place = where.place()
    look = _from_api(place) if isinstance(place, Client) else _from_files(place)
    found, missing = [], []
    for key in keys:
        one, text = look(key)
        if one is None:
            missing.append(text)
        else:
            found.append(one)
    _print(found, as_json=as_json)
    for text in missing:
        click.echo(text, err=True)
    if missing:
        raise click.exceptions.Exit(1)


@instruments.command()
@click.argument("source", required=False)
@anywhere
def refresh(where: Where, source: str | None, as_json: bool) -> None:
    """Have a running tickerd download the dump again: of SOURCE, or of every source that has one.

    How it went shows in `tickerd status` and in the log.
    """
    place = where.place()
    if isinstance(place, Client):
        asked = place.post("/v1/instruments/refresh", {} if source is None else {"source": source})["sources"]
    else:
        _ask_by_file(place, source or "")
        asked = [source] if source else []
    if as_json:
        _json({"sources": asked})
    else:
        click.echo(f"asked for: {', '.join(asked) or 'all sources that have a dump'}")


# -- the daemon's table, or the copies that sources keep ----------------------------------------------------


def _listings(directory: Path) -> "list[Listing]":
    """Every table in the state directory."""
    from tickerd.cli.stored import listings

    found = listings(directory)
    if not found:
        raise click.ClickException(
            f"{directory} has no list of instruments: a source keeps one there when it has downloaded the dump"
        )
    return list(found.values())


def _search(
    directory: Path, words: Sequence[str], columns: Mapping[str, str], limit: int
) -> "list[Instrument]":
    from tickerd.instruments.search import search as search_table

    found = [
        one for listing in _listings(directory) for one in search_table(listing, words, columns, limit=limit)
    ]
    return sorted(found, key=lambda one: one.symbol)[:limit]


def _from_files(directory: Path) -> Any:
    from tickerd.instruments.suggest import suggest

    listings = _listings(directory)

    def look(key: str) -> tuple[Any, str]:
        for listing in listings:
            one = listing.by_token(int(key)) if key.isdecimal() else listing.get(key)
            if one is not None:
                return _plain(one), ""
        near = next(filter(None, (suggest(key, listing) for listing in listings)), None)
        return None, f"no instrument {key!r}" + (f" (did you mean {near!r}?)" if near else "")

    return look


def _from_api(client: Client) -> Any:
    def look(key: str) -> tuple[Any, str]:
        try:
            return client.get(f"/v1/instruments/{segment(key)}"), ""
        except ApiError as error:
            if error.status != 404:
                raise
            return None, str(error.problem.get("detail") or error)

    return look


def _ask_by_file(directory: Path, source: str) -> None:
    from tickerd.runtime.refresh import FILE

    file = directory / FILE
    try:
        file.write_text(source, "utf-8")
    except OSError as error:
        raise click.ClickException(f"{file}: {(error.strerror or str(error)).lower()}") from None
    until = time.monotonic() + TAKEN_WITHIN_S
    while file.exists():
        if time.monotonic() > until:
            file.unlink(missing_ok=True)
            raise click.ClickException(
                f"no tickerd runs on {directory}; it downloads the dump when it starts, where it is not of today"
            )
        _pause()


def _pause() -> None:
    """The command has nothing else to do."""
    import threading

    threading.Event().wait(0.1)


# -- printing -----------------------------------------------------------------------------------------------


def _plain(instrument: "Instrument") -> dict[str, Any]:
    """As the API shows it."""
    names = ("exchange", "tradingsymbol", "namespace", *_COLUMNS)
    values = {name: getattr(instrument, name) for name in names}
    return {**values, "expiry": instrument.expiry or None}


def _print(found: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    if as_json:
        _json(found)
        return
    rows = [[_text(one[name]) for name in _COLUMNS] for one in found]
    for line in _lined([[name.removeprefix("instrument_") for name in _COLUMNS], *rows] if rows else []):
        click.echo(line)


def _lined(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}" if value else ""
    return "" if value is None else str(value)


def _json(value: Any) -> None:
    import json

    click.echo(json.dumps(value))
