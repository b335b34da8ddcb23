"""`tickerd plan`: what a reload from one configuration to another would do, without doing it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

_MARKS = {"keep": "=", "change": "~", "restart": "!", "add": "+", "remove": "-"}
_COLOURS = {"keep": None, "change": "yellow", "restart": "magenta", "add": "green", "remove": "red"}
_MOST_ITEMS = 5
_File = click.Path(path_type=Path)


@click.command()
@click.argument("old", type=_File)
@click.argument("new", type=_File)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def plan(old: Path, new: Path, form: str) -> None:
    """Show what a reload from the file OLD to the file NEW would do.

    Each source and sink is kept, changed in place, restarted, added or removed; what needs a restart of
    tickerd itself is named. Secrets are not shown. Exits with 78 when one of the files is wrong.

    \b
    Examples:
      tickerd plan /etc/tickerd/tickerd.yaml new.yaml
      git show HEAD:tickerd.yaml > old.yaml; tickerd plan old.yaml tickerd.yaml
    """
    from tickerd.cli.load import load_or_exit
    from tickerd.runtime.plan import plan as planned

    before, after = load_or_exit(old)[0], load_or_exit(new)[0]
    data = planned(before.settings, after.settings, before.secret | after.secret).data()
    click.echo(_json(data) if form == "json" else "\n".join(lines(data)))


def _json(data: dict[str, Any]) -> str:
    import orjson

    return orjson.dumps(data, option=orjson.OPT_INDENT_2).decode()


def lines(data: dict[str, Any]) -> Iterator[str]:
    """A plan, as `tickerd.runtime.plan.Plan.data` gives it, for people, with colours."""
    if not data["changes"]:
        yield "nothing changes"
    for step in data["steps"]:
        how = f" ({step['replace']} the old one)" if step["replace"] else ""
        text = f"{_MARKS[step['verb']]} {step['verb']:<8} {step['unit']}{how}"
        yield click.style(text, fg=_COLOURS[step["verb"]])
        yield from (f"      {_reason(one)}" for one in step["differences"] if one["reload"] != "daemon")
    if data["settings"]:
        yield "settings of tickerd, changed in place:"
        yield from (f"      {_reason(one)}" for one in data["settings"])
    if data["needs_restart"]:
        yield click.style("stays as it is until tickerd is restarted:", fg="red")
        yield from (f"      {_reason(one)}" for one in data["needs_restart"])


def _reason(difference: dict[str, Any]) -> str:
    option = difference["option"]
    if "added" in difference:
        items = [f"+{item}" for item in difference["added"]] + [f"-{item}" for item in difference["removed"]]
        more = f" and {len(items) - _MOST_ITEMS} more" if len(items) > _MOST_ITEMS else ""
        return f"{option}: {', '.join(items[:_MOST_ITEMS]) or 'another order'}{more}"
    old, new = difference["old"], difference["new"]
    return f"{option}: changed" if old == new else f"{option}: {_value(old)} → {_value(new)}"


def _value(value: Any) -> str:
    if value is None:
        return "not set"
    import orjson

    return value if isinstance(value, str) and value else orjson.dumps(value).decode()
