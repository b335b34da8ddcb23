"""Finds the installed plugins through their entry points and imports those that somebody names.

Plugins are listed from the metadata of the installed distributions, which imports nothing. One is imported
when it is first named, checked as a whole, and registered with pluggy. A plugin that cannot be used is a
`PluginProblem` for whoever named it and no hindrance for the others; it is tried again when it is next named.
"""

import importlib
import inspect
import traceback
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Self, cast

import click
import pluggy

from tickerd.config.problem import PluginProblem
from tickerd.plugin import Authenticator, Codec, RateLimiter, ServingSink, Sink, Source
from tickerd.plugin.plain import PLAIN
from tickerd.runtime import declared

GROUP = "tickerd"
"""The entry-point group; an entry point's name is what YAML writes after ``use:``."""

KINDS = ("source", "sink", "authenticator", "rate_limiter")


@dataclass(frozen=True, slots=True, order=True)
class Installed:
    """One entry point of an installed distribution."""

    name: str
    distribution: str
    version: str
    module: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


@dataclass(frozen=True, slots=True)
class Loaded:
    """One imported plugin, alone in a plugin manager of its own."""

    name: str
    hooks: pluggy.HookRelay

    def has(self, hook: str) -> bool:
        """Whether it implements this hook."""
        return bool(getattr(self.hooks, hook).get_hookimpls())

    def kinds(self) -> tuple[str, ...]:
        """The kinds of which it declares a type."""
        return tuple(kind for kind in KINDS if self.has(f"tickerd_{kind}s"))

    def call(self, hook: str) -> Any:
        """What its implementation of a declaring hook returns; None when it has none."""
        try:
            return next(iter(getattr(self.hooks, hook)()), None)
        except Exception as error:
            raise PluginProblem(f"plugin {self.name!r}: hook {hook!r} fails: {_blame(error)}") from error


@dataclass(frozen=True, slots=True)
class Description:
    """What one plugin offers, or why it cannot be used."""

    installed: Installed
    kinds: tuple[str, ...] = ()
    codecs: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    problem: str | None = None


