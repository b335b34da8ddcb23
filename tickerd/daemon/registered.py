"""Webhooks that were registered at run time, as sinks that run beside those of the file."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import structlog
import trio

from tickerd.config import Compiled, ConfigError, SinkSettings
from tickerd.config.plugin_types import PluginTypes
from tickerd.config.posted import compile_posted_sink
from tickerd.config.problem import Problem
from tickerd.config.settings import Settings
from tickerd.plugin import Clock
from tickerd.state import Database, StateError, endpoints
from tickerd.state.endpoints import Registration

WEBHOOK = "webhook"
"""The plugin; it comes with tickerd, so that it may be used whether or not the file names it."""

Sinks = Mapping[str, SinkSettings]


class Registered:
    """Which there are, and what the configuration in force is with them.

    Args:
        types: where the plugin's type comes from.
        clock: says which secrets are over.
        file: the configuration's, for problems.
    """

    def __init__(self, types: PluginTypes, clock: Clock, file: Path) -> None:
        self._types = types
        self._clock = clock
        self._file = file
        self._log = structlog.get_logger()
        self.sinks: Sinks = {}
        """By name; those that can be used. Replaced as a whole, by the feed."""
        self.kept: dict[str, Registration] = {}
        """By name; all that are in the state file."""

    async def restore(self, db: Database) -> None:
        """Read what was registered before the restart; what cannot be used any more is told and left out."""
        try:
            found = await db.read(endpoints.every)
        except StateError as error:
            self._log.error("registered webhooks cannot be restored", reason=str(error))
            return
        now = self._clock.now_ns()
        self.kept = {one.name: replace(one, old_secrets=one.live(now)) for one in found}
        made = {name: await self._restored(one) for name, one in self.kept.items()}
        self.sinks = {name: sink for name, sink in made.items() if sink is not None}

    async def _restored(self, one: Registration) -> SinkSettings | None:
        try:
            return await self.compiled(one)
        except ConfigError as error:
            problems = [f"{problem.path}: {problem.message}" for problem in error.problems]
            self._log.error("registered webhook cannot be used", sink=one.name, problems=problems)
        return None

    async def compiled(self, one: Registration) -> SinkSettings:
        """A registration as the sink that it is.

        Raises:
            ConfigError: its address or an option cannot be used.
        """
        work = partial(compile_posted_sink, one.name, section(one), self._types)
        return await trio.to_thread.run_sync(work)

    def merged(self, written: Compiled, *, before: Settings) -> Compiled:
        """A configuration as it was written, and these sinks with it.

        A name that the file had already when the sink came up stays the file's.

        Args:
            written: the file alone.
            before: the file that is in force.

        Raises:
            ConfigError: the file has taken the name of a registered one.
        """
        settings = written.settings
        taken = self.sinks.keys() & settings.sinks.keys()
        if clashes := sorted(taken - before.sinks.keys()):
            raise ConfigError([self._clash(name) for name in clashes])
        if not self.sinks.keys() - taken:
            return written
        lossy = settings.journal is None
        mine = {name: _live(sink) if lossy else sink for name, sink in self.sinks.items()}
        return replace(
            written,
            settings=settings.model_copy(update={"sinks": {**settings.sinks, **mine, **settings.sinks}}),
            secret_texts=written.secret_texts | self._secret_texts(),
        )

    def warn_of_shadowed(self, settings: Settings) -> None:
        """Tell of those whose names the file had taken before tickerd was started."""
        for name in sorted(self.kept.keys() & settings.sinks.keys()):
            self._log.error(
                "registered webhook does not run: the file has a sink of its name; rename that one",
                sink=name,
            )

    def _clash(self, name: str) -> Problem:
        text = "a webhook of this name was registered at run time"
        hint = f"choose another name, or remove that one first: tickerd webhooks remove {name}"
        return Problem(str(self._file), 0, 0, f"sinks.{name}", text, hint)

    def _secret_texts(self) -> frozenset[str]:
        found = (self.kept[name] for name in self.sinks if name in self.kept)
        return frozenset(text for one in found for text in secret_texts(one))


def section(one: Registration) -> dict[str, Any]:
    """As the YAML would have it."""
    old = [{"secret": each.secret, "until": _told(each.until_ns)} for each in one.old_secrets]
    return {**one.options, "use": WEBHOOK, "url": one.url, "secret": one.secret, "old_secrets": old}


def secret_texts(one: Registration) -> list[str]:
    """What of it must not show in a log."""
    return [one.url, one.secret, *(old.secret for old in one.old_secrets)]


def _told(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).isoformat()


def _live(sink: SinkSettings) -> SinkSettings:
    """As the compiler has it where the journal is off."""
    return sink.model_copy(update={"delivery": "live"})
