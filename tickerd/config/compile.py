"""Turns a document into settings, or into every problem that stands in the way."""

from collections.abc import Callable, Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import TypeVar

from tickerd.config.calendar import load_overrides
from tickerd.config.compile_access import OFF, AccessCompiler
from tickerd.config.compile_sinks import adapted
from tickerd.config.compile_units import Sections, values
from tickerd.config.document import Document, load_document
from tickerd.config.origins import origins
from tickerd.config.plugin_types import PluginTypes
from tickerd.config.problem import ConfigError, Path, Problem, closest, did_you_mean
from tickerd.config.reading import Unreadable
from tickerd.config.references import Resolver
from tickerd.config.report import Report
from tickerd.config.settings import (
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
from tickerd.instruments.selectors import choose, is_selector
from tickerd.instruments.suggest import suggest
from tickerd.plugin import Delivery, Overflow, ServingSink
from tickerd.plugin.listing import Listing
from tickerd.plugin.selectors import Key

SECTIONS = tuple(Settings.model_fields)
"""Keys at the top of the file."""

_MOST_SUGGESTIONS = 20
_SHORTEST_SECRET = 6

Symbols = Collection[str] | Callable[[Settings], Mapping[str, Collection[str]]]
"""Known instruments: of every source, or by the name of the source."""

_Unit = TypeVar("_Unit", SourceSettings, SinkSettings)
Overrides = Callable[[FilePath], CalendarSettings]
"""Reads the file that the section ``calendar`` names; raises `Unreadable` or `ConfigError`."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A configuration that can be run."""

    settings: Settings
    warnings: tuple[Problem, ...] = ()
    secret: frozenset[Path] = frozenset()
    """Where a reference was written: what stands there must not be shown, whatever its type."""
    secret_texts: frozenset[str] = field(default=frozenset(), repr=False, compare=False)
    """Every secret of at least six letters, for whoever wants to search a text for them."""
    origins: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """Dotted path → ``FILE:LINE`` for every value that was written; what is left out is a default."""


def load(
    path: FilePath, types: PluginTypes, env: Mapping[str, str], symbols: Symbols | None = None
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
    document: Document, types: PluginTypes, env: Mapping[str, str], symbols: Symbols | None = None
) -> Compiled:
    """Compile what was read; see `load`.

    Raises:
        ConfigError: with every problem that was found.
    """

    def overrides(path: FilePath) -> CalendarSettings:
        return CalendarSettings.model_construct(overrides=path, entries=load_overrides(path, env))

    return compile_with(document, types, Resolver(env), overrides, symbols)


def compile_with(
    document: Document,
    types: PluginTypes,
    resolver: Resolver,
    overrides: Overrides,
    symbols: Symbols | None = None,
) -> Compiled:
    """Compile with these ways of getting at what is not in the document itself.

    Raises:
        ConfigError: with every problem that was found.
    """
    resolved = resolver.resolve(document.root)
    report = Report(document, resolved)
    settings = _Compiler(report, types, overrides).settings()
    if symbols is not None:
        _check_symbols(report, settings, symbols)
    report.raise_if_any()
    texts = frozenset(
        text for text in report.secret_texts() | resolved.texts if len(text) >= _SHORTEST_SECRET
    )
    return Compiled(
        settings, report.warnings(), frozenset(resolved.secret), texts, origins=origins(document.root)
    )


def compile_sink(document: Document, types: PluginTypes, resolver: Resolver, name: str) -> SinkSettings:
    """Compile one section under ``sinks`` and nothing else of a document, as if the journal were on.

    Raises:
        ConfigError: with every problem that was found in it.
    """

    def overrides(_: FilePath) -> CalendarSettings:
        return CalendarSettings()

    report = Report(document, resolver.resolve(document.root))
    made = _Compiler(report, types, overrides).sink(name)
    report.raise_if_any()
    assert made is not None
    return made


class _Compiler:
    """One compilation. What cannot be made is told to the report and left out."""

    def __init__(self, report: Report, types: PluginTypes, overrides: Overrides) -> None:
        self._report = report
        self._types = types
        self._overrides = overrides
        self._sections = Sections(report)
        self._access = AccessCompiler(report, self._sections, types)
        self._values = report.value(()) or {}
        self._journal_is_on = self._values.get("journal") not in OFF

    def sink(self, name: str) -> SinkSettings | None:
        """One sink alone."""
        return _made({one: self._sink(one) for one in self._sections.names("sinks") if one == name}).get(name)

    def settings(self) -> Settings:
        """Settings that may be used only if the report has no problem."""
        self._unknown_sections()
        sources = _made({name: self._source(name) for name in self._sections.names("sources")})
        sinks = _made({name: self._sink(name) for name in self._sections.names("sinks")})
        if not self._values.get("sources"):
            self._no_sources()
        if not self._values.get("sinks") and not self._report.is_unresolved(("sinks",)):
            self._report.warning(("sinks",), "there is no sink: ticks go nowhere")
        control, hooks = self._access.control(), self._access.hooks()
        self._access.serving("sources", sources)
        self._access.serving("sinks", sinks)
        self._access.addresses(control, hooks, {"sources": sources, "sinks": sinks})
        return Settings.model_construct(
            sources=sources,
            sinks=sinks,
            extensions=self._extensions(),
            auth=self._access.auth(),
            rate_limits=self._access.rate_limits(),
            control=control,
            hooks=hooks,
            state=self._sections.plain("state", StateSettings) or StateSettings(),
            calendar=self._calendar(),
            journal=self._sections.plain("journal", JournalSettings) if self._journal_is_on else None,
            log=self._sections.plain("log", LogSettings) or LogSettings(),
            limits=self._sections.plain("limits", LimitSettings) or LimitSettings(),
        )

    def _unknown_sections(self) -> None:
        for key in self._values:
            if key not in SECTIONS:
                self._sections.hide((key,), None)
                self._report.problem((key,), "unknown key", closest(key, SECTIONS), key=True)

    def _no_sources(self) -> None:
        if "sources" not in self._values:
            self._report.problem(("sources",), "required key is missing")
        elif self._values["sources"] is None or self._values["sources"] == {}:
            self._report.problem(("sources",), "needs at least one source", key=True)

    def _calendar(self) -> CalendarSettings:
        """The section, and what the file that it names says."""
        made = self._sections.plain("calendar", CalendarOptions) or CalendarOptions()
        if made.overrides is None or self._report.is_unresolved(("calendar", "overrides")):
            return CalendarSettings()
        try:
            return self._overrides(made.overrides)
        except Unreadable as error:
            self._report.problem(("calendar", "overrides"), f"the file: {error}")
        except ConfigError as error:
            self._report.elsewhere(error.problems)
        return CalendarSettings()

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
            elif not self._sections.is_reference(path):
                self._sections.loaded(self._types.extension, name, path)
        return tuple(dict.fromkeys(name for name in value if isinstance(name, str)))

    def _source(self, name: str) -> SourceSettings | None:
        path: Path = ("sources", name)
        parts = self._sections.unit(path, SourceOptions, self._types.source, SOURCE_RESERVED)
        if parts is None:
            return None
        reserved, kind, options = parts
        self._check_capacity(path, reserved, kind.capacity_of(options))
        return SourceSettings.model_construct(**values(reserved), name=name, type=kind, options=options)

    def _check_capacity(self, path: Path, reserved: SourceOptions, capacity: int | None) -> None:
        """What is listed one by one can be counted; what selectors choose shows when the table is there."""
        listed = {key for entry in reserved.subscribe for key in entry.instruments}
        if capacity is not None and len(listed) > capacity:
            text = f"{len(listed)} instruments are listed, and this source can carry {capacity}"
            hint = "list fewer, or add a source with another login for the rest"
            self._report.problem((*path, "subscribe"), text, hint)

    def _sink(self, name: str) -> SinkSettings | None:
        path: Path = ("sinks", name)
        if self._report.value((*path, "delivery")) == "durable" and not self._journal_is_on:
            text = "the journal is off, so delivery cannot be durable"
            self._report.problem((*path, "delivery"), text, "write 'live', or leave it out")
        parts = self._sections.unit(path, SinkOptions, self._types.sink, SINK_RESERVED)
        if parts is None:
            return None
        own, kind, options = parts
        reserved = adapted(self._report, path, own, kind, options)
        if reserved is None:
            return None
        delivery: Delivery = reserved.delivery or kind.delivery
        if reserved.delivery == "durable" and issubclass(kind, ServingSink):
            text = "a sink that serves clients has no one cursor, so delivery cannot be durable"
            self._report.problem((*path, "delivery"), text, "write 'live', or leave it out")
        if delivery == "durable" and not self._journal_is_on:
            text = "the journal is off, so delivery is live: what this sink misses is lost"
            self._report.warning(path, text)
            delivery = "live"
        overflow: Overflow = reserved.overflow or kind.overflow
        common = {**values(reserved), "delivery": delivery, "overflow": overflow}
        return SinkSettings.model_construct(**common, name=name, type=kind, options=options)


def _made(units: Mapping[str, _Unit | None]) -> dict[str, _Unit]:
    """Those that could be made."""
    return {name: unit for name, unit in units.items() if unit is not None}


def _check_symbols(report: Report, settings: Settings, symbols: Symbols) -> None:
    """Warn about what the tables do not have; they may be of yesterday, so that is no problem."""
    tables = symbols(settings) if callable(symbols) else dict.fromkeys(settings.sources, symbols)
    known = {
        name: one if isinstance(one, AbstractSet | Mapping) else frozenset(one)
        for name, one in tables.items()
    }
    everything = list(known.values()) if known.keys() >= settings.sources.keys() else []
    suggested = 0
    for path, key in _keys(settings):
        among = everything if path[0] == "sinks" else [known[name] for name in path[1:2] if name in known]
        if not among or isinstance(key, int) or any(_is_known(key, one) for one in among):
            continue
        if is_selector(key):
            report.warning(path, "no known instrument fits")
            continue
        suggested += 1
        near = (suggest(str(key), one) for one in among) if suggested <= _MOST_SUGGESTIONS else iter(())
        found = next(filter(None, near), None)
        report.warning(path, "no known instrument", did_you_mean([found] if found else []))


def _is_known(key: Key, symbols: Collection[str]) -> bool:
    """Whether it is there; of what is not a whole table selectors are not asked."""
    if is_selector(key):
        assert not isinstance(key, int)
        return not isinstance(symbols, Listing) or any(choose(symbols, key, "")[1:3])
    return key in symbols


def _keys(settings: Settings) -> Iterable[tuple[Path, Key]]:
    """Everything that means instruments, and where it stands."""
    for name, source in settings.sources.items():
        for n, entry in enumerate(source.subscribe):
            path: Path = ("sources", name, "subscribe", n)
            for m, key in enumerate(entry.instruments):
                yield (*path, "instruments", m), key
            if entry.match is not None:
                yield (*path, "match"), entry.match
    for name, sink in settings.sinks.items():
        for m, key in enumerate(sink.instruments or ()):
            yield ("sinks", name, "instruments", m), key
