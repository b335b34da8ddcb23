"""One YAML text becomes a tree: walks ruamel's events without recursion and keeps the place of everything."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    MappingStartEvent,
    ScalarEvent,
)
from ruamel.yaml.reader import ReaderError

from tickerd.config.nodes import (
    MAX_DEPTH,
    MAX_VALUES,
    Entry,
    Mapping,
    Node,
    Place,
    Scalar,
    Sequence,
    core_value,
)
from tickerd.config.problem import Path, Problem
from tickerd.config.syntax import explain

_TAGS = {
    ScalarEvent: (None, "!", "tag:yaml.org,2002:str"),
    MappingStartEvent: (None, "!", "tag:yaml.org,2002:map"),
}
_LIST_TAGS = (None, "!", "tag:yaml.org,2002:seq")
TAG = "a tag cannot be used here"
TAG_HINT = "write secrets as ${env:NAME}, ${file:/path} or ${credential:name}"


class Broken(Exception):
    """The text is no YAML that can be used; holds the one problem that stops the reading."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(slots=True)
class _Frame:
    """One open list or mapping."""

    node: Sequence | Mapping
    anchor: str | None
    key: Scalar | None = None
    """The key whose value comes next."""
    merges: list[Node] = field(default_factory=list)
    """What ``<<`` named, applied when the mapping is complete."""

    @property
    def step(self) -> str | int | None:
        """Where the next value goes; None while a key is expected."""
        if isinstance(self.node, Sequence):
            return len(self.node.items)
        return self.key.written if self.key else None


