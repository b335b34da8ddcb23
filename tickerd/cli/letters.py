"""Dead letters as text and as JSON. What others wrote (reasons, answers) moves no cursor and breaks no line."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from tickerd.observe.clean import escape
from tickerd.state.deadletters import Line, Totals

_LONGEST_REASON = 80

Letter = Mapping[str, Any]
"""One letter whole, as the control API shows it."""


def sinks(found: Sequence[Totals], as_json: bool) -> str:
    """The sinks and their figures."""
    if as_json:
        return json_text({"sinks": [one._asdict() for one in found]})
    if not found:
        return "no dead letters"
    rows = [(one.sink, one.letters, one.bytes, one.redrives, one.removed) for one in found]
    return _table(("sink", "letters", "bytes", "to redrive", "removed by caps"), rows)


def page(sink: str, found: Sequence[Line], *, more: bool, as_json: bool) -> str:
    """Some letters of one sink, and how to see those after them."""
    if as_json:
        return json_text({"sink": sink, "letters": [one._asdict() for one in found], "more": more})
    if not found:
        return f"no dead letters of {sink!r}"
    table = _table(
        ("id", "position", "what", "tries", "last try", "redrive", "reason"), list(map(_row, found))
    )
    return f"{table}\nthere are more: --after {found[-1].id}" if more else table


def whole(letter: Letter, as_json: bool) -> str:
    """Everything about one letter."""
    data = dict(letter)
    if as_json:
        return json_text(data)
    payload = data.pop("payload")
    data["position"] = ":".join(map(str, data["position"]))
    data["instrument"] = data.pop("symbol")
    for name in ("first_ns", "last_ns", "redrive_requested_ns"):
        nanoseconds = data.pop(name)
        data[name.removesuffix("_ns")] = None if nanoseconds is None else _time(nanoseconds)
    width = max(map(len, data))
    lines = [f"{name.replace('_', ' '):{width}}  {_cell(value)}" for name, value in data.items()]
    return "\n".join([*lines, "no payload was kept" if payload is None else json_text(payload)])


def counted(number: int) -> str:
    """``1 dead letter`` or ``2 dead letters``."""
    return f"{number} dead letter{'' if number == 1 else 's'}"


def json_text(data: Any) -> str:
    """Plain ASCII."""
    return json.dumps(data, indent=2)


def _row(line: Line) -> Sequence[object]:
    reason = line.reason
    short = reason if len(reason) <= _LONGEST_REASON else f"{reason[: _LONGEST_REASON - 1]}…"
    waiting = "-" if line.redrive_requested_ns is None else "waiting"
    what = line.symbol or line.kind
    return line.id, f"{line.epoch}:{line.seq}", what, line.attempts, _time(line.last_ns), waiting, short


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    cells = [head, *(list(map(_cell, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
    return "\n".join([click.style(lines[0], bold=True), *lines[1:]])


def _cell(value: object) -> str:
    return "-" if value in (None, "") else escape(str(value))


def _time(nanoseconds: int) -> str:
    moment = datetime.fromtimestamp(nanoseconds // 10**9, UTC).astimezone()
    return moment.isoformat(sep=" ", timespec="seconds")
