"""`tickerd top`: a full-screen view of a running daemon, drawn by a process of its own."""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from tickerd.cli.client import ApiError, Client, api
from tickerd.cli.status import GOOD, ago
from tickerd.observe.clean import escape
from tickerd.observe.status import clock_time, size

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table

Json = Mapping[str, Any]

MOST_REASONS = 8


@click.command()
@click.option(
    "--interval",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0.2, 60),
    help="Seconds between looks.",
)
@click.option("--count", type=click.IntRange(1), help="Leave after so many looks.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each look instead.")
@api
def top(client: Client, interval: float, count: int | None, as_json: bool) -> None:
    """Watch a running daemon: rates, queues and reasons, until Ctrl-C.

    \b
    Examples:
      tickerd top
      tickerd top --interval 5 --url http://127.0.0.1:7801 --key tkd_live_…
    """
    if as_json:
        _print(client, interval, count)
        return
    from rich.console import Console
    from rich.live import Live

    console = Console()
    with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
        try:
            for shown in looks(client, interval, count):
                live.update(shown, refresh=True)
        except KeyboardInterrupt:
            pass


def _print(client: Client, interval: float, count: int | None) -> None:
    """For programs: they are told when the daemon does not answer."""
    import orjson

    pause, seen = threading.Event(), 0
    try:
        while count is None or seen < count:
            if seen:
                pause.wait(interval)
            seen += 1
            click.echo(orjson.dumps(client.get("/v1/status")).decode())
    except KeyboardInterrupt:
        pass


@dataclass(frozen=True)
class Look:
    """What was seen at one moment."""

    overview: Json
    at_s: float


def looks(
    client: Client, interval: float, count: int | None, pause: threading.Event | None = None
) -> "Iterator[RenderableType]":
    """What to show, look after look; a daemon that does not answer is waited for."""
    from rich.text import Text

    pause = pause or threading.Event()
    before: Look | None = None
    seen = 0
    while count is None or seen < count:
        if seen:
            pause.wait(interval)
        seen += 1
        try:
            overview = client.get("/v1/status")
        except ApiError as error:
            if error.status is not None:
                raise
            before = None
            yield Text(f"{error.message}; trying again", style="yellow")
            continue
        now = Look(overview, overview["picture"]["now_ns"] / 1e9)
        yield screen(now, before)
        before = now


def screen(now: Look, before: Look | None) -> "Group":
    """One look, with rates since the one before."""
    from rich.console import Group
    from rich.text import Text

    picture = now.overview["picture"]
    is_up = now.overview["status"] == "up"
    head = Text()
    head.append(f"tickerd {escape(picture['version'])} ", style="bold")
    head.append("ready" if is_up else "NOT READY", style="bold green" if is_up else "bold red")
    head.append(
        f"  up {clock_time(picture['uptime_s'])}  {picture['ticks_per_s']:,.0f} ticks/s  "
        f"{picture['ticking']:,} instruments  {picture['totals']['gaps']:,} gaps  "
        f"loop p99 {picture['loop']['p99_s'] * 1000:.1f} ms"
    )
    parts: list[RenderableType] = [head, *_reasons(now.overview["reasons"]), Text()]
    parts.append(_sources(now, before))
    if picture["sinks"]:
        parts += [Text(), _sinks(now, before)]
    parts += [Text(), Text(_journal(picture["journal"]), style="dim")]
    return Group(*parts)


def rate(now: Look, before: Look | None, kind: str, name: str, *path: str) -> str:
    """How fast a counter of a unit grows, per second; empty where that is not known."""
    if before is None or now.at_s <= before.at_s:
        return ""
    new, old = _counter(now, kind, name, path), _counter(before, kind, name, path)
    if new is None or old is None or new < old:
        return ""
    return f"{(new - old) / (now.at_s - before.at_s):,.0f}"


def _counter(look: Look, kind: str, name: str, path: tuple[str, ...]) -> float | None:
    unit: Any = next((one for one in look.overview["picture"][kind] if one["name"] == name), None)
    for key in path:
        unit = None if unit is None else unit.get(key)
    return sum(unit.values()) if isinstance(unit, dict) else unit


def _reasons(reasons: list[Json]) -> "Iterator[RenderableType]":
    from rich.text import Text

    for one in reasons[:MOST_REASONS]:
        style = "red" if one["severity"] == "failing" else "yellow"
        about = f"{one['component']} {one['instrument'] or ''}".strip()
        yield Text(escape(f"  {about}: {one['detail']}"), style=style)
    if len(reasons) > MOST_REASONS:
        yield Text(f"  and {len(reasons) - MOST_REASONS} more: tickerd status", style="dim")


def _table(*heads: str) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, head in enumerate(heads):
        table.add_column(head, justify="left" if number < 2 else "right", no_wrap=True)
    return table


def _state(unit: Json) -> Any:
    from rich.text import Text

    word = unit["reported"] if unit["state"] == "running" and unit["reported"] else unit["state"]
    return Text(escape(str(word)), style="green" if word in GOOD else "yellow")


def _name(unit: Json) -> Any:
    """As text, since rich reads markup in plain strings."""
    from rich.text import Text

    return Text(escape(unit["name"]))


def _sources(now: Look, before: Look | None) -> "Table":
    table = _table("source", "state", "ticks", "ticks/s", "bytes/s", "last tick", "instruments", "reconnects")
    for one in now.overview["picture"]["sources"]:
        byte_rate = rate(now, before, "sources", one["name"], "totals", "bytes")
        table.add_row(
            _name(one),
            _state(one),
            f"{one['totals']['ticks']:,}",
            rate(now, before, "sources", one["name"], "totals", "ticks"),
            size(int(byte_rate.replace(",", ""))) if byte_rate else "",
            ago(one["last_tick_age_s"]),
            f"{one['wanted']:,}",
            f"{sum(one['reconnects'].values()):,}",
        )
    return table


def _sinks(now: Look, before: Look | None) -> "Table":
    table = _table("sink", "state", "written", "written/s", "dropped", "dropped/s", "queued", "age", "lag")
    for one in now.overview["picture"]["sinks"]:
        table.add_row(
            _name(one),
            _state(one),
            f"{one['written']:,}",
            rate(now, before, "sinks", one["name"], "written"),
            f"{sum(one['dropped'].values()):,}",
            rate(now, before, "sinks", one["name"], "dropped"),
            size(one["queued_bytes"]),
            _seconds(one["queue_age_s"]),
            _seconds(one["lag_s"]),
        )
    return table


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} s"


def _journal(journal: Json) -> str:
    if journal["state"] == "off":
        return "journal off"
    waits = size(journal["queued_bytes"])
    return f"journal {journal['state']}  {size(journal['bytes'])}  waits {waits}  lost {journal['lost']:,}"