class Registry:
    """The installed plugins, imported one by one as they are named."""

    def __init__(self) -> None:
        self._found: dict[str, list[Installed]] | None = None
        self._loaded: dict[str, Loaded] = {}
        self._codecs: dict[str, Codec] = {PLAIN.id: PLAIN}
        self.manager = declared.manager()
        """All plugins imported so far; `Observers` calls them through it."""

    # -- without importing anything --------------------------------------------------------------------

    @classmethod
    def installed(cls) -> Self:
        """A registry of what is installed in this environment."""
        return cls()

    def plugins(self) -> Sequence[Installed]:
        """Every installed plugin by name, from metadata alone."""
        return [one for name in sorted(self._by_name()) for one in self._by_name()[name]]

    def names(self, kind: str = "") -> Sequence[str]:
        """Names that may be of this kind; only of an imported plugin it is known which kinds it lacks."""
        return [name for name in sorted(self._by_name()) if self._may_have(name, kind)]

    def _may_have(self, name: str, kind: str) -> bool:
        loaded = self._loaded.get(name)
        return loaded is None or kind not in KINDS or kind in loaded.kinds()

    def _by_name(self) -> dict[str, list[Installed]]:
        if self._found is None:
            self._found = _scan()
        return self._found

    # -- importing what is named -----------------------------------------------------------------------

    def source(self, name: str) -> type[Source]:
        """The source type of the plugin of that name.

        Raises:
            PluginProblem: there is none that can be used.
        """
        return cast("type[Source]", self._type("source", name))

    def sink(self, name: str) -> type[Sink] | type[ServingSink]:
        """The sink type of the plugin of that name.

        Raises:
            PluginProblem: there is none that can be used.
        """
        return cast("type[Sink | ServingSink]", self._type("sink", name))

    def authenticator(self, name: str) -> type[Authenticator]:
        """The authenticator type of the plugin of that name.

        Raises:
            PluginProblem: there is none that can be used.
        """
        return cast("type[Authenticator]", self._type("authenticator", name))

    def rate_limiter(self, name: str) -> type[RateLimiter]:
        """The rate limiter type of the plugin of that name.

        Raises:
            PluginProblem: there is none that can be used.
        """
        return cast("type[RateLimiter]", self._type("rate_limiter", name))

    def extension(self, name: str) -> None:
        """Import a plugin for its observing hooks.

        Raises:
            PluginProblem: there is none that can be used.
        """
        self._load(name)

    def codecs(self) -> Mapping[str, Codec]:
        """By id, the codecs of the plugins imported so far, and that of plain rows."""
        return dict(self._codecs)

    def commands(self) -> Mapping[str, click.Command]:
        """By name, the commands of all installed plugins; imports them all, leaves out the broken ones."""
        found: dict[str, click.Command] = {}
        for command in self._each_command():
            found.setdefault(str(command.name), command)
        return found

    def command(self, name: str) -> click.Command | None:
        """The plugins' command of that name; imports plugins in order of their names until one has it."""
        return next((command for command in self._each_command() if command.name == name), None)

    def loaded_kinds(self, name: str) -> tuple[str, ...] | None:
        """The kinds of which an imported plugin declares a type; None when it has not been imported."""
        loaded = self._loaded.get(name)
        return None if loaded is None else loaded.kinds()

    def describe(self, name: str) -> Description:
        """Import one plugin and say what it offers; a problem is part of the answer."""
        installed = self._by_name()[name][0]
        try:
            loaded = self._load(name)
            for kind in loaded.kinds():
                self._type(kind, name)
            codecs = tuple(codec.id for codec in _codecs(loaded))
            commands = tuple(str(command.name) for command in _commands(loaded))
        except PluginProblem as problem:
            return Description(installed, problem=str(problem))
        return Description(installed, loaded.kinds(), codecs, commands)

    # -- the parts of it -------------------------------------------------------------------------------

    def _type(self, kind: str, name: str) -> object:
        loaded = self._load(name)
        found = loaded.call(f"tickerd_{kind}s")
        if found is None:
            has = f", only {' and '.join(map(declared.called, loaded.kinds()))}" if loaded.kinds() else ""
            raise PluginProblem(f"plugin {name!r} has no {kind.replace('_', ' ')}{has}")
        _refuse(repr(name), declared.type_faults(kind, found))
        return found

    def _each_command(self) -> Iterator[click.Command]:
        for name in self.names():
            try:
                yield from _commands(self._load(name))
            except PluginProblem:
                continue  # shown by `tickerd plugins`; a broken plugin must not take the command line with it

    def _load(self, name: str) -> Loaded:
        """Import, check and register; nothing of a plugin that fails a check stays behind."""
        if name in self._loaded:
            return self._loaded[name]
        installed = self._find(name)
        try:
            module = EntryPoint(name, installed.module, GROUP).load()
        except (Exception, SystemExit) as error:
            raise PluginProblem(f"plugin {name!r} ({installed}) fails to import: {_blame(error)}") from error
        _refuse(f"{name!r} ({installed})", declared.module_faults(module))
        alone = declared.manager()
        alone.register(module, name)
        loaded = Loaded(name, alone.hook)
        codecs = {codec.id: codec for codec in _codecs(loaded)}
        for key in codecs.keys() & self._codecs.keys():
            if type(codecs[key]) is not type(self._codecs[key]):
                raise PluginProblem(
                    f"plugin {name!r}: another plugin declares codec {key!r} already; rename one of them"
                )
        self._codecs = codecs | self._codecs
        if not self.manager.is_registered(module):  # two names may lead to one module
            self.manager.register(module, name)
        self._loaded[name] = loaded
        return loaded

    def _find(self, name: str) -> Installed:
        if name not in self._by_name():
            self._found = None  # perhaps it was installed since
        candidates = self._by_name().get(name, [])
        if not candidates:
            raise PluginProblem(f"no plugin {name!r} is installed", get_close_matches(name, self.names()))
        if len(candidates) > 1:
            rivals = " and ".join(str(one) for one in candidates)
            raise PluginProblem(f"plugin {name!r} comes from {rivals}; uninstall all but one of them")
        return candidates[0]


def _codecs(loaded: Loaded) -> Sequence[Codec]:
    found = loaded.call("tickerd_codecs") or ()
    for codec in found:
        lacks = [name for name in ("id", "split", "join", "row", "marks") if not hasattr(codec, name)]
        if lacks:
            raise PluginProblem(f"plugin {loaded.name!r}: codec {codec!r} lacks {', '.join(lacks)}")
    return cast("Sequence[Codec]", found)


def _commands(loaded: Loaded) -> Sequence[click.Command]:
    found = loaded.call("tickerd_commands") or ()
    for command in found:
        if not isinstance(command, click.Command):
            raise PluginProblem(f"plugin {loaded.name!r}: command {command!r} is no click.Command")
    return cast("Sequence[click.Command]", found)


def _scan() -> dict[str, list[Installed]]:
    importlib.invalidate_caches()
    found: defaultdict[str, list[Installed]] = defaultdict(list)
    for point in entry_points(group=GROUP):
        found[point.name].append(_installed(point))
    return {name: sorted(set(several)) for name, several in found.items()}


def _installed(point: EntryPoint) -> Installed:
    dist = point.dist
    return Installed(point.name, dist.name if dist else "?", dist.version if dist else "?", point.value)


def _refuse(who: str, faults: Iterator[str]) -> None:
    if found := list(faults):
        raise PluginProblem(f"plugin {who}: {'; '.join(found)}")


def _blame(error: BaseException) -> str:
    """The exception's type and message, and the last line of code that is not the import machinery's."""
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, SyntaxError) and error.filename:
        return f"SyntaxError: {error.msg} ({error.filename}:{error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)
    own = (__file__, inspect.getfile(EntryPoint), importlib.__file__)
    places = [f for f in frames if f.filename not in own and not f.filename.startswith("<frozen")]
    return f"{what} ({places[-1].filename}:{places[-1].lineno})" if places else what
