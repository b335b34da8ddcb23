"""API keys as a table and as JSON; never their texts, but for the one moment when a key is made."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from tickerd.observe.clean import escape

Shown = Mapping[str, Any]
"""A key as `tickerd.state.keys.Key.shown` and the control API show it."""

_HEAD = ("id", "label", "status", "scopes", "networks", "made", "ends", "last used")
_COLOURS = {"active": "green", "rotated": "yellow", "expired": "red", "revoked": "red"}
_STATUS = _HEAD.index("status")


def table(keys: Sequence[Shown]) -> str:
    """One line for each."""
    if not keys:
        return "there are no keys; make one with tickerd keys create"
    rows = [list(map(escape, _row(key))) for key in keys]
    widths = [max(map(len, column)) for column in zip(_HEAD, *rows, strict=True)]
    lines = [click.style(_line(_HEAD, widths), bold=True)]
    for row in rows:
        cells = list(map(str.ljust, row, widths))
        cells[_STATUS] = click.style(cells[_STATUS], fg=_COLOURS.get(row[_STATUS]))
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def as_json(data: Any) -> str:
    """Plain ASCII."""
    return json.dumps(data, indent=2)


def moment(nanoseconds: int | None) -> str:
    """A time as the host shows it; a dash where there is none."""
    if nanoseconds is None:
        return "-"
    when = datetime.fromtimestamp(nanoseconds // 10**9, UTC).astimezone()
    return when.isoformat(sep=" ", timespec="minutes")


def _row(key: Shown) -> Sequence[str]:
    return (
        key["id"],
        key["label"],
        key["status"],
        " ".join(key["scopes"]),
        " ".join(key["networks"]) or "everywhere",
        moment(key["created_ns"]),
        moment(key["expires_ns"] if key["revoked_ns"] is None else key["revoked_ns"]),
        moment(key["last_used_ns"]),
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(map(str.ljust, cells, widths)).rstrip()
