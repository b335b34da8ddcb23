"""``tickerd check``: compiles configuration files without running them."""

import os
from io import StringIO
from pathlib import Path
from typing import Any

import click

from tickerd.config.problem import EXIT_CODE, ConfigError


@click.command(
    epilog="""
\b
Examples:
  tickerd check tickerd.yaml
  tickerd check --print tickerd.yaml
  tickerd check --format json config/*.yaml

\b
Exit codes:
  0   every file can be run
  78  at least one cannot
"""
)
@click.argument("files", metavar="FILE…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", help="For people or programs."
)
@click.option(
    "--print", "show", is_flag=True, help="Show what is in force, defaults included; secrets are masked."
)
@click.pass_context
def check(context: click.Context, files: tuple[Path, ...], form: str, show: bool) -> None:
    """Check configuration files and show every problem at once.

    Each FILE is read with the conf.d/*.yaml beside it. Plugins that it names are imported and references are
    resolved; nothing is started and no connection is made. Symbols are looked up in the instrument list that a
    run has left in the state directory, if there is one.
    """
    reports = [_checked(file, show) for file in files]
    if form == "json":
        click.echo(_json({"files": [_data(report) for report in reports]}))
    else:
        for report in reports:
            click.echo(_text(report))
    if any(report["problems"] for report in reports):
        context.exit(EXIT_CODE)


def _checked(file: Path, show: bool) -> dict[str, Any]:
    """What is to be said about one file."""
    from tickerd.cli.journal_note import note
    from tickerd.cli.stored import tables_of
    from tickerd.config import load
    from tickerd.config.dump import dump
    from tickerd.runtime.registry import Registry

    report: dict[str, Any] = {"file": str(file), "ok": False, "problems": (), "warnings": ()}
    try:
        compiled = load(file, Registry.installed(), os.environ, tables_of)
    except ConfigError as error:
        return report | {"problems": error.problems}
    settings = compiled.settings
    report |= {"ok": True, "sources": len(settings.sources), "sinks": len(settings.sinks)}
    report["warnings"] = compiled.warnings
    report["journal"] = note(settings)
    return report | ({"settings": dump(settings, compiled.secret)} if show else {})


def _text(report: dict[str, Any]) -> str:
    lines = [problem.text() for problem in report["problems"]]
    lines += [warning.text("warning") for warning in report["warnings"]]
    if report["ok"]:
        counts = f"{_count(report['sources'], 'source')}, {_count(report['sinks'], 'sink')}"
        lines.append(f"{report['file']}: ok ({counts})")
        lines.append(report["journal"])
    else:
        lines.append(f"{report['file']}: {_count(len(report['problems']), 'problem')}")
    if "settings" in report:
        lines.append(_yaml(report["settings"]))
    return "\n".join(lines)


def _data(report: dict[str, Any]) -> dict[str, Any]:
    problems = [problem.data() for problem in report["problems"]]
    warnings = [warning.data() for warning in report["warnings"]]
    return report | {"problems": problems, "warnings": warnings}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _json(data: Any) -> str:
    import json

    return json.dumps(data, indent=2, ensure_ascii=False)


def _yaml(data: Any) -> str:
    from ruamel.yaml import YAML

    out = StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(data, out)
    return out.getvalue().rstrip()
