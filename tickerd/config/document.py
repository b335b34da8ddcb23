"""The configuration as it was written: one YAML file and its ``conf.d``, with the place of everything."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from tickerd.config.compose import Broken, Composer, duplicate
from tickerd.config.excerpt import with_source
from tickerd.config.nodes import MAX_VALUES, Entry, Mapping, Node, Place
from tickerd.config.problem import ConfigError, Path, Problem
from tickerd.config.reading import Unreadable, decode, read_bytes

MAX_BYTES = 1 << 20
"""Of one file."""

_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Document:
    """What was written. Texts still hold their references."""

    root: Mapping
    """Places in it name the file they are from."""
    lines: dict[str, list[str]] = field(default_factory=dict)
    """File → its lines; in the order in which the files were read."""
    problems: tuple[Problem, ...] = ()
    """Duplicate keys; they stop the configuration from being used and not from being checked further."""
    warnings: tuple[Problem, ...] = ()
    dropped: tuple[Node, ...] = ()
    """What stood under duplicate keys; nothing of it may be shown."""

    @property
    def file(self) -> str:
        """The main file."""
        return next(iter(self.lines), "")


@dataclass(slots=True)
class _Reader:
    """Collects the files of one configuration."""

    lines: dict[str, list[str]] = field(default_factory=dict)
    roots: list[Mapping] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    dropped: list[Node] = field(default_factory=list)
    broken: bool = False
    size: int = 0

    def stop(self, problem: Problem) -> None:
        """Something that leaves nothing to go on with in this file."""
        self.problems.append(problem)
        self.broken = True

    def file(self, path: FilePath, *, may_be_empty: bool) -> None:
        name = str(path)
        self.lines[name] = []
        try:
            data = read_bytes(path, MAX_BYTES)
        except Unreadable as error:
            self.stop(Problem(name, 0, 0, "", str(error)))
        else:
            self.data(name, data, may_be_empty=may_be_empty)

    def data(self, name: str, data: bytes, *, may_be_empty: bool = False) -> None:
        try:
            text = decode(data)
        except Unreadable as error:
            good = error.data[: error.offset].decode("utf-8-sig", "replace")
            before = _LINE_END.split(good)
            self.lines[name] = _LINE_END.split(error.data.decode("utf-8-sig", "replace"))
            line, column = (len(before), len(before[-1]) + 1) if error.data else (0, 0)
            self.stop(Problem(name, line, column, "", str(error)))
        else:
            self.lines[name] = _LINE_END.split(text)
            self._text(name, text, may_be_empty=may_be_empty)

    def _text(self, name: str, text: str, *, may_be_empty: bool) -> None:
        composer = Composer(name, text)
        try:
            root = composer.compose()
        except Broken as broken:
            self.problems.extend(composer.problems)
            self.stop(broken.problem)
            return
        self.problems.extend(composer.problems)
        self.dropped.extend(composer.dropped)
        self.size += composer.size
        if self.size > MAX_VALUES:
            self.stop(
                Problem(name, 0, 0, "", f"with it the configuration holds more than {MAX_VALUES:,} values")
            )
        if isinstance(root, Mapping):
            self.roots.append(root)
        elif root is not None and not _is_empty(root):
            self.stop(root.place.problem((), "expected a mapping of sections (sources, sinks, …)"))
        elif not may_be_empty:
            self.stop(Problem(name, 0, 0, "", "is empty", "it needs at least the section 'sources'"))

    def directory(self, path: FilePath) -> None:
        """``conf.d`` beside the main file, when there is one."""
        try:
            names = sorted(os.listdir(path))  # noqa: PTH208 - the names are what is sorted and judged
        except FileNotFoundError:
            return
        except OSError as error:
            self.stop(
                Problem(str(path), 0, 0, "", f"cannot be listed: {(error.strerror or 'unknown').lower()}")
            )
            return
        for name in names:
            if name.startswith("."):
                continue
            if name.endswith(".yaml"):
                self.file(path / name, may_be_empty=True)
            elif name.endswith(".yml"):
                warning = Problem(str(path / name), 0, 0, "", "is not read", "its name must end in .yaml")
                self.warnings.append(warning)

    def document(self) -> Document:
        """All files as one.

        Raises:
            ConfigError: at least one of them cannot be read as YAML.
        """
        root = Mapping({}, Place(next(iter(self.lines), ""), 1, 1, 1, 1))
        for one in self.roots:
            root = self._merged(root, one, ())
        if self.broken:
            order = list(self.lines)
            self.problems.sort(
                key=lambda p: (order.index(p.file) if p.file in order else -1, p.line, p.column)
            )
            raise ConfigError([with_source(problem, self.lines, None) for problem in self.problems])
        return Document(root, self.lines, tuple(self.problems), tuple(self.warnings), tuple(self.dropped))

    def _merged(self, one: Mapping, two: Mapping, path: Path) -> Mapping:
        """A new mapping of both. What both set is a problem, unless both are mappings or one is empty."""
        entries = dict(one.entries)
        for key, entry in two.entries.items():
            first = entries.get(key)
            if first is None or _is_empty(first.value):
                entries[key] = entry
            elif _is_empty(entry.value):
                continue
            elif isinstance(first.value, Mapping) and isinstance(entry.value, Mapping):
                entries[key] = Entry(first.key, self._merged(first.value, entry.value, (*path, key)))
            else:
                self.problems.append(duplicate(entry.key, (*path, key), first.key))
                self.dropped.append(entry.value)
        return Mapping(entries, one.place)


def load_document(path: FilePath) -> Document:
    """The main file, and ``conf.d/*.yaml`` in the same directory in order of their names.

    Raises:
        ConfigError: a file cannot be read or is no YAML; holds the problems of all files.
    """
    reader = _Reader()
    reader.file(path, may_be_empty=False)
    reader.directory(path.parent / "conf.d")
    return reader.document()


def parse_document(data: bytes, file: str = "-", *, may_be_empty: bool = False) -> Document:
    """One YAML text that is not in a file, or whose file the caller has read.

    Raises:
        ConfigError: it is no YAML.
    """
    reader = _Reader()
    if len(data) > MAX_BYTES:
        raise ConfigError([Problem(file, 0, 0, "", f"is larger than {MAX_BYTES >> 20} MiB")])
    reader.data(file, data, may_be_empty=may_be_empty)
    return reader.document()


def _is_empty(node: Node) -> bool:
    return getattr(node, "value", "") is None