class Composer:
    """Builds the tree of one file.

    Args:
        file: name of the file in places.
        text: its content.
    """

    def __init__(self, file: str, text: str) -> None:
        self.problems: list[Problem] = []
        """Duplicate keys: all that can be told while the reading goes on."""
        self.dropped: list[Node] = []
        """What stood under them."""
        self.size = 0
        """Keys and values so far, those of merge keys included."""
        self._file = file
        self._text = text
        self._stack: list[_Frame] = []
        self._anchors: dict[str, Node | None] = {}
        self._root: Node | None = None

    def compose(self) -> Node | None:
        """The whole tree, or None for a text without any value.

        Raises:
            Broken: it stops being usable YAML somewhere.
        """
        documents = 0
        for event in self._events():
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._broken(event, "a second document begins here; a file holds one")
            elif isinstance(event, ScalarEvent):
                self._check_tag(event, _TAGS[ScalarEvent])
                self._value(self._scalar(event), event)
            elif isinstance(event, AliasEvent):
                self._value(self._alias(event), event)
            elif isinstance(event, CollectionStartEvent):
                self._open(event)
            elif isinstance(event, CollectionEndEvent):
                self._close(event)
        return self._root

    def _events(self) -> Iterator[Any]:
        try:
            yield from YAML(typ="safe", pure=True).parse(self._text)
        except ReaderError as error:
            before = self._text[: error.position]
            line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
            message = "a control character, which YAML does not allow"
            raise Broken(Problem(self._file, line, column, "", message)) from None
        except MarkedYAMLError as error:
            mark, message, hint = explain(error, self._text)
            raise Broken(Problem(self._file, mark.line + 1, mark.column + 1, "", message, hint)) from None
        except Exception:  # noqa: BLE001 - whatever the parser does not foresee, such as "\\UFFFFFFFF"
            raise Broken(Problem(self._file, 0, 0, "", "cannot be read as YAML")) from None

    def _place(self, event: Any) -> Place:
        start, end = event.start_mark, event.end_mark
        return Place(self._file, start.line + 1, start.column + 1, end.line + 1, end.column + 1)

    def _path(self) -> Path:
        return tuple(frame.step for frame in self._stack if frame.step is not None)

    def _broken(self, event: Any, message: str, hint: str = "") -> Broken:
        return Broken(self._place(event).problem(self._path(), message, hint))

    def _check_tag(self, event: Any, allowed: tuple[str | None, ...]) -> None:
        if event.tag not in allowed:
            raise self._broken(event, TAG, TAG_HINT)

    def _scalar(self, event: Any) -> Scalar:
        text = event.value
        plain = event.implicit[0] and event.tag is None
        return Scalar(core_value(text) if plain else text, self._place(event), text)

    def _alias(self, event: Any) -> Node:
        if event.anchor not in self._anchors:
            raise self._broken(event, "no anchor of this name stands before its alias")
        node = self._anchors[event.anchor]
        if node is None:
            raise self._broken(event, "an alias cannot stand inside its own anchor")
        return node

    def _open(self, event: Any) -> None:
        is_mapping = isinstance(event, MappingStartEvent)
        self._check_tag(event, _TAGS[MappingStartEvent] if is_mapping else _LIST_TAGS)
        if self._expects_key():
            raise self._broken(event, "a key must be plain text", "quote what stands before the ':'")
        if len(self._stack) >= MAX_DEPTH:
            raise Broken(self._place(event).problem((), f"nested deeper than {MAX_DEPTH} levels"))
        place = self._place(event)
        node = Mapping({}, place) if is_mapping else Sequence([], place)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._stack.append(_Frame(node, event.anchor))

    def _close(self, event: Any) -> None:
        frame = self._stack.pop()
        if isinstance(frame.node, Mapping):
            for merge in frame.merges:
                self._merge(frame.node, merge, event)
        if frame.anchor is not None:
            self._anchors[frame.anchor] = frame.node
        self._value(frame.node, event)

    def _expects_key(self) -> bool:
        frame = self._stack[-1] if self._stack else None
        return frame is not None and isinstance(frame.node, Mapping) and frame.key is None

    def _count(self, event: Any, more: int = 1) -> None:
        self.size += more
        if self.size > MAX_VALUES:
            raise Broken(self._place(event).problem((), f"holds more than {MAX_VALUES:,} values"))

    def _value(self, node: Node, event: Any) -> None:
        """A complete value takes its place in what is open."""
        self._count(event)
        anchor = event.anchor if isinstance(event, ScalarEvent) else None
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._stack:
            self._root = node
            return
        frame = self._stack[-1]
        if isinstance(frame.node, Sequence):
            frame.node.items.append(node)
        elif frame.key is None:
            frame.key = self._key(node, event)
        elif _is_merge(frame.key):
            self._check_merge(node, event)
            frame.merges.append(node)
            frame.key = None
        else:
            self._entry(frame, frame.node, node)

    def _key(self, node: Node, event: Any) -> Scalar:
        if not isinstance(node, Scalar):
            raise self._broken(event, "a key must be plain text", "quote what stands before the ':'")
        # what was quoted is text even when it reads `<<`
        return Scalar(
            node.value if getattr(event, "style", None) is None else "", self._place(event), node.written
        )

    def _entry(self, frame: _Frame, mapping: Mapping, node: Node) -> None:
        key = frame.key
        assert key is not None
        first = mapping.entries.get(key.written)
        if first is None:
            mapping.entries[key.written] = Entry(key.place, node)
        else:
            self.problems.append(duplicate(key.place, self._path(), first.key))
            self.dropped.append(node)
        frame.key = None

    def _check_merge(self, node: Node, event: Any) -> None:
        parts = node.items if isinstance(node, Sequence) else [node]
        if not all(isinstance(part, Mapping) for part in parts):
            raise self._broken(event, "expected a mapping, an alias of one, or a list of those")

    def _merge(self, into: Mapping, what: Node, event: Any) -> None:
        """Keys that are not there yet; what is written out wins, then the earlier of several."""
        for part in what.items if isinstance(what, Sequence) else [what]:
            assert isinstance(part, Mapping)
            self._count(event, len(part.entries))
            for key, entry in part.entries.items():
                into.entries.setdefault(key, entry)


def _is_merge(key: Scalar) -> bool:
    return key.value == "<<"


def duplicate(place: Place, path: Path, first: Place) -> Problem:
    """The same key stands twice."""
    return place.problem(path, f"duplicate key, first set at {first.file}:{first.line}:{first.column}")
