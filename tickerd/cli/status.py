"""`tickerd status`: how a running daemon stands, and what is wrong with it."""

import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import click

from tickerd.cli.client import Client, api
from tickerd.observe.clean import escape
from tickerd.observe.status import clock_time, size

Json = Mapping[str, Any]

COLOURS = {"failing": "red", "warning": "yellow"}
GOOD = frozenset({"running", "finished", "connected", "ready", "writing", "serving"})


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@api
def status(client: Client, as_json: bool) -> None:
    """Show how the daemon stands: sources, sinks, journal, and every reason why it is not ready.

    Exits with 0 when it is ready, with 1 when it is not or does not answer.

    \b
    Examples:
      tickerd status
      tickerd status --json | jq .reasons
      TICKERD_KEY=tkd_live_… tickerd status --url https://ticks.example.com:7801
    """
    overview = client.get("/v1/status")
    if as_json:
        import orjson

        click.echo(orjson.dumps(overview, option=orjson.OPT_INDENT_2).decode())
    else:
        click.echo("\n".join(lines(overview)))
    sys.exit(overview["status"] != "up")


def lines(overview: Json) -> Iterator[str]:
    """The whole, for people."""
    picture = overview["picture"]
    is_up = overview["status"] == "up"
    verdict = click.style("ready" if is_up else "NOT READY", fg="green" if is_up else "red", bold=True)
    yield f"tickerd {escape(picture['version'])}: {verdict}, up {clock_time(picture['uptime_s'])}"
    yield from map(reason, overview["reasons"])
    yield ""
    yield from _table(
        [
            ("source", "state", "ticks", "last tick", "instruments", "restarts"),
            *map(source, picture["sources"]),
        ]
    )
    if picture["sinks"]:
        yield ""
        heads = ("sink", "state", "written", "dropped", "queued", "restarts")
        yield from _table([heads, *map(sink, picture["sinks"])])
    yield ""
    yield from house(picture)


def reason(one: Json) -> str:
    """One thing that is wrong."""
    about = [one["component"]]
    if one["instrument"]:
        about.append(one["instrument"])
    text = escape(f"{' '.join(about)}: {one['detail']}")
    if one["limit_s"] is not None:
        text += f" (limit {one['limit_s']:g} s)"
    return click.style(f"  {one['severity']:<8}", fg=COLOURS.get(one["severity"])) + text


def state(unit: Json) -> str:
    """A unit's state in a word or two, coloured."""
    word = unit["reported"] if unit["state"] == "running" and unit["reported"] else unit["state"]
    return click.style(escape(str(word)), fg="green" if word in GOOD else "yellow")


def source(one: Json) -> tuple[str, ...]:
    """A row."""
    instruments = f"{one['wanted']:,}"
    if one["unresolved_count"]:
        instruments += f" ({one['unresolved_count']:,} unknown)"
    if one["surplus"]:
        instruments += f" ({one['surplus']:,} too many)"
    return (
        escape(one["name"]),
        state(one),
        f"{one['totals']['ticks']:,}",
        ago(one["last_tick_age_s"]),
        instruments,
        f"{one['restarts']:,}",
    )


def sink(one: Json) -> tuple[str, ...]:
    """A row."""
    return (
        escape(one["name"]),
        state(one) if one["retrying"] is None else click.style("retrying", fg="yellow"),
        f"{one['written']:,}",
        f"{sum(one['dropped'].values()):,}",
        size(one["queued_bytes"]),
        f"{one['restarts']:,}",
    )


def house(picture: Json) -> Iterator[str]:
    """What is left: totals, journal, loop, configuration."""
    totals, journal, config = picture["totals"], picture["journal"], picture["config"]
    yield f"feed     {totals['ticks']:,} ticks, {picture['ticks_per_s']:,.0f}/s, {totals['gaps']:,} gaps"
    for one in picture["sources"]:
        if one["login_expires_s"] is not None:
            left = one["login_expires_s"]
            yield escape(
                f"login    {one['name']}: {f'ends in {clock_time(left)}' if left > 0 else 'has ended'}"
            )
    if journal["state"] == "off":
        yield "journal  off"
    else:
        text = f"{journal['state']}, {size(journal['bytes'])} in {journal['segments']:,} files"
        yield f"journal  {text}, lost {journal['lost']:,}"
    yield f"loop     late by {picture['loop']['p99_s'] * 1000:.1f} ms (p99), {picture['loop']['stalls']} stalls"
    applied = f" since {moment(config['applied_ns'])}" if config["applied_ns"] else ""
    yield escape(f"config   {config['file'] or '-'}, generation {config['generation']}{applied}")
    if config["reload_verdict"]:
        yield escape(f"         last reload: {config['reload_verdict']}")


def ago(seconds: float | None) -> str:
    """An age."""
    if seconds is None:
        return "never"
    return f"{seconds:.1f} s ago" if seconds < 60 else f"{clock_time(seconds)} ago"


def moment(when_ns: int) -> str:
    """A time, in the zone of whoever looks."""
    return datetime.fromtimestamp(when_ns / 1e9, UTC).astimezone().isoformat(" ", "seconds")


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(click.unstyle(cell)) for cell in column) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        line = "  ".join(
            cell + " " * (width - len(click.unstyle(cell))) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        yield line if number else click.style(line, bold=True)
