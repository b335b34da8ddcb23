"""`tickerd tap`: shows ticks and records, as they pass through the daemon or out of its journal."""

import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tickerd.cli.client import Client, options
from tickerd.cli.reach import Where
from tickerd.cli.replay import instrument_keys

if TYPE_CHECKING:
    from threading import Event

    from tickerd.cli.segments import Chosen
    from tickerd.journal.segment_reader import Damaged, Span
    from tickerd.plugin import AnyRecord, Batch, Row, Tick

_Path = click.Path(path_type=Path)
POLL_S = 0.2
"""Between two looks at a journal that is followed."""


@click.command(
    epilog="""
\b
Examples:
  tickerd tap --limit 10
  tickerd tap --instruments NSE:INFY,NSE:RELIANCE --url https://ticks.example.com:7801
  tickerd tap -c /etc/tickerd/tickerd.yaml --limit 10
  tickerd tap 2026-11-23 --instruments NSE:INFY --format json --state /var/lib/tickerd
  tickerd tap --follow -c /etc/tickerd/tickerd.yaml

\b
Exit codes:
  0   everything was shown
  1   something of the journal is damaged, or the daemon does not answer
"""
)
@click.argument("what", metavar="[DATE|FILE]…", nargs=-1)
@click.option("--state", type=_Path, help="The state directory, which has the journal in it.")
@click.option(
    "--instruments",
    multiple=True,
    callback=instrument_keys,
    help="Only ticks of these, and no records: EXCHANGE:SYMBOL or tokens, with commas, or given again.",
)
@click.option("--limit", type=click.IntRange(min=1), help="End after so many.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "table"]),
    help="For programs or people; by default what standard output is.",
)
@click.option("--follow", is_flag=True, help="Go on with what comes; without DATE or FILE, show only that.")
@options
@click.pass_context
def tap(
    context: click.Context,
    *,
    what: tuple[str, ...],
    file: Path | None,
    state: Path | None,
    path: str,
    url: str | None,
    key: str | None,
    instruments: Collection[str | int] | None,
    limit: int | None,
    form: str | None,
    follow: bool,
) -> None:
    """Show ticks and control records, in the order in which they were published.

    Without DATE, FILE, -c and --state it shows what passes through the running daemon from now on, up to 2,000 a
    second, and ends with --limit or Ctrl-C. Otherwise it shows the journal: DATE is a day of it, which begins at
    06:00 IST; FILE is one segment; without either it is the newest day. With --follow and neither it is what comes,
    from the daemon if it runs. Nothing is changed.
    """
    if file is not None and state is not None:
        raise click.UsageError("give -c or --state, not both")
    where = Where(file, state, path, url, key)
    show = Table() if (form or ("table" if sys.stdout.isatty() else "json")) == "table" else Json()
    live = not what and (follow or not where.is_files)
    place = where.place() if live else None
    if isinstance(place, Client):
        _show_live(place, show, instruments, limit)
        return
    damaged = _show_journal(show, what, where, instruments, limit, follow=follow)
    context.exit(int(damaged))


def _show_live(
    client: Client, show: "Json | Table", instruments: Collection[str | int] | None, limit: int | None
) -> None:
    """What passes through the daemon, until Ctrl-C."""
    if show.header:
        click.echo(show.header)
    try:
        for line in client.lines("/v1/tap", i=sorted(map(str, instruments or ())), limit=limit):
            click.echo(show.line(line))
    except KeyboardInterrupt:
        pass  # how one ends it


def _show_journal(
    show: "Json | Table",
    what: Sequence[str],
    where: Where,
    instruments: Collection[str | int] | None,
    limit: int | None,
    *,
    follow: bool,
) -> bool:
    """What the journal has; whether something in it is damaged."""
    from tickerd.cli.segments import choose
    from tickerd.config.settings import EVENT_KINDS
    from tickerd.dataflow.wanted import Wanted

    home = partial(_journal_of, where.file, where.state)
    chosen = choose(what, home, "--state or -c")
    wanted = Wanted(("tick",), instruments) if instruments else Wanted(EVENT_KINDS)
    items = _followed(what, chosen, home) if follow else _recorded(what, chosen)
    if show.header:
        click.echo(show.header)
    try:
        return _show(items, lambda batch: _lines(show, wanted(batch)), limit)
    except KeyboardInterrupt:
        if not follow:
            raise
        return False  # how one ends it


def _show(
    items: "Iterator[Batch | Damaged]", lines: "Callable[[Batch], Iterator[str]]", limit: int | None
) -> bool:
    """Print what there is, at most so much; whether something was damaged."""
    from tickerd.cli.segments import damage_text
    from tickerd.plugin import Batch

    shown, damaged = 0, False
    for item in items:
        if isinstance(item, Batch):
            for line in islice(lines(item), None if limit is None else limit - shown):
                click.echo(line)
                shown += 1
            if shown == limit:
                break
        else:
            damaged = True
            click.echo(f"DAMAGED: {damage_text(item)}", err=True)
    return damaged


