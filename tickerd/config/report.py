"""Collects the problems of one configuration, finds their places, and keeps secrets out of them."""

from collections.abc import Iterable, Iterator
from collections.abc import Mapping as MappingType
from typing import Any

from pydantic import BaseModel, ValidationError

from tickerd.config import shape, wording
from tickerd.config.document import Document
from tickerd.config.excerpt import looks_secret, masks, with_source
from tickerd.config.nodes import Mapping, Node, Place, child, scalars
from tickerd.config.problem import ConfigError, Path, Problem, closest
from tickerd.config.references import Resolved

WITHHELD = "is not accepted; the reason is withheld because it may show a secret"
_SHORTEST = 4
"""Letters that a secret must have before a text is searched for it."""


class Report:
    """Problems and warnings found so far."""

    def __init__(self, document: Document, resolved: Resolved) -> None:
        self._document = document
        self._resolved = resolved
        self._problems: list[Problem] = [*document.problems, *resolved.problems]
        self._warnings: list[Problem] = list(document.warnings)
        self._elsewhere: list[Problem] = []
        self._secret: set[Place] = set()
        for node in document.dropped:
            self.hide(scalar.place for scalar in scalars(node))

    # -- finding ---------------------------------------------------------------------------------------

    def node(self, path: Path) -> Node | None:
        """What was written at a path."""
        node: Node | None = self._document.root
        for part in path:
            node = child(node, part)
        return node

    def _place(self, path: Path, *, key: bool) -> Place:
        """Of a value (or its key); of the nearest thing around it when it is not there."""
        node: Node = self._document.root
        place = node.place
        for part in path:
            inner = child(node, part)
            if inner is None:
                break
            is_entry = isinstance(node, Mapping)
            place = node.entries[str(part)].key if isinstance(node, Mapping) else inner.place
            if part is path[-1] and not (key and is_entry):
                place = inner.place
            node = inner
        return place

    def value(self, path: Path) -> Any:
        """The resolved value at a path, or None."""
        value = self._resolved.value
        for part in path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def is_unresolved(self, path: Path) -> bool:
        """Whether a stand-in is there for a reference that leads nowhere."""
        return path in self._resolved.unresolved

    def is_secret(self, path: Path) -> bool:
        """Whether a reference was written there."""
        return path in self._resolved.secret

    # -- telling ---------------------------------------------------------------------------------------

    def problem(self, path: Path, message: str, hint: str = "", *, key: bool = False) -> None:
        """Something to mend, at a value or at its key."""
        self._problems.append(self._place(path, key=key).problem(path, message, hint))

    def warning(self, path: Path, message: str, hint: str = "") -> None:
        """Something that works, and is probably not meant."""
        self._warnings.append(self._place(path, key=True).problem(path, message, hint))

    def elsewhere(self, problems: Iterable[Problem]) -> None:
        """Problems of another file, with their source lines; they are shown after those of this document."""
        self._elsewhere.extend(problems)

    def hide(self, places: Iterable[Place]) -> None:
        """Values that must not be shown in source lines."""
        self._secret.update(places)

    def invalid(
        self, error: ValidationError, model: type[BaseModel], base: Path, also: Iterable[str] = ()
    ) -> None:
        """What pydantic found, one problem for each place.

        Args:
            error: what it raised.
            model: the model that was tried.
            base: path of the value that was tried.
            also: further keys that may stand beside the model's own.
        """
        found: dict[Path, list[Any]] = {}
        for item in error.errors(include_url=False, include_input=False):
            found.setdefault(self._cleaned(base, item), []).append(item)
        for path, items in found.items():
            miscounted = items[0]["type"] == "too_short" and any(other[:-1] == path for other in found)
            if not miscounted and not self._is_of_stand_in(path, items):
                self._told(path, items, model, also)

    def _cleaned(self, base: Path, item: MappingType[str, Any]) -> Path:
        """The path as it was written: pydantic puts names of types and markers into its own."""
        path, node = base, self.node(base)
        parts = item["loc"]
        for n, part in enumerate(parts):
            inner = child(node, part)
            if inner is not None:
                path, node = (*path, part), inner
            elif item["type"] == "missing" and n == len(parts) - 1:
                path = (*path, part)
        return path

    def _is_of_stand_in(self, path: Path, items: list[Any]) -> bool:
        """Whether it is only the consequence of a reference that leads nowhere."""
        if any(self.is_unresolved(path[:n]) for n in range(len(path) + 1)):
            return True
        own = all(wording.is_own_text(item["type"]) for item in items)
        return own and any(other[: len(path)] == path for other in self._resolved.unresolved)

    def _told(self, path: Path, items: list[Any], model: type[BaseModel], also: Iterable[str]) -> None:
        first = items[0]
        if first["type"] == "extra_forbidden":
            names = [*shape.keys_at(model, first["loc"][:-1]), *(also if len(first["loc"]) == 1 else ())]
            self.problem(path, "unknown key", closest(path[-1], names), key=True)
            return
        field = shape.field_at(model, first["loc"])
        message = wording.either(
            [wording.message(item, lambda n: shape.quantity(field, n)) for item in items]
        )
        if any(wording.is_own_text(item["type"]) for item in items) and self._shows_secret(message, path):
            message = WITHHELD
        hint = "" if len(items) > 1 else wording.hint(first, self.value(path))
        # of a mapping, its key is what people look for
        key = first["type"] == "missing" or isinstance(self.node(path), Mapping)
        self.problem(path, message, hint, key=key)

    def _shows_secret(self, message: str, path: Path) -> bool:
        """Whether a text that is not ours holds a secret of the section that it is about."""
        section = path[:2]
        texts = self._secret_texts(section, self.node(section), self.value(section))
        return any(len(text) >= _SHORTEST and text in message for text in texts)

    def secret_texts(self) -> set[str]:
        """Every value that must not be shown."""
        return set(self._secret_texts((), self._document.root, self._resolved.value))

    def _secret_texts(self, path: Path, node: Node | None, value: Any, secret: bool = False) -> Iterator[str]:
        secret = secret or path in self._resolved.secret or looks_secret(path[-1] if path else None)
        if isinstance(value, dict | list):
            for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
                yield from self._secret_texts((*path, key), child(node, key), inner, secret)
        elif path[-1:] == ("use",) and path not in self._resolved.secret:
            return  # the name of a plugin, whatever the section is called: auth: {keys: {use: api_key}}
        elif value is not None and (secret or (node is not None and node.place in self._secret)):
            yield str(value)

    # -- the verdict -----------------------------------------------------------------------------------

    def warnings(self) -> tuple[Problem, ...]:
        """With their source lines, in order of place."""
        return self._finished(self._warnings)

    def raise_if_any(self) -> None:
        """Raise what was collected.

        Raises:
            ConfigError: there is at least one problem.
        """
        if self._problems or self._elsewhere:
            raise ConfigError([*self._finished(self._problems), *self._elsewhere])

    def _finished(self, problems: list[Problem]) -> tuple[Problem, ...]:
        lines = self._document.lines
        order = {file: n for n, file in enumerate(lines)}
        hidden = masks(self._secret)
        places = sorted(problems, key=lambda one: (order.get(one.file, -1), one.line, one.column))
        return tuple(with_source(one, lines, hidden) for one in places)
