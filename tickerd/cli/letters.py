"""Dead letters as text and as JSON. What others wrote (reasons, answers) moves no cursor and breaks no line."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from tickerd.observe.clean import escape
from tickerd.state.deadletters import KeptLetter, Line, Totals

_LONGEST_REASON = 80
_DECODERS: dict[str, Callable[[bytes], Any]] = {
    "json": msgspec.json.decode,
    "msgpack": msgspec.msgpack.decode,
}


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


def whole(letter: KeptLetter, as_json: bool) -> str:
    """Everything about one letter."""
    data = _data(letter)
    if as_json:
        return json_text(data)
    payload = data.pop("payload")
    data["position"] = f"{letter.position.epoch}:{letter.position.seq}"
    data["instrument"] = letter.instrument and letter.instrument.symbol
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


def _data(letter: KeptLetter) -> dict[str, Any]:
    plain = msgspec.to_builtins(letter, builtin_types=(bytes,))
    return {"id": plain.pop("id"), **plain} | {
        "response": letter.response.decode("utf-8", "backslashreplace"),
        "payload": _payload(letter),
    }


def _payload(letter: KeptLetter) -> Any:
    """What was kept of the record, decoded; in hex when that cannot be done."""
    if letter.payload is None:
        return None
    try:
        # bytes inside are not for JSON either
        return msgspec.to_builtins(_DECODERS[letter.payload_form](letter.payload), str_keys=True)
    except (KeyError, ValueError):
        return letter.payload.hex()


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
