"""Turns a document into settings, or into every problem that stands in the way."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from tickerd.config import shape
from tickerd.config.calendar import load_overrides
from tickerd.config.document import Document, load_document
from tickerd.config.nodes import Mapping as MappingNode
from tickerd.config.nodes import children
from tickerd.config.problem import ConfigError, Path, PluginProblem, Problem, closest, did_you_mean
from tickerd.config.reading import Unreadable
from tickerd.config.references import Resolver
from tickerd.config.report import Report
from tickerd.config.settings import (
    NAME,
    SINK_RESERVED,
    SOURCE_RESERVED,
    CalendarOptions,
    CalendarSettings,
    JournalSettings,
    LimitSettings,
    LogSettings,
    Settings,
    SinkOptions,
    SinkSettings,
    SourceOptions,
    SourceSettings,
    StateSettings,
)
from tickerd.instruments.suggest import suggest
from tickerd.plugin import Delivery, Options, Overflow, ServingSink, Sink, Source

SECTIONS = tuple(Settings.model_fields)
"""Keys at the top of the file."""

_NAME = re.compile(NAME)
_MOST_SUGGESTIONS = 20
_SHORTEST_SECRET = 6

_Model = TypeVar("_Model", bound=BaseModel)


class PluginTypes(Protocol):
    """The installed plugins, as the compiler sees them. Each method but `names` raises `PluginProblem`."""

    def source(self, name: str) -> type[Source]:
        """The source type of that plugin."""
        ...

    def sink(self, name: str) -> type[Sink] | type[ServingSink]:
        """The sink type of that plugin."""
        ...

    def extension(self, name: str) -> None:
        """Load a plugin that only observes."""
        ...

    def names(self, kind: str) -> Sequence[str]:
        """Plugins that may have a type of this kind: ``source`` or ``sink``."""
        ...


@dataclass(frozen=True, slots=True)
class Compiled:
    """A configuration that can be run."""

    settings: Settings
    warnings: tuple[Problem, ...] = ()
    secret: frozenset[Path] = frozenset()
    """Where a reference was written: what stands there must not be shown, whatever its type."""
    secret_texts: frozenset[str] = field(default=frozenset(), repr=False, compare=False)
    """Every secret of at least six letters, for whoever wants to search a text for them."""


def load(
    path: FilePath, types: PluginTypes, env: Mapping[str, str], symbols: Collection[str] | None = None
) -> Compiled:
    """Read, resolve and compile one file with its ``conf.d``. May take a second for a large one.

    Args:
        path: the main file.
        types: where the plugins' types come from.
        env: the environment for ``${env:…}`` and ``${credential:…}``.
        symbols: known instruments, where a table is loaded; others are warned about.

    Raises:
        ConfigError: with every problem that was found.
    """
    return compile_settings(load_document(path), types, env, symbols)


def compile_settings(
    document: Document, types: PluginTypes, env: Mapping[str, str], symbols: Collection[str] | None = None
) -> Compiled:
    """Compile what was read; see `load`.

    Raises:
        ConfigError: with every problem that was found.
    """
    resolved = Resolver(env).resolve(document.root)
    report = Report(document, resolved)
    settings = _Compiler(report, types, env).settings()
    if symbols is not None:
        _check_symbols(report, settings, symbols)
    report.raise_if_any()
    texts = frozenset(
        text for text in report.secret_texts() | resolved.texts if len(text) >= _SHORTEST_SECRET
    )
    return Compiled(settings, report.warnings(), frozenset(resolved.secret), texts)


class _Compiler:
    """One compilation. What cannot be made is told to the report and left out."""

    def __init__(self, report: Report, types: PluginTypes, env: Mapping[str, str]) -> None:
        self._report = report
        self._env = env
        self._types = types
        self._values = report.value(()) or {}

    def settings(self) -> Settings:
        """Settings that may be used only if the report has no problem."""
        self._unknown_sections()
        journal = self._journal()
        sources = {name: self._source(name) for name in self._units("sources")}
        sinks = {name: self._sink(name) for name in self._units("sinks")}
        if not self._values.get("sources"):
            self._no_sources()
        if not self._values.get("sinks") and not self._report.is_unresolved(("sinks",)):
            self._report.warning(("sinks",), "there is no sink: ticks go nowhere")
        return Settings.model_construct(
            sources={name: made for name, made in sources.items() if made is not None},
            sinks={name: made for name, made in sinks.items() if made is not None},
            extensions=self._extensions(),
            state=self._section("state", StateSettings),
            calendar=self._calendar(),
            journal=journal,
            log=self._section("log", LogSettings),
            limits=self._section("limits", LimitSettings),
        )

    def _unknown_sections(self) -> None:
        for key in self._values:
            if key not in SECTIONS:
                self._hide((key,), None)
                self._report.problem((key,), "unknown key", closest(key, SECTIONS), key=True)

    def _no_sources(self) -> None:
        if "sources" not in self._values:
            self._report.problem(("sources",), "required key is missing")
        elif self._values["sources"] is None or self._values["sources"] == {}:
            self._report.problem(("sources",), "needs at least one source", key=True)

    # -- plain sections --------------------------------------------------------------------------------

    def _section(self, name: str, model: type[_Model]) -> _Model:
        self._hide((name,), model)
        value = self._values.get(name)
        return self._made(model, {} if value is None else value, (name,)) or model()

    def _journal(self) -> JournalSettings | None:
        """The section; None when it says ``off``."""
        self._journal_is_on = self._values.get("journal") not in ("off", False)
        return self._section("journal", JournalSettings) if self._journal_is_on else None

    def _calendar(self) -> CalendarSettings:
        """The section, and what the file that it names says."""
        path = self._section("calendar", CalendarOptions).overrides
        if path is None or self._report.is_unresolved(("calendar", "overrides")):
            return CalendarSettings()
        try:
            entries = load_overrides(path, self._env)
        except Unreadable as error:
            self._report.problem(("calendar", "overrides"), f"the file: {error}")
        except ConfigError as error:
            self._report.elsewhere(error.problems)
        else:
            return CalendarSettings.model_construct(overrides=path, entries=entries)
        return CalendarSettings()

    def _made(self, model: type[_Model], value: Any, path: Path, also: Iterable[str] = ()) -> _Model | None:
        """The validated model, or None with the report told why."""
        try:
            return model.model_validate(value)
        except ValidationError as error:
            self._report.invalid(error, model, path, also)
        return None

    def _extensions(self) -> tuple[str, ...]:
        value = self._values.get("extensions")
        if value is None or self._report.is_unresolved(("extensions",)):
            return ()
        if not isinstance(value, list):
            self._report.problem(("extensions",), "expected a list")
            return ()
        for index, name in enumerate(value):
            path: Path = ("extensions", index)
            if not isinstance(name, str):
                self._report.problem(path, "expected the name of a plugin")
            elif not self._is_reference(path):
                self._loaded(self._types.extension, name, path)
        return tuple(dict.fromkeys(name for name in value if isinstance(name, str)))

    # -- sources and sinks -----------------------------------------------------------------------------

    def _units(self, section: str) -> list[str]:
        """Names of the units in a section, those that can be compiled further."""
        value = self._values.get(section)
        if value is None or self._report.is_unresolved((section,)):
            return []
        if not isinstance(value, dict):
            self._report.problem((section,), "expected a mapping of names to options")
            return []
        for name in value:
            if not _NAME.fullmatch(name):
                text = "a name is 1 to 64 letters, digits, '_' and '-', and does not begin with '-'"
                self._report.problem((section, name), text, key=True)
        return list(value)

    def _source(self, name: str) -> SourceSettings | None:
        path: Path = ("sources", name)
        parts = self._unit(path, SourceOptions, self._types.source, SOURCE_RESERVED)
        if parts is None:
            return None
        reserved, kind, options = parts
        return SourceSettings.model_construct(**_values(reserved), name=name, type=kind, options=options)

    def _sink(self, name: str) -> SinkSettings | None:
        path: Path = ("sinks", name)
        if self._report.value((*path, "delivery")) == "durable" and not self._journal_is_on:
            text = "the journal is off, so delivery cannot be durable"
            self._report.problem((*path, "delivery"), text, "write 'live', or leave it out")
        parts = self._unit(path, SinkOptions, self._types.sink, SINK_RESERVED)
        if parts is None:
            return None
        reserved, kind, options = parts
        delivery: Delivery = reserved.delivery or kind.delivery
        if reserved.delivery == "durable" and issubclass(kind, ServingSink):
            text = "a sink that serves clients has no one cursor, so delivery cannot be durable"
            self._report.problem((*path, "delivery"), text, "write 'live', or leave it out")
        if delivery == "durable" and not self._journal_is_on:
            text = "the journal is off, so delivery is live: what this sink misses is lost"
            self._report.warning(path, text)
            delivery = "live"
        overflow: Overflow = reserved.overflow or kind.overflow
        values = {**_values(reserved), "delivery": delivery, "overflow": overflow}
        return SinkSettings.model_construct(**values, name=name, type=kind, options=options)

    def _unit(
        self, path: Path, common: type[_Model], find: Any, reserved: Collection[str]
    ) -> tuple[_Model, Any, Any] | None:
        """Its reserved options, its type and the plugin's own options; None if any of them cannot be had."""
        value = self._report.value(path)
        if self._report.is_unresolved(path):
            return None
        if value is not None and not isinstance(value, dict):
            self._report.problem(path, "expected a mapping of options")
            return None
        value = value or {}
        kind = self._kind(path, value, find)
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

    def _kind(self, path: Path, value: Mapping[str, Any], find: Any) -> Any:
        """The plugin's type that ``use`` names."""
        use = value.get("use")
        if not isinstance(use, str) or not use or self._is_reference((*path, "use")):
            return None
        return self._loaded(find, use, (*path, "use"))

    def _loaded(self, find: Any, name: str, path: Path) -> Any:
        try:
            return find(name)
        except PluginProblem as problem:
            self._report.problem(path, problem.text, did_you_mean(problem.suggestions))
            return None

    def _is_reference(self, path: Path) -> bool:
        """Plugins are named in the file itself, so that reading it shows what code will run."""
        if not self._report.is_secret(path):
            return False
        if not self._report.is_unresolved(path):
            self._report.problem(path, "a plugin's name cannot be a reference")
        return True

    def _hide(self, path: Path, model: type[BaseModel] | None) -> None:
        """Mask what is secret in a section; all of it when its model is not known."""
        node = self._report.node(path)
        if node is not None:
            self._report.hide(shape.secret_places(node, model))

    def _hide_unit(self, path: Path, common: type[BaseModel], kind: Any) -> None:
        """Mask what is secret in a unit; all of it but the reserved options when its type is not known."""
        node = self._report.node(path)
        if not isinstance(node, MappingNode):
            return
        known = shape.fields(common) | (shape.fields(kind.Options) if kind is not None else {})
        for key, inner in children(node):
            field = known.get(str(key))
            self._report.hide(shape.secret_places(inner, field and field.annotation, str(key)))

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


def _values(model: BaseModel) -> dict[str, Any]:
    """A model's validated values by field."""
    return {name: getattr(model, name) for name in type(model).model_fields}


def _check_symbols(report: Report, settings: Settings, symbols: Collection[str]) -> None:
    """Warn about symbols that are not in the table; it may be of yesterday, so that is no problem."""
    known = symbols if isinstance(symbols, set | frozenset | dict) else set(symbols)
    suggested = 0
    for path, symbol in _symbols(settings):
        if isinstance(symbol, int) or symbol in known:
            continue
        suggested += 1
        near = suggest(symbol, known) if suggested <= _MOST_SUGGESTIONS else None
        report.warning(path, "no known instrument", did_you_mean([near] if near else []))


def _symbols(settings: Settings) -> Iterable[tuple[Path, str | int]]:
    for name, source in settings.sources.items():
        for n, entry in enumerate(source.subscribe):
            for m, symbol in enumerate(entry.instruments):
                yield ("sources", name, "subscribe", n, "instruments", m), symbol
    for name, sink in settings.sinks.items():
        for m, symbol in enumerate(sink.instruments or ()):
            yield ("sinks", name, "instruments", m), symbol
