"""What the control API needs of the daemon: the daemon implements it, and the routes see nothing else of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tickerd.control.broadcast import Broadcast
from tickerd.observe.health import Thresholds
from tickerd.observe.picture import Picture, Shown
from tickerd.plugin import Clock, Instrument, Tick
from tickerd.runtime.logins import SourceLogin


@dataclass(frozen=True, kw_only=True)
class PluginShown(Shown):
    """One installed plugin."""

    name: str
    """What the YAML writes after ``use:``."""
    distribution: str
    version: str
    loaded: bool = False
    """Whether it has been imported: only what the YAML names is."""
    declares: tuple[str, ...] = ()
    """Kinds of what it offers: source, sink, authenticator and the like; empty while it is not loaded."""
    problem: str = ""
    """Why it cannot be used, if it cannot."""


@dataclass(frozen=True, kw_only=True)
class WantedShown(Shown):
    """One instrument that somebody wants."""

    instrument: str
    """``EXCHANGE:SYMBOL``, or a token that no dump has named."""
    source: str
    """Which source brings it."""
    mode: str
    """The highest that anybody wants: ltp, quote or full."""
    owners: tuple[str, ...]
    """Who wants it."""


@dataclass(frozen=True, kw_only=True)
class ConfigShown(Shown):
    """The configuration in force."""

    file: str
    generation: int
    """1 at the start; grows with each reload that was applied."""
    applied_ns: int
    """Nanoseconds since 1970 UTC."""
    reload_verdict: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    """As it could be written, with every default filled in and every secret masked."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Dotted path → where the value came from: ``FILE:LINE`` for what was written, a list as one value; ``runtime``
    for webhooks registered over the API (``sinks.NAME``) and for those who subscribed there
    (``subscriptions.OWNER``). What is left out is a default."""


class Facade(Protocol):
    """Everything here returns at once and changes nothing; what is returned never changes either."""

    @property
    def clock(self) -> Clock:
        """The daemon's clock."""
        ...

    @property
    def events(self) -> Broadcast:
        """Where the daemon publishes what happens to it."""
        ...

    @property
    def thresholds(self) -> Thresholds:
        """Above which figures of the picture are reasons."""
        ...

    def picture(self) -> Picture:
        """How everything stands."""
        ...

    def tables(self) -> Sequence[Mapping[str, Instrument]]:
        """Instruments by symbol, one mapping for each namespace; never changed, only replaced as a whole.

        Threads read them.
        """
        ...

    def find(self, key: str | int) -> Instrument | None:
        """By ``EXCHANGE:SYMBOL``, or by token where some table has it."""
        ...

    def latest(self, instrument: Instrument) -> Tick | None:
        """Its newest tick."""
        ...

    def wanted(self) -> Iterable[tuple[str, str]]:
        """(source, instrument) for all that anybody wants; the instrument as `WantedShown` writes it."""
        ...

    def want(self, source: str, instrument: str) -> WantedShown | None:
        """Who wants this; None when nobody does any more."""
        ...

    def login(self, source: str) -> SourceLogin | None:
        """The login of a source; None where there is no such source, or it does not log in."""
        ...

    def plugins(self) -> Sequence[PluginShown]:
        """All that are installed."""
        ...

    def config(self) -> ConfigShown:
        """The configuration in force, secrets masked."""
        ...
