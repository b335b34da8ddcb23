"""`tickerd verify`: reads the journal from end to end and says what it holds and what is wrong with it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tickerd.journal.audit import Report

_MOST = 20
"""Lines of one kind; what is more is counted."""
_Path = click.Path(path_type=Path)


@click.command(
    epilog="""
\b
Examples:
  tickerd verify -c /etc/tickerd/tickerd.yaml
  tickerd verify --dir /var/lib/tickerd/journal 2026-11-23
  tickerd verify --json 2026-11-23-*.tkj

\b
Exit codes:
  0   all that was written is there; gaps of the feed are told, and are not wrong
  1   something is damaged, or missing and nobody told
"""
)
@click.argument("what", metavar="[DATE|FILE]…", nargs=-1)
@click.option("--dir", "directory", type=_Path, help="The journal's directory.")
@click.option("-c", "--config", "file", type=_Path, help="The YAML file, which says where the journal is.")
@click.option("--per-instrument", is_flag=True, help="Count the ticks of each instrument.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def verify(
    context: click.Context,
    what: tuple[str, ...],
    directory: Path | None,
    file: Path | None,
    per_instrument: bool,
    as_json: bool,
) -> None:
    """Check the journal: every record's CRC, every position, and the gaps that it tells of.

    DATE is a day of the journal, which begins at 06:00 IST; FILE is one segment. Without either, all of it is
    read. Nothing is changed, and the daemon may be running.
    """
    from tickerd.cli.codecs import InstalledCodecs
    from tickerd.cli.segments import choose
    from tickerd.journal.audit import audit

    if directory is not None and file is not None:
        raise click.UsageError("give --dir or --config, not both")
    found, among, bad = choose(what, lambda: _journal_of(directory, file))
    report = audit(found, InstalledCodecs(), per_instrument=per_instrument, among=among, quarantined=bad)
    click.echo(_json(report) if as_json else "\n".join(_lines(report)))
    if report.wrong:
        context.exit(1)


def _journal_of(directory: Path | None, file: Path | None) -> Path:
    if directory is not None:
        return directory
    if file is None:
        from tickerd.config.settings import StateSettings

        return StateSettings().dir / "journal"
    from tickerd.cli.load import load_or_exit

    return load_or_exit(file)[0].settings.state.dir / "journal"


def _json(report: "Report") -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(_data(report))).decode()


def _data(report: "Report") -> dict[str, Any]:
    from dataclasses import asdict

    data = asdict(report)
    data["epochs"] = [one._asdict() for one in report.epochs]
    data["gaps"] = [gap._asdict() | {"seconds": gap.seconds} for gap in report.gaps]
    data["holes"] = [hole._asdict() | {"lost": hole.lost} for hole in report.holes]
    data["damage"] = [one._asdict() | {"path": str(one.path), "lost": one.lost} for one in report.damage]
    data["quarantined"] = [str(path) for path in report.quarantined]
    return data | {"wrong": report.wrong}


def _lines(report: "Report") -> Iterator[str]:
    from tickerd.cli.segments import damage_text

    yield (
        f"{report.segments:,} segments, {report.bytes:,} bytes: {report.batches:,} batches with "
        f"{report.ticks:,} ticks and {report.records:,} control records"
    )
    for epoch in report.epochs:
        yield f"epoch {epoch.first.epoch}: positions {epoch.first.seq:,} to {epoch.last.seq:,}"
    yield from _some("gap told by the feed", [_gap(gap) for gap in report.gaps])
    yield f"ticks marked as duplicates: {report.duplicates:,}, as out of order: {report.out_of_order:,}"
    if report.unfinished:
        yield f"newest segment: {report.unfinished:,} bytes after its last record are not whole yet"
    yield from _some("missing, as a gap tells", [_hole(hole) for hole in report.holes if hole.told])
    yield from _some("MISSING", [_hole(hole) for hole in report.holes if not hole.told])
    if report.repeats:
        yield f"REPEATED: {report.repeats:,} batches begin at a position that had been there before"
    yield from _some("DAMAGED", [damage_text(one) for one in report.damage])
    yield from _some("UNREADABLE", [str(path) for path in report.quarantined])
    if report.instruments:
        width = max(map(len, report.instruments))
        yield from (f"{symbol:<{width}} {count:>14,}" for symbol, count in report.instruments.items())
    yield "something is wrong" if report.wrong else "nothing is wrong"


def _some(title: str, lines: Sequence[str]) -> Iterator[str]:
    yield from (f"{title}: {line}" for line in lines[:_MOST])
    if len(lines) > _MOST:
        yield f"{title}: … and {len(lines) - _MOST:,} more"


def _gap(gap: Any) -> str:
    where = " ".join(str(one) for one in (gap.source, gap.connection) if one is not None)
    lasted = "" if gap.seconds is None else f", {gap.seconds:.3f} s"
    lost = "" if gap.lost is None else f", {gap.lost:,} lost"
    return f"{gap.position.epoch}:{gap.position.seq} {where} {gap.reason}{lasted}{lost}"


def _hole(hole: Any) -> str:
    return (
        f"{hole.lost:,} between {hole.after.epoch}:{hole.after.seq} and {hole.before.epoch}:{hole.before.seq}"
    )
