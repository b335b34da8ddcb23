"""Makes sections into models: plain ones, and those of plugins, whose options are partly the plugin's own."""

import re
from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from tickerd.config import shape
from tickerd.config.nodes import Mapping as MappingNode
from tickerd.config.nodes import children
from tickerd.config.problem import Path, PluginProblem, did_you_mean
from tickerd.config.report import Report
from tickerd.config.settings import NAME
from tickerd.plugin import Options

_NAME = re.compile(NAME)

_Model = TypeVar("_Model", bound=BaseModel)
Find = Callable[[str], Any]
"""A plugin's type of one kind, by the plugin's name; raises `PluginProblem`."""


class Sections:
    """Reads sections of one configuration. What cannot be made is told to the report, and is None.

    Args:
        report: what it reads from and tells to.
    """

    def __init__(self, report: Report) -> None:
        self._report = report

    # -- plain sections --------------------------------------------------------------------------------

    def plain(self, name: str, model: type[_Model]) -> _Model | None:
        """A section whose options are all ours; an empty one is the model's defaults."""
        self.hide((name,), model)
        value = self._report.value((name,))
        return self._made(model, {} if value is None else value, (name,))

    def hide(self, path: Path, model: type[BaseModel] | None) -> None:
        """Mask what is secret in a section; all of it when its model is not known."""
        node = self._report.node(path)
        if node is not None:
            self._report.hide(shape.secret_places(node, model))

    def _made(self, model: type[_Model], value: Any, path: Path, also: Iterable[str] = ()) -> _Model | None:
        """The validated model, or None with the report told why."""
        try:
            return model.model_validate(value)
        except ValidationError as error:
            self._report.invalid(error, model, path, also)
        return None

    # -- sections of plugins ---------------------------------------------------------------------------

    def keys(self, section: str) -> list[str]:
        """Keys of a section of units; none when it is no such section."""
        value = self._report.value((section,))
        if value is None or self._report.is_unresolved((section,)):
            return []
        if not isinstance(value, dict):
            self._report.problem((section,), "expected a mapping of names to options")
            return []
        return list(value)

    def names(self, section: str) -> list[str]:
        """The same where the keys are names of the user's choice."""
        names = self.keys(section)
        for name in names:
            if not _NAME.fullmatch(name):
                text = "a name is 1 to 64 letters, digits, '_' and '-', and does not begin with '-'"
                self._report.problem((section, name), text, key=True)
        return names

    def unit(
        self,
        path: Path,
        common: type[_Model],
        find: Find,
        reserved: Collection[str],
        default: str | None = None,
    ) -> tuple[_Model, Any, Any] | None:
        """Its reserved options, its type and the plugin's own options; None if any of them cannot be had.

        Args:
            path: of the unit.
            common: model of the reserved options.
            find: finds the type of the plugin that ``use`` names.
            reserved: names of the reserved options.
            default: the plugin where ``use`` is left out.
        """
        value = self._report.value(path)
        if self._report.is_unresolved(path):
            return None
        if value is not None and not isinstance(value, dict):
            self._report.problem(path, "expected a mapping of options")
            return None
        value = value or {}
        kind = self._kind(path, value.get("use", default), find)
        self._hide_unit(path, common, kind)
        if kind is not None and self._clash(path, kind, reserved):
            kind = None
        mine = {key: one for key, one in value.items() if key in reserved}
        made = self._made(common, mine, path, also=reserved)
        own = (
            None
            if kind is None
            else self._own(kind, {k: v for k, v in value.items() if k not in mine}, path, reserved)
        )
        return None if made is None or kind is None or own is None else (made, kind, own)

    def _kind(self, path: Path, use: Any, find: Find) -> Any:
        """The plugin's type that ``use`` names."""
        if not isinstance(use, str) or not use or self.is_reference((*path, "use")):
            return None
        return self.loaded(find, use, (*path, "use"))

    def loaded(self, find: Find, name: str, path: Path) -> Any:
        """What a plugin's name leads to."""
        try:
            return find(name)
        except PluginProblem as problem:
            self._report.problem(path, problem.text, did_you_mean(problem.suggestions))
            return None

    def is_reference(self, path: Path) -> bool:
        """Plugins are named in the file itself, so that reading it shows what code will run."""
        if not self._report.is_secret(path):
            return False
        if not self._report.is_unresolved(path):
            self._report.problem(path, "a plugin's name cannot be a reference")
        return True

    def _hide_unit(self, path: Path, common: type[BaseModel], kind: Any) -> None:
        """Mask what is secret in a unit; all of it but the reserved options when its type is not known."""
        node = self._report.node(path)
        if not isinstance(node, MappingNode):
            return
        known = shape.fields(common) | (shape.fields(kind.Options) if kind is not None else {})
        for key, inner in children(node):
            self._report.hide(shape.secret_places_of(inner, known.get(str(key)), str(key)))

    def _clash(self, path: Path, kind: Any, reserved: Collection[str]) -> bool:
        clashing = sorted(shape.fields(kind.Options).keys() & set(reserved))
        for name in clashing:
            text = f"this plugin cannot be used: every section here has an option {name!r} already"
            self._report.problem((*path, "use"), text)
        return bool(clashing)

    def _own(self, kind: Any, value: dict[str, Any], path: Path, reserved: Collection[str]) -> Options | None:
        model: type[Options] = kind.Options
        try:
            return self._made(model, value, path, also=reserved)
        except Exception as error:  # noqa: BLE001 - a plugin's validator is foreign code; its text may hold a secret
            text = f"the plugin fails on these options with {type(error).__name__}"
            self._report.problem((*path, "use"), text, "this is a mistake in the plugin")
            return None


def values(model: BaseModel) -> dict[str, Any]:
    """A model's validated values by field."""
    return {name: getattr(model, name) for name in type(model).model_fields}
