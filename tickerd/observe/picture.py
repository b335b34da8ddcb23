"""The daemon at one moment, as values: what health, metrics and the control API are made from.

Plain frozen data. The daemon takes the picture; whoever shows or judges it asks nothing of the daemon.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ConfigDict

Market = Literal["open", "closed", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Base of what is shown: the texts below the fields describe them in the API's description too."""

    __pydantic_config__ = ConfigDict(use_attribute_docstrings=True)


@dataclass(frozen=True, kw_only=True)
class Totals(Shown):
    """What has passed through since the start, or through one source."""

    ticks: int = 0
    records: int = 0
    """Control records: gap, status, market and the like."""
    batches: int = 0
    """Network reads that brought something."""
    bytes: int = 0
    """As they came from the broker."""
    gaps: int = 0
    last_tick_ns: int | None = None
    """When the newest tick was received, in nanoseconds since 1970 UTC."""


@dataclass(frozen=True, kw_only=True)
class UnitPicture(Shown):
    """What sources and sinks have in common."""

    name: str
    """Key of the section in the YAML."""
    use: str
    """Name of the plugin."""
    state: str
    """new, starting, running, waiting (to be tried again), paused, failed, stuck, stopping, stopped, finished."""
    detail: str = ""
    """Why it is in that state."""
    since_ns: int = 0
    """When it came into it, in nanoseconds since 1970 UTC."""
    restarts: int = 0
    required: bool = False
    """Whether the daemon ends when it has failed for good."""
    reported: str = ""
    """What the plugin says of itself, in a word: connected, stale, reconnecting, auth_required and the like."""
    reported_detail: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Further things that the plugin says of itself."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What the plugin counts, by reason."""


@dataclass(frozen=True, kw_only=True)
class Silent(Shown):
    """An instrument that should have ticked."""

    instrument: str
    age_s: float | None
    """Since its last tick; null when it never had one."""
    limit_s: float
    market: Market = "unknown"


@dataclass(frozen=True, kw_only=True)
class SourcePicture(UnitPicture):
    """One source."""

    totals: Totals = Totals()
    last_tick_age_s: float | None = None
    """null before the first tick."""
    wanted: int = 0
    """Instruments that anybody wants of it."""
    unresolved: tuple[str, ...] = ()
    """The first of the instruments that are wanted and that its dump does not have."""
    unresolved_count: int = 0
    suggestions: Mapping[str, str] = field(default_factory=dict)
    """What may have been meant by some of them."""
    market: Market = "unknown"
    """Whether any exchange of the instruments wanted trades now."""
    connections: int | None = None
    """To the broker; null when the plugin does not say."""
    reconnects: Mapping[str, int] = field(default_factory=dict)
    """Lost connections by reason."""
    surplus: int = 0
    """Instruments that are wanted and that it has no room for."""
    login_expires_s: float | None = None
    """Until the login with the broker ends; null where there is none, or nobody knows."""
    silent: tuple[Silent, ...] = ()
    """The first of the instruments that should have ticked."""
    silent_count: int = 0
    """All of them."""
    clock_ahead_s: float | None = None
    """How far our clock is ahead of the broker's; null when the source does not know."""


@dataclass(frozen=True, kw_only=True)
class SinkPicture(UnitPicture):
    """One sink."""

    delivery: str = "live"
    overflow: str = ""
    written: int = 0
    """Ticks and records that it took."""
    batches: int = 0
    retries: int = 0
    rejected: int = 0
    """Refused for good."""
    retrying: str | None = None
    """Why the batch in hand was not taken, while it is being offered again."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Ticks and records lost, by reason."""
    merged: int = 0
    """Ticks that newer ones took the place of, as asked for."""
    queued: int = 0
    """Ticks that wait."""
    queued_bytes: int = 0
    buffer_bytes: int = 0
    """Most that may wait."""
    queue_age_s: float | None = None
    """Of the oldest that waits."""
    lag_s: float | None = None
    """How far a durable sink is behind the newest record."""
    last_write_ns: int | None = None
    dead_letters: int = 0
    breaker: str | None = None
    """closed, open or half_open, where there is one."""
    clients: int | None = None
    """Connected now, of a sink that serves."""


@dataclass(frozen=True, kw_only=True)
class RegistryPicture(Shown):
    """The instruments of one broker."""

    namespace: str
    count: int
    loaded_ns: int | None = None
    """When the dump was last swapped in; null before the first."""
    detail: str = ""
    """Why the last refresh failed, if it did."""


@dataclass(frozen=True, kw_only=True)
class JournalPicture(Shown):
    """The recording."""

    state: Literal["writing", "failing", "off"]
    detail: str = ""
    written_bytes: int = 0
    written_batches: int = 0
    queued_bytes: int = 0
    lost: int = 0
    """Ticks and records that the disk did not take."""
    segments: int = 0
    bytes: int = 0
    """On disk."""
    free_bytes: int | None = None
    """Of the file system that it is on."""
    min_free_bytes: int | None = None
    """Below this it throws old segments away."""
    lag_s: float | None = None
    """Between a record and its being in the files."""
    oldest: tuple[int, int] | None = None
    """Position (epoch, seq) of the first record kept."""
    newest: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class LoopPicture(Shown):
    """How late the event loop wakes tasks, over the last two minutes."""

    last_s: float = 0.0
    p99_s: float = 0.0
    max_s: float = 0.0
    stalls: int = 0
    """How often it stood still for too long, since the start."""


@dataclass(frozen=True, kw_only=True)
class ConfigPicture(Shown):
    """Which configuration is in force."""

    file: str = ""
    generation: int = 1
    """1 at the start; grows with each reload that was applied."""
    applied_ns: int = 0
    reload_verdict: str = ""
    """What the last reload came to; empty before the first."""
    reload_failed: bool = False
    """The last one was refused, so that the file on disk is not what runs."""


@dataclass(frozen=True, kw_only=True)
class Picture(Shown):
    """The whole daemon."""

    version: str
    epoch: int
    """Grows by one at each start."""
    now_ns: int
    """When the picture was taken, in nanoseconds since 1970 UTC."""
    uptime_s: float
    ready: bool
    """Whether start-up is complete and no stop has been asked for."""
    seq: int = 0
    """Of the newest record in this epoch."""
    totals: Totals = Totals()
    ticks_per_s: float = 0.0
    """Over the last second or so."""
    ticking: int = 0
    """Instruments that have had a tick."""
    sources: tuple[SourcePicture, ...] = ()
    sinks: tuple[SinkPicture, ...] = ()
    registry: tuple[RegistryPicture, ...] = ()
    journal: JournalPicture = JournalPicture(state="off")
    loop: LoopPicture = LoopPicture()
    config: ConfigPicture = ConfigPicture()
    clock_skew_s: float = 0.0
    """How far the host's clock has been moved since the start (host minus ours)."""
