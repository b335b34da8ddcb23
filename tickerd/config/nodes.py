"""The tree that a YAML file becomes: every value, and the place of every key and value."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tickerd.config.problem import Path, Problem, dotted

MAX_DEPTH = 64
"""Levels of nesting, at most; real files have six."""
MAX_VALUES = 100_000
"""Keys and values in a whole configuration, at most, with every alias and merge key written out."""


class Place(NamedTuple):
    """Where a key or value stands: lines and columns count from 1, the end is exclusive."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int

    def problem(self, path: Path, message: str, hint: str = "") -> Problem:
        """A problem at this place."""
        return Problem(self.file, self.line, self.column, dotted(path), message, hint)


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value that holds no others. Texts keep their references until they are resolved."""

    value: str | int | float | bool | None
    place: Place
    written: str = ""
    """Letter for letter, without quotes: what it is called when it stands as a key."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: list["Node"]
    place: Place


class Entry(NamedTuple):
    """One key of a mapping, and its value."""

    key: Place
    value: "Node"


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values; keys are always text."""

    entries: dict[str, Entry]
    place: Place


Node = Scalar | Sequence | Mapping


def children(node: Node) -> Iterator[tuple[str | int, Node]]:
    """What it holds, by key or index."""
    if isinstance(node, Mapping):
        for key, entry in node.entries.items():
            yield key, entry.value
    elif isinstance(node, Sequence):
        yield from enumerate(node.items)


def child(node: Node | None, key: str | int) -> Node | None:
    """The value under a key or index, or None."""
    if isinstance(node, Mapping):
        entry = node.entries.get(str(key))
        return None if entry is None else entry.value
    if isinstance(node, Sequence) and isinstance(key, int) and 0 <= key < len(node.items):
        return node.items[key]
    return None


def scalars(node: Node) -> Iterator[Scalar]:
    """Every scalar at or below a node, each once, however many aliases lead to it."""
    seen: set[int] = set()
    stack = [node]
    while stack:
        one = stack.pop()
        if isinstance(one, Scalar):
            yield one
        elif id(one) not in seen:
            seen.add(id(one))
            stack.extend(value for _, value in children(one))


_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_LONGEST_NUMBER = 40


def core_value(text: str) -> str | int | float | bool | None:
    """What an unquoted scalar means by YAML 1.2's core schema: ``NO``, ``on`` and ``12:30`` stay text."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if len(text) > _LONGEST_NUMBER or text[0] not in "+-.0123456789":
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text
