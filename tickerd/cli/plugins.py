"""`tickerd plugins`: what is installed, what each plugin offers, and why some cannot be used."""

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tickerd.runtime.registry import Description


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def plugins(as_json: bool) -> None:
    """List the installed plugins: the names that YAML writes after `use:`.

    Imports each of them to see what it offers. Exits with 1 when one cannot be used.

    \b
    Examples:
      tickerd plugins
      tickerd plugins --json | jq -r '.[] | select(.problem) | .name'
    """
    from tickerd.runtime.registry import Registry

    registry = Registry.installed()
    found = [registry.describe(name) for name in registry.names()]
    click.echo(_json(found) if as_json else _text(found))
    sys.exit(any(one.problem for one in found))


def _json(found: "list[Description]") -> str:
    import orjson

    rows = [
        {
            "name": one.installed.name,
            "distribution": one.installed.distribution,
            "version": one.installed.version,
            "module": one.installed.module,
            "kinds": one.kinds,
            "codecs": one.codecs,
            "commands": one.commands,
            "problem": one.problem,
        }
        for one in found
    ]
    return orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode()


def _text(found: "list[Description]") -> str:
    """A table whose last column is free to be long, then the problems."""
    if not found:
        return "no plugin is installed"
    rows = [("name", "from", "kinds", "commands")]
    for one in found:
        state = click.style("cannot be used", fg="red") if one.problem else ", ".join(one.kinds) or "-"
        rows.append((one.installed.name, str(one.installed), state, ", ".join(one.commands) or "-"))
    widths = [max(len(click.unstyle(cell)) for cell in column) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(_padded, row, widths)).rstrip() for row in rows]
    lines[0] = click.style(lines[0], bold=True)
    lines += [f"\n{one.problem}" for one in found if one.problem]
    return "\n".join(lines)


def _padded(cell: str, width: int) -> str:
    return cell + " " * (width - len(click.unstyle(cell)))
