"""The source line under a problem, with every value masked that may be a secret."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from tickerd.config.nodes import Place
from tickerd.config.problem import Problem

MASK = "***"
LONGEST = 120

_SECRET_KEY = re.compile(
    r"secret|passw|passphrase|token|api[_-]?key|private|credential|signature|totp|cookie|authorization|dsn"
    r"|(?:^|[_-])(?:key|pin|otp|pwd|auth)s?$",
    re.IGNORECASE,
)
_USER_INFO = re.compile(r"://[^/\s@]*@")
_REFERENCE = re.compile(r"(\$\{(?:env|file|credential):[^{}]*\})")
_KEY_IN_LINE = re.compile(r"(?:^|[\s,{\"'-])([\w-]+)[\"']?\s*:")
_GLUED = re.compile(r"(?<![{\w-])([\w-]+)[:=](?=[^\s:=])")
"""``api_key:value``, which is no key to YAML and one to whoever wrote it."""
_COMMENT = re.compile(r"\s+#.*")

Masks = Mapping[tuple[str, int], Sequence[tuple[int, int]]]
"""(file, line) → spans of columns that must not be shown, counted from 0."""

_END = 1 << 30


class _Shown(NamedTuple):
    text: str
    caret: int


def looks_secret(key: object) -> bool:
    """Whether a key by its name holds something that must not be shown."""
    return isinstance(key, str) and _SECRET_KEY.search(key) is not None


def holds_login(value: object) -> bool:
    """Whether a text has a user's name or password in a URL."""
    return isinstance(value, str) and _USER_INFO.search(value) is not None


def masks(places: Iterable[Place]) -> dict[tuple[str, int], list[tuple[int, int]]]:
    """The spans that these values cover, line by line."""
    found: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for place in set(places):
        for line in range(place.line, place.end_line + 1):
            start = place.column - 1 if line == place.line else 0
            end = place.end_column - 1 if line == place.end_line else _END
            if end > start:
                found.setdefault((place.file, line), []).append((start, end))
    return found


def with_source(problem: Problem, lines: Mapping[str, Sequence[str]], hidden: Masks | None) -> Problem:
    """The problem with its source line.

    Args:
        problem: what to show.
        lines: file → its lines.
        hidden: what must not be shown; None when the file could not be read as YAML, so that what looks
            like a secret has to be found in the text itself.
    """
    text = lines.get(problem.file, ())
    if not 0 < problem.line <= len(text):
        return problem
    line = text[problem.line - 1]
    if hidden is None:
        spans = list(_guessed(text, problem.line - 1))
    else:
        glued = [(match.end(), _END) for match in _GLUED.finditer(line) if looks_secret(match[1])]
        spans = sorted([*hidden.get((problem.file, problem.line), ()), *glued[:1]])
    shown = _clipped(*_masked(line, spans, problem.column - 1))
    return replace(problem, source=shown.text, caret=shown.caret)


def _masked(line: str, spans: Sequence[tuple[int, int]], column: int) -> _Shown:
    """The line with its spans masked, and where the column went."""
    out, at, caret = "", 0, column
    for start, end in spans:
        if start < at:
            continue
        out += line[at:start]
        if column >= start:
            caret = len(out)
        out += _without_values(line[start:end])
        if column >= end:
            caret = len(out) + column - end
        at = min(end, len(line))
    rest = _COMMENT.sub("", line[at:]) if spans else line[at:]
    return _Shown(_printable(out + rest), caret)


def _without_values(text: str) -> str:
    """A mask, but references stay: they say where a secret is and not what it is."""
    quote = text[:1] if text[:1] in {"'", '"'} else ""
    parts = _REFERENCE.split(text.strip("'\""))
    if len(parts) == 1:
        return MASK
    inside = "".join(part if n % 2 else MASK if part else "" for n, part in enumerate(parts))
    return f"{quote}{inside}{quote}"


def _printable(line: str) -> str:
    """Without characters that would move a terminal's cursor or turn its text round."""
    return "".join(char if char.isprintable() or char == "\t" else "?" for char in line)


def _clipped(line: str, caret: int) -> _Shown:
    """The part of a long line round the caret."""
    if len(line) <= LONGEST:
        return _Shown(line, min(caret, len(line)))
    start = max(0, min(caret - LONGEST // 2, len(line) - LONGEST))
    head = "…" if start else ""
    tail = "…" if start + LONGEST < len(line) else ""
    return _Shown(head + line[start : start + LONGEST] + tail, min(caret, len(line)) - start + len(head))


def _guessed(lines: Sequence[str], index: int) -> Iterator[tuple[int, int]]:
    """What may be secret in a line of a text that is not YAML: all behind a key that looks like it."""
    line = lines[index]
    keys = list(_KEY_IN_LINE.finditer(line))
    if not keys and looks_secret(_key_before(lines, index)):
        yield len(line) - len(line.lstrip()), _END
        return
    for match in keys:
        value = line[match.end() :]
        if looks_secret(match[1]) or holds_login(value):
            yield match.end() + len(value) - len(value.lstrip()), _END
            return


def _key_before(lines: Sequence[str], index: int) -> str | None:
    """The last key above a line, to which a value over several lines belongs."""
    for line in reversed(lines[:index]):
        keys = _KEY_IN_LINE.findall(line)
        if keys:
            return str(keys[-1])
    return None
