"""Puts in what ``${env:NAME}``, ``${file:/path}`` and ``${credential:name}`` stand for, after the parsing."""

import re
from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from tickerd.config.nodes import MAX_DEPTH, MAX_VALUES, Mapping, Node, Scalar, children
from tickerd.config.problem import Path, Problem
from tickerd.config.reading import Unreadable, read_text

MAX_FILE_BYTES = 64 << 10
"""Of a file that a reference names."""

_TOKEN = re.compile(r"\$\$\{|\$\{(?:(?P<kind>\w+):(?P<name>[^{}\n]+)\})?")
_NAMES = {
    "env": re.compile(r"[A-Za-z_][A-Za-z0-9_]*"),
    "file": re.compile(r"/[^\0]+"),
    "credential": re.compile(r"(?!\.\.?$)[A-Za-z0-9_.@:-]+"),
}
_FORMS = "a reference is ${env:NAME}, ${file:/path} or ${credential:name}; for a literal ${ write $${"

REFERENCE_HINT = (
    "put any text of the right form in its place, or check the file where it lies: tickerd check FILE"
)


class _Unresolved(Exception):
    """Why a reference leads nowhere, and a hint."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(slots=True)
class Resolved:
    """Plain values: mappings, lists and scalars without places."""

    value: Any = None
    secret: set[Path] = field(default_factory=set)
    """Where a text held a reference; whatever its type, it must not be shown."""
    unresolved: set[Path] = field(default_factory=set)
    """Where a reference leads nowhere; the value there is a stand-in that says nothing."""
    problems: list[Problem] = field(default_factory=list)
    texts: set[str] = field(default_factory=set)
    """What the references stood for."""


class Resolver:
    """Resolves the references of one configuration; reads each file once.

    Args:
        env: the environment, handed down; None when no reference may be resolved, so that each is a problem.
    """

    def __init__(self, env: MappingType[str, str] | None) -> None:
        self._env = env
        self._known: dict[tuple[str, str], str | _Unresolved] = {}
        self._values = 0
        self._out = Resolved()

    def resolve(self, root: Node) -> Resolved:
        """Every value of the tree, with aliases written out as often as they stand."""
        self._out.value = self._plain(root, ())
        return self._out

    def _plain(self, node: Node, path: Path) -> Any:
        self._values += 1
        if isinstance(node, Scalar):
            return self._scalar(node, path)
        if len(path) > MAX_DEPTH or self._values > MAX_VALUES:
            self._too_large(node, path)
            return None
        values = {key: self._plain(value, (*path, key)) for key, value in children(node)}
        return values if isinstance(node, Mapping) else list(values.values())

    def _too_large(self, node: Node, path: Path) -> None:
        """Told once: what comes after it is cut short too."""
        self.unresolvable(path)
        limit = f"{MAX_DEPTH} levels" if len(path) > MAX_DEPTH else f"{MAX_VALUES:,} values"
        message = f"with its aliases written out the configuration exceeds {limit}"
        if not any(problem.message == message for problem in self._out.problems):
            self._out.problems.append(node.place.problem((), message))

    def unresolvable(self, path: Path) -> None:
        """The value there is a stand-in."""
        self._out.unresolved.add(path)

    def _scalar(self, node: Scalar, path: Path) -> Any:
        if not isinstance(node.value, str) or "${" not in node.value:
            return node.value
        parts, at = [], 0
        for match in _TOKEN.finditer(node.value):
            parts.append(node.value[at : match.start()])
            at = match.end()
            if match[0] == "$${":
                parts.append("${")
                continue
            self._out.secret.add(path)
            try:
                parts.append(self._reference(match["kind"], match["name"]))
            except _Unresolved as error:
                self.unresolvable(path)
                self._out.problems.append(node.place.problem(path, error.message, error.hint))
        return "".join([*parts, node.value[at:]])

    def _reference(self, kind: str | None, name: str) -> str:
        known = self._known.get((kind or "", name))
        if known is None:
            try:
                known = self._look_up(kind, name)
            except _Unresolved as error:
                known = error
            self._known[kind or "", name] = known
        if isinstance(known, _Unresolved):
            raise _Unresolved(known.message, known.hint)
        self._out.texts.add(known)
        return known

    def _look_up(self, kind: str | None, name: str) -> str:
        if kind is None or kind not in _NAMES:
            raise _Unresolved("not a reference that can be resolved", _FORMS)
        if not _NAMES[kind].fullmatch(name):
            raise _Unresolved(f"not a valid name in ${{{kind}:…}}", _FORMS)
        if self._env is None:
            raise _Unresolved("references are not resolved in a document that was sent", REFERENCE_HINT)
        if kind == "env":
            return _variable(self._env, name)
        if kind == "file":
            return _file(FilePath(name), f"the file {name!r}")
        return _credential(self._env, name)


def _variable(env: MappingType[str, str], name: str) -> str:
    value = env.get(name)
    if value is None:
        raise _Unresolved(f"the environment variable {name!r} is not set")
    return value


def _credential(env: MappingType[str, str], name: str) -> str:
    directory = env.get("CREDENTIALS_DIRECTORY")
    hint = f"in the systemd unit, set LoadCredential={name}:/path/to/file"
    if not directory:
        raise _Unresolved("there is no directory of credentials ($CREDENTIALS_DIRECTORY is not set)", hint)
    return _file(FilePath(directory) / name, f"the credential {name!r}", hint)


def _file(path: FilePath, what: str, hint: str = "") -> str:
    """Its text without the line end that editors put at the end of a file."""
    try:
        text = read_text(path, MAX_FILE_BYTES)
    except Unreadable as error:
        raise _Unresolved(f"{what}: {error}", hint) from None
    return text.removesuffix("\r\n").removesuffix("\n")