def _journal_of(file: Path | None, state: Path | None) -> Path:
    if state is None and file is None:
        raise click.UsageError("say where the journal is with -c FILE or --state DIR")
    if state is None and file is not None:
        from tickerd.cli.load import load_or_exit

        state = load_or_exit(file)[0].settings.state.dir
    assert state is not None
    return state / "journal"


def _recorded(what: Sequence[str], chosen: "Chosen") -> "Iterator[Batch | Damaged]":
    """What there is."""
    from tickerd.cli.codecs import InstalledCodecs
    from tickerd.journal.segment_reader import SegmentReader

    codecs = InstalledCodecs()
    newest = max((segment.name.day for segment in chosen.segments), default="")
    for segment in chosen.segments:
        if what or segment.name.day == newest:
            with SegmentReader(segment.path, codecs) as reader:
                yield from reader.items(final=segment.path not in chosen.newest)


def _pause() -> "Event":
    from threading import Event

    return Event()


def _followed(what: Sequence[str], chosen: "Chosen", home: Callable[[], Path]) -> "Iterator[Batch | Damaged]":
    """What there is from the first that was chosen on, or from now on, and what comes; ends never."""
    from tickerd.cli.codecs import InstalledCodecs
    from tickerd.journal.reader import JournalReader

    directory = chosen.segments[0].path.parent if what else home()
    reader = JournalReader(directory, InstalledCodecs(), _from_first(chosen) if what else _from_now())
    pause = _pause()
    try:
        while True:
            yield from reader.items()
            sys.stdout.flush()
            pause.wait(POLL_S)
    finally:
        reader.close()


def _from_first(chosen: "Chosen") -> "Span":
    from tickerd.journal.segment_reader import Span
    from tickerd.plugin import Position

    first = chosen.segments[0].first
    return Span(after=Position(first.epoch, first.seq - 1))


def _from_now() -> "Span":
    from datetime import UTC, datetime

    from tickerd.journal.segment_reader import Span

    return Span(from_ns=int(datetime.now(UTC).timestamp() * 1e6) * 1000)


class Json:
    """A line of JSON for each, as the file sink writes it."""

    header = ""

    def line(self, line: bytes) -> str:
        """One of either, as the control API sends it."""
        return line.decode("utf-8", "replace")

    def tick(self, tick: "Tick") -> str:
        """One tick."""
        return tick.json.decode()

    def record(self, record: "AnyRecord") -> str:
        """One control record."""
        from tickerd.wire.rows import json_line

        return json_line(record).decode().rstrip("\n")


class Table:
    """Columns for people. They do not fit themselves to what comes: it has not come yet."""

    header = (
        f"{'time (IST)':<13}{'instrument':<28}{'mode':<6}{'price':>12}{'quantity':>10}"
        f"{'volume':>14}{'oi':>12}  flags"
    )

    def line(self, line: bytes) -> str:
        """One of either, as the control API sends it."""
        import msgspec

        from tickerd.plugin import AnyRecord, Row

        if line.startswith(b'{"record":'):
            return self.record(msgspec.json.decode(line, type=AnyRecord))
        return self.row(msgspec.json.decode(line, type=Row))

    def tick(self, tick: "Tick") -> str:
        """One tick."""
        return self.row(tick.row)

    def row(self, row: "Row") -> str:
        """One tick, by its columns."""
        name = row.symbol or str(row.instrument_token)
        return (
            f"{_clock(row.ts_recv):<13}{name:<28}{row.mode:<6}{_text(row.last_price):>12}"
            f"{_text(row.last_traded_quantity):>10}{_text(row.volume_traded):>14}{_text(row.oi):>12}"
            f"  {' '.join(row.flags)}"
        ).rstrip()

    def record(self, record: "AnyRecord") -> str:
        """One control record."""
        import msgspec

        from tickerd.plugin import record_kind

        said = msgspec.to_builtins(record)
        known = ("record", "ts_recv", "epoch", "seq")
        facts = " ".join(
            f"{key}={value}" for key, value in said.items() if value is not None and key not in known
        )
        return f"{_clock(record.ts_recv):<13}{record_kind(record).upper():<28}{facts}".rstrip()


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:,}"


def _clock(ts_ns: int) -> str:
    from datetime import datetime

    from tickerd.cli.moments import IST

    return datetime.fromtimestamp(ts_ns // 1_000_000 / 1000, IST).strftime("%H:%M:%S.%f")[:12]


def _lines(show: Json | Table, batch: "Batch | None") -> Iterator[str]:
    if batch is not None:
        yield from map(show.tick, batch.ticks)
        yield from map(show.record, batch.records)
