"""What the control API sees of the daemon: implements `tickerd.control.facade.Facade`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version

from tickerd.config.dump import dump
from tickerd.config.problem import dotted
from tickerd.control.broadcast import Broadcast
from tickerd.control.facade import ConfigShown, PluginShown, WantedShown
from tickerd.daemon import pictures
from tickerd.daemon.feed import Feed
from tickerd.observe import picture as shown
from tickerd.observe.health import Thresholds
from tickerd.plugin import Instrument, Tick
from tickerd.runtime.logins import SourceLogin
from tickerd.runtime.units import SourceUnit

RUNTIME = "runtime"
"""The origin of what was changed over the API."""


class DaemonFacade:
    """Everything returns at once and changes nothing.

    Args:
        feed: everything that runs.
        events: where the daemon publishes what happens to it.
    """

    def __init__(self, feed: Feed, events: Broadcast) -> None:
        self._feed = feed
        self.clock = feed.house.clock
        self.events = events
        self.thresholds = Thresholds()

    def picture(self) -> shown.Picture:
        """How everything stands."""
        feed, house = self._feed, self._feed.house
        now = self.clock.now_ns()
        sources, sinks = pictures.units(feed.fleet.units)
        lag = feed.watchdog.snapshot()
        facts = {unit.namespace.name: unit.report.facts for unit in reversed(sources)}
        return shown.Picture(
            version=version("tickerd"),
            epoch=house.hub.epoch,
            now_ns=now,
            uptime_s=feed.uptime_s,
            ready=feed.ready,
            seq=house.hub.position.seq,
            totals=pictures.totals(house.hub.totals),
            ticks_per_s=feed.rate.per_s,
            ticking=house.hub.ticking(),
            sources=tuple(
                pictures.source(
                    unit, house.hub, feed.calendar, now, silent=feed.silences.of(unit.settings.name)
                )
                for unit in sources
            ),
            sinks=tuple(pictures.sink(unit, house.hub, feed.dead_letters, now) for unit in sinks),
            registry=tuple(
                pictures.registry(namespace, facts.get(namespace.name, {}))
                for namespace in house.table.namespaces()
            ),
            journal=pictures.journal(house.recorder, house.hub),
            loop=shown.LoopPicture(last_s=lag.last_s, p99_s=lag.p99_s, max_s=lag.max_s, stalls=lag.stalls),
            config=self._config_picture(),
            clock_skew_s=self.clock.skew_s(),
        )

    def _config_picture(self) -> shown.ConfigPicture:
        last = self._feed.last_verdict
        return shown.ConfigPicture(
            file=str(self._feed.program.file),
            generation=self._feed.fleet.generation,
            applied_ns=self._feed.applied_ns,
            reload_verdict="" if last is None else last.text(),
            reload_failed=last is not None and not last.applied,
        )

    def tables(self) -> Sequence[Mapping[str, Instrument]]:
        """Instruments by symbol, one mapping for each namespace."""
        return [namespace.by_symbol for namespace in self._feed.house.table.namespaces()]

    def find(self, key: str | int) -> Instrument | None:
        """By ``EXCHANGE:SYMBOL``, or by token where some table has it."""
        for namespace in self._feed.house.table.namespaces():
            found = namespace.get(key) if isinstance(key, int) else namespace.find(key)
            if found is not None:
                return found
        return None

    def latest(self, instrument: Instrument) -> Tick | None:
        """Its newest tick."""
        found = self._feed.house.hub.latest(instrument.namespace, (instrument.token,))
        return found[0] if found else None

    def wanted(self) -> Iterable[tuple[str, str]]:
        """(source, instrument) for all that anybody wants."""
        for unit in self._feed.fleet.sources:
            for instrument in unit.demand.wanted():
                yield unit.settings.name, _name(instrument)

    def want(self, source: str, instrument: str) -> WantedShown | None:
        """Who wants this; None when nobody does any more."""
        unit = self._feed.fleet.unit(f"source.{source}")
        if not isinstance(unit, SourceUnit):
            return None
        key = int(instrument) if instrument.isascii() and instrument.isdigit() else instrument
        found = unit.namespace.find(key)
        mode = None if found is None else unit.demand.mode(found.token)
        if mode is None:
            return None
        owners = tuple(unit.demand.owners(key))
        return WantedShown(instrument=instrument, source=source, mode=mode, owners=owners)

    def login(self, source: str) -> SourceLogin | None:
        """The login of a source; None where there is no such source, or it does not log in."""
        return self._feed.logins.of(source)

    def plugins(self) -> Sequence[PluginShown]:
        """All that are installed."""
        registry = self._feed.program.registry
        return [
            PluginShown(
                name=one.name,
                distribution=one.distribution,
                version=one.version,
                loaded=registry.loaded_kinds(one.name) is not None,
                declares=registry.loaded_kinds(one.name) or (),
            )
            for one in registry.plugins()
        ]

    def config(self) -> ConfigShown:
        """The configuration in force, secrets masked."""
        picture = self._config_picture()
        return ConfigShown(
            file=picture.file,
            generation=picture.generation,
            applied_ns=picture.applied_ns,
            reload_verdict=picture.reload_verdict,
            values=dump(self._feed.fleet.settings, self._feed.compiled.secret),
            origins={**self._feed.written.origins, **dict.fromkeys(self._steered(), RUNTIME)},
        )

    def _steered(self) -> Iterator[str]:
        """Dotted paths of what the state file has beside the configuration."""
        feed = self._feed
        for name in feed.settings.sinks.keys() - feed.written.settings.sinks.keys():
            yield dotted(("sinks", name))
        for owner in feed.subscriptions.owners():
            yield dotted(("subscriptions", owner))


def _name(instrument: Instrument) -> str:
    return instrument.symbol or str(instrument.token)
