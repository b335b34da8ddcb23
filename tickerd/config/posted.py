"""Compiles a document that somebody sent: it reads no file, resolves no reference and imports nothing new."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import count
from pathlib import Path
from typing import Any

from tickerd.config import nodes
from tickerd.config.access import DEFAULT_LIMITER
from tickerd.config.compile import Compiled, Symbols, compile_sink, compile_with
from tickerd.config.document import Document, parse_document
from tickerd.config.plugin_types import PluginTypes
from tickerd.config.problem import PluginProblem
from tickerd.config.reading import Unreadable
from tickerd.config.references import Resolver
from tickerd.config.settings import CalendarSettings, Settings, SinkSettings
from tickerd.plugin import Authenticator, RateLimiter, ServingSink, Sink, Source

NAME = "posted"
"""What the document is called in problems."""
_NO_CALENDAR = CalendarSettings()


def compile_posted(
    data: bytes,
    types: PluginTypes,
    plugins: Collection[str],
    *,
    calendar: CalendarSettings = _NO_CALENDAR,
    symbols: Symbols | None = None,
    file: str = NAME,
) -> Compiled:
    """Compile what somebody sent, by the rules of a file, and touch nothing but the text itself.

    References are problems, and so are plugins that do not run already and a calendar file other than the one that
    is in force. Takes up to seconds of computing for a document that is made to be slow: call it where that does
    no harm, such as a process of its own; arguments and result can be pickled.

    Args:
        data: YAML, 1 MiB at most.
        types: where the plugins' types come from.
        plugins: those that may be named; see `plugin_names`.
        calendar: the section that is in force, whose file need not be read again.
        symbols: known instruments; others are warned about.
        file: what the document is called in problems.

    Raises:
        ConfigError: with every problem that was found.
    """

    def overrides(path: Path) -> CalendarSettings:
        if path == calendar.overrides:
            return calendar
        raise Unreadable("only the one that is in force can be named here, because no other is read")

    document = parse_document(data, file)
    return compile_with(document, _Known(types, plugins), Resolver(None), overrides, symbols)


def compile_posted_sink(name: str, section: Mapping[str, Any], types: PluginTypes) -> SinkSettings:
    """Compile one sink that stands in no document, by the rules of a file, as if the journal were on.

    References in it are problems. Imports the plugin that it names.

    Args:
        name: what it is called.
        section: its options; values, lists and mappings of them.
        types: where the plugins' types come from.

    Raises:
        ConfigError: with every problem that was found.
    """
    lines = count(1)
    root = _node({"sinks": {name: section}}, lines)
    assert isinstance(root, nodes.Mapping)
    return compile_sink(Document(root), types, Resolver(None), name)


def _node(value: Any, lines: Iterator[int]) -> nodes.Node:
    """As if each value stood on a line of its own: what is secret is known by its place."""
    place = nodes.Place(NAME, line := next(lines), 1, line, 1)
    if isinstance(value, Mapping):
        entries = {key: nodes.Entry(place, _node(inner, lines)) for key, inner in value.items()}
        return nodes.Mapping(entries, place)
    if isinstance(value, list | tuple):
        return nodes.Sequence([_node(inner, lines) for inner in value], place)
    return nodes.Scalar(value, place)


def plugin_names(settings: Settings) -> frozenset[str]:
    """Every plugin that a configuration runs with."""
    return frozenset(_named(settings))


def _named(settings: Settings) -> Iterator[str]:
    yield DEFAULT_LIMITER
    yield from settings.extensions
    for units in (settings.sources, settings.sinks, settings.auth, settings.rate_limits):
        yield from (unit.use for unit in units.values())


class _Known:
    """`PluginTypes` of these plugins only."""

    def __init__(self, types: PluginTypes, plugins: Collection[str]) -> None:
        self._types = types
        self._plugins = frozenset(plugins) | {DEFAULT_LIMITER}

    def source(self, name: str) -> type[Source]:
        return self._types.source(self._checked(name))

    def sink(self, name: str) -> type[Sink] | type[ServingSink]:
        return self._types.sink(self._checked(name))

    def authenticator(self, name: str) -> type[Authenticator]:
        return self._types.authenticator(self._checked(name))

    def rate_limiter(self, name: str) -> type[RateLimiter]:
        return self._types.rate_limiter(self._checked(name))

    def extension(self, name: str) -> None:
        self._types.extension(self._checked(name))

    def names(self, kind: str) -> Sequence[str]:
        return [name for name in self._types.names(kind) if name in self._plugins]

    def _checked(self, name: Any) -> str:
        if name in self._plugins:
            return str(name)
        text = "only plugins that the running configuration names can be checked here"
        raise PluginProblem(text, get_close_matches(name, sorted(self._plugins)))
