"""`tickerd replay`: plays days of the journal through the sinks of a configuration, into another directory."""

import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tickerd.config.settings import Settings, SinkSettings
    from tickerd.runtime.playback import Part, Recording

_Path = click.Path(path_type=Path)
STATE = ".state"
"""Below the output: what sinks keep for themselves."""


def _speed(context: click.Context, parameter: click.Parameter, text: str) -> float | None:
    """Times faster than it was received, or None for as fast as it goes."""
    del context
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise click.BadParameter(f"{text!r} is neither a number above 0 nor 'max'", param=parameter)
    return speed


def instrument_keys(
    context: click.Context, parameter: click.Parameter, texts: Sequence[str]
) -> Collection[str | int] | None:
    """Symbols and tokens, also several in one text with commas; None where there are none."""
    del context, parameter
    names = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    return {int(name) if name.isdecimal() else name for name in names} or None


@click.command(
    epilog="""
\b
Examples:
  tickerd replay 2026-11-23 --out again -c /etc/tickerd/tickerd.yaml
  tickerd replay 2026-11-23 --from 09:15 --to 09:30 --instruments NSE:INFY --out again -c tickerd.yaml
  tickerd replay 2026-11-23 --speed 10 --only alerts --out again -c tickerd.yaml

\b
Exit codes:
  0   everything was written
  1   something of the journal is damaged, or a sink refused something or failed
"""
)
@click.argument("what", metavar="DATE|FILE…", nargs=-1, required=True)
@click.option("-c", "--config", "file", type=_Path, required=True, help="The YAML file with the sinks.")
@click.option("--out", type=_Path, required=True, help="A directory that does not exist yet, or is empty.")
@click.option(
    "--from", "begin", help="Only what was received from then on: 2026-11-23T09:15 (IST), or 09:15."
)
@click.option("--to", "end", help="Only what was received before.")
@click.option(
    "--instruments",
    multiple=True,
    callback=instrument_keys,
    help="Only ticks of these: EXCHANGE:SYMBOL or tokens, with commas between them, or given again.",
)
@click.option(
    "--speed",
    default="max",
    show_default=True,
    callback=_speed,
    metavar="N|max",
    help="Times faster than it was received.",
)
@click.option("--only", multiple=True, metavar="SINK", help="This sink, also if it is not a file sink.")
@click.pass_context
def replay(
    context: click.Context,
    *,
    what: tuple[str, ...],
    file: Path,
    out: Path,
    begin: str | None,
    end: str | None,
    instruments: Collection[str | int] | None,
    speed: float | None,
    only: tuple[str, ...],
) -> None:
    """Play days or files of the journal through the sinks of a configuration.

    DATE is a day of the journal, which begins at 06:00 IST; FILE is one segment. Positions and times stay as they
    were, so what a file sink writes equals what it wrote then. Without --only, sinks that write files take part, and
    write below --out. A sink that sends somewhere else, such as a webhook, takes part only when it is named,
    and then it sends. Nothing of the daemon's is changed, and it may be running.
    """
    from tickerd.cli.load import load_or_exit
    from tickerd.cli.segments import choose
    from tickerd.runtime.playback import part_of

    compiled = load_or_exit(file)[0]
    settings = compiled.settings
    _check_out(out, settings)
    chosen = choose(what, lambda: settings.state.dir / "journal", "-c")
    recording = _recording(chosen, begin, end)
    parts = [
        part_of(sink, options, recording, instruments)
        for sink, options in _cast(settings, only, out.absolute())
    ]
    out.mkdir(parents=True, exist_ok=True)
    _run(parts, out / STATE, speed, compiled.secret_texts)
    for line in _summary(parts):
        click.echo(line)
    if any(part.track.damage or part.meter.rejected or part.error for part in parts):
        context.exit(1)


def _check_out(out: Path, settings: "Settings") -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise click.UsageError(f"--out {out}: is not empty; rows would be there twice, name a new directory")
    if out.resolve().is_relative_to(settings.state.dir.resolve()):
        raise click.UsageError(f"--out {out}: lies in the daemon's state directory; name another")


def _recording(chosen: Any, begin: str | None, end: str | None) -> "Recording":
    from tickerd.cli.codecs import InstalledCodecs
    from tickerd.cli.moments import moment
    from tickerd.journal.segment_reader import Span
    from tickerd.runtime.playback import Recording

    days = {segment.name.day for segment in chosen.segments}
    span = Span(from_ns=moment(begin, "--from", days), until_ns=moment(end, "--to", days))
    return Recording(chosen.segments, InstalledCodecs(), span, chosen.newest)


def _cast(settings: "Settings", only: Sequence[str], out: Path) -> Iterator[tuple["SinkSettings", Any]]:
    """Each sink that takes part, and the options that it runs with."""
    from tickerd.plugin import ServingSink

    unknown = [name for name in only if name not in settings.sinks]
    if unknown:
        names = ", ".join(settings.sinks) or "none"
        raise click.BadParameter(f"there is no sink {unknown[0]!r}; there are: {names}", param_hint="--only")
    some = False
    for name in only or settings.sinks:
        sink = settings.sinks[name]
        if issubclass(sink.type, ServingSink):
            if only:
                raise click.BadParameter(
                    f"{name!r} waits for clients, and nothing can be played to it", param_hint="--only"
                )
            continue
        try:
            options = sink.type.relocated(sink.options, out)
        except ValueError as error:
            raise click.BadParameter(f"{out}: {error}", param_hint="--out") from None
        if options is not None or only:
            some = True
            yield sink, sink.options if options is None else options
    if not some:
        raise click.UsageError("no sink of this file writes files; name one with --only")


def _run(parts: Sequence["Part"], state: Path, speed: float | None, secrets: Collection[str]) -> None:
    import trio

    from tickerd.observe import logging
    from tickerd.runtime.playback import play

    async def main(hide: Callable[[str], None]) -> None:
        async with trio.open_nursery() as nursery:
            if _on_terminal():
                nursery.start_soon(_show, parts)
            await play(parts, state, speed, hide)
            nursery.cancel_scope.cancel()

    with logging.configure(level="warning", stream=sys.stderr, secrets=secrets) as handle:
        trio.run(main, handle.redactor.add)


def _on_terminal() -> bool:
    return sys.stderr.isatty()


async def _show(parts: Sequence["Part"]) -> None:
    """A bar for each sink, on standard error."""
    import trio
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]:,} rows"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False) as progress:
        bars = [progress.add_task(part.settings.name, total=1.0, rows=0) for part in parts]
        try:
            while True:
                _advance(progress, bars, parts)
                await trio.sleep(0.2)
        finally:
            _advance(progress, bars, parts)


def _advance(progress: Any, bars: Sequence[Any], parts: Sequence["Part"]) -> None:
    for bar, part in zip(bars, parts, strict=True):
        progress.update(bar, completed=part.track.share, rows=part.meter.written)
    progress.refresh()


def _summary(parts: Sequence["Part"]) -> Iterator[str]:
    from tickerd.cli.segments import damage_text

    for part in parts:
        name = part.settings.name
        yield f"{name}: {part.meter.written:,} ticks and records written"
        if part.meter.rejected:
            first = part.rejects[0]
            where = f"{first.position.epoch}:{first.position.seq}"
            yield f"{name}: {part.meter.rejected:,} refused, the first at {where}: {first.reason}"
        if part.error is not None:
            yield f"{name}: ENDED BEFORE ITS TIME: {str(part.error) or type(part.error).__name__}"
    damage = {(one.path, one.offset): one for part in parts for one in part.track.damage}
    yield from (f"DAMAGED: {damage_text(one)}" for one in damage.values())
