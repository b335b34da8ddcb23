"""What the daemon runs on: frozen values that compare by value; each option says how a reload applies it."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    SerializeAsAny,
    TypeAdapter,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from tickerd.calendar import Overrides
from tickerd.config.access import AuthSettings, ControlSettings, HooksSettings, RateLimitSettings
from tickerd.plugin import (
    RECORD_KINDS,
    Delivery,
    Duration,
    Mode,
    Options,
    Overflow,
    ServingSink,
    Sink,
    Size,
    Source,
    option,
)
from tickerd.plugin.selectors import InstrumentKeys, Key, Match

NAME = r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}"
"""What a source or sink may be called."""

EventKind = Literal["tick", "gap", "status", "market", "order", "instrument", "notice", "endpoint", "report"]
EVENT_KINDS: tuple[EventKind, ...] = get_args(EventKind)
"""``tick`` and every kind of control record."""
assert set(EVENT_KINDS) == {"tick", *RECORD_KINDS}


def _distinct(value: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(value))


SourceType = type[Source]
SinkType = type[Sink] | type[ServingSink]


class SubscribeEntry(Options):
    """Instruments that a source shall bring, in one mode."""

    instruments: InstrumentKeys = option(
        (),
        doc="What to subscribe: `EXCHANGE:SYMBOL`, patterns with `*` and `?`, or instrument tokens.",
        reload="live",
    )
    match: Match | None = option(
        None, doc="What to subscribe, by what the instrument dump says of it.", reload="live"
    )
    mode: Mode = option("full", doc="How much of each tick: `ltp`, `quote` or `full`.", reload="live")

    @model_validator(mode="after")
    def _names_something(self) -> "SubscribeEntry":
        if not self.keys:
            raise PydanticCustomError("subscribe", "needs 'instruments' or 'match'")
        return self

    @property
    def keys(self) -> tuple[Key, ...]:
        """Everything that it means instruments by."""
        return self.instruments if self.match is None else (*self.instruments, self.match)


class BatchSettings(Options):
    """How much a pushing sink is handed at once."""

    max_ticks: int = option(10_000, doc="Ticks in one batch, at most.", ge=1, le=1_000_000)
    max_wait: Duration = option("100ms", doc="How long a batch is gathered, at most.", ge=0, le=60)
    commit: Duration = option(
        "1s", doc="With durable delivery: how often what was written is made safe.", gt=0, le=600
    )


class BreakerSettings(Options):
    """When a sink is held back after failures, and for how long."""

    failures: int = option(5, doc="So many failures in a row open it.", ge=1, le=1000)
    window: int = option(20, doc="Half of so many attempts failing opens it too.", ge=2, le=1000)
    window_time: Duration = option("60s", doc="How old those attempts may be.", gt=0)
    open: Duration = option("30s", doc="How long nothing is tried; twice as long each time in a row.", gt=0)
    cap: Duration = option("15m", doc="Longest time for which nothing is tried.", gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> "BreakerSettings":
        if self.cap < self.open:
            raise PydanticCustomError("order", "'cap' is shorter than 'open'")
        return self


class RetrySettings(Options):
    """How what a sink did not take is offered again."""

    initial: Duration = option(
        "1s", doc="Longest wait before the first retry; it doubles from try to try.", gt=0
    )
    cap: Duration = option("60s", doc="Longest wait before any retry.", gt=0)
    schedule: Annotated[tuple[Duration, ...], Field(min_length=1, max_length=100)] | None = option(
        None,
        doc="Waits before each attempt, the first one's included, in place of `initial` and `cap`. After the last "
        "one it is given up: a dead letter with durable delivery, counted with live. Default: the plugin's, else "
        "no end.",
    )
    jitter: float = option(0.2, doc="How far waits of `schedule` vary at random, as a share.", ge=0, le=1)
    timeout: Duration | None = option(
        None, doc="Longest time for one attempt. Default: the plugin's, else none.", gt=0, le=3600
    )
    max_age: Duration | None = option(
        None, doc="With live delivery: ticks older than this are not sent any more, only counted.", gt=0
    )
    hold: Duration = option(
        "60s", doc="With messages in order: how long one that fails holds up those behind it.", gt=0
    )
    outbox: Size = option(
        "1GiB", doc="Most that waits on disk where messages have attempts of their own.", ge=2**20
    )
    breaker: BreakerSettings | None = option(
        None, doc="Holds the sink back after too many failures. Default: the plugin's, else there is none."
    )

    @model_validator(mode="after")
    def _ordered(self) -> "RetrySettings":
        if self.cap < self.initial:
            raise PydanticCustomError("order", "'cap' is shorter than 'initial'")
        return self


class SourceOptions(Options):
    """What every source has beside its plugin's own options."""

    use: str = option(doc="Name of the plugin.", min_length=1)
    subscribe: tuple[SubscribeEntry, ...] = option((), doc="What this source shall bring.", reload="live")
    required: bool = option(
        False, doc="Whether tickerd ends when this source has failed for good.", reload="live"
    )


class SinkOptions(Options):
    """What every sink has beside its plugin's own options."""

    use: str = option(doc="Name of the plugin.", min_length=1)
    instruments: InstrumentKeys | None = option(
        None,
        doc="Only ticks of these: symbols, patterns, tokens, `{match: {…}}`; all when it is left out.",
        reload="live",
        min_length=1,
    )
    events: Annotated[tuple[EventKind, ...], AfterValidator(_distinct)] = option(
        EVENT_KINDS, doc="What this sink is given: `tick` and kinds of control records.", min_length=1
    )
    delivery: Delivery | None = option(
        None,
        doc="`live`: what overflows is lost and counted; `durable`: by the journal. Default: the plugin's.",
    )
    overflow: Overflow | None = option(
        None, doc="What gives way when the buffer is full. Default: the plugin's."
    )
    buffer: Size = option("16MiB", doc="Most that waits for this sink.", ge=2**16, le=2**36)
    batch: BatchSettings = option(BatchSettings(), doc="How much the sink is handed at once.")
    retry: RetrySettings = option(RetrySettings(), doc="When a batch is offered again that was not taken.")
    required: bool = option(
        False, doc="Whether tickerd ends when this sink has failed for good.", reload="live"
    )


SOURCE_RESERVED = tuple(SourceOptions.model_fields)
"""Options that every source has; no plugin may use their names."""
SINK_RESERVED = tuple(SinkOptions.model_fields)
"""Options that every sink has; no plugin may use their names."""


class SourceSettings(SourceOptions):
    """One section under ``sources``."""

    name: str = option(doc="Key of the section.")
    type: SourceType = option(doc="The plugin's source type.")
    options: SerializeAsAny[Options] = option(doc="The plugin's own options, of its type.")


class SinkSettings(SinkOptions):
    """One section under ``sinks``."""

    delivery: Delivery = option("live", doc="Delivery that is in force.")
    overflow: Overflow = option("drop_oldest", doc="Overflow policy that is in force.")
    name: str = option(doc="Key of the section.")
    type: SinkType = option(doc="The plugin's sink type.")
    options: SerializeAsAny[Options] = option(doc="The plugin's own options, of its type.")


class StateSettings(Options):
    """What outlives a restart."""

    dir: Path = option(
        Path("/var/lib/tickerd"), doc="Directory for it; relative to the working directory.", reload="daemon"
    )


class CalendarOptions(Options):
    """When the markets trade."""

    overrides: Path | None = option(
        None,
        doc="YAML file with holidays and hours of yours; relative to the working directory.",
        reload="live",
    )


class CalendarSettings(CalendarOptions):
    """The section ``calendar``, and what the file that it names says."""

    entries: Overrides = option(Overrides(), doc="What is in the file.", reload="live")


def _share(value: Any) -> Any:
    """A percentage as a share of one; anything else is a size."""
    if isinstance(value, str) and (match := _PERCENT.fullmatch(value)):
        return float(match[1]) / 100
    return TypeAdapter(Size).validate_python(value)


_PERCENT = re.compile(r"\s*([0-9]{1,2}(?:\.[0-9]+)?|100)\s*%\s*")

SizeOrShare = Annotated[
    int | float,
    BeforeValidator(_share),
    PlainSerializer(
        lambda value: f"{value * 100:g}%" if isinstance(value, float) else f"{value}B",
        return_type=str,
        when_used="json",
    ),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^\s*\d+(\.\d+)?\s*(%|[KMGT]iB|[KMGT]B|B)\s*$",
            "examples": ["50%", "200GiB"],
        }
    ),
]
"""Bytes, or a share of the file system as a float up to 1; written ``200GiB`` or ``50%``."""


class JournalSettings(Options):
    """The log of everything that was received, from which durable sinks, replays and forensics read."""

    keep: Duration = option("7 days", doc="How long a day is kept after its end.", reload="live", gt=0)
    max_size: SizeOrShare = option(
        "50%", doc="Most that all days take together: a size, or a share of the file system.", reload="live"
    )
    min_free: Size = option(
        "5GiB", doc="What the file system keeps free for others; old days go to keep it so.", reload="live"
    )
    sync: Duration = option(
        "200ms", doc="Between two flushes to the disk: what a power cut may cost.", reload="daemon", ge=0.01
    )
    segment_size: Size = option(
        "1GiB", doc="Size at which a new file is begun.", reload="daemon", ge=2**20, le=2**34
    )
    buffer: Size = option(
        "64MiB",
        doc="Most that waits for a slow disk; beyond it the journal has a gap.",
        reload="daemon",
        ge=2**20,
    )


class LogSettings(Options):
    """The daemon's log."""

    level: Literal["debug", "info", "warning", "error"] = option(
        "info", doc="The least that is logged.", reload="live"
    )
    format: Literal["auto", "json", "text"] = option(
        "auto", doc="`text` for people, `json` for programs; `auto` is text on a terminal.", reload="daemon"
    )
    file: Path | None = option(None, doc="An own file besides standard output.", reload="daemon")
    rotate_size: Size = option("100MB", doc="Size at which the file is rotated.", reload="daemon", ge=2**16)
    keep: Duration = option("7 days", doc="Age at which rotated files are removed.", reload="daemon", gt=0)
    compress: bool = option(True, doc="Whether rotated files are compressed.", reload="daemon")


class LimitSettings(Options):
    """How long the daemon waits for what."""

    start_deadline: Duration = option(
        "10s", doc="For a source or sink to come up.", reload="live", gt=0, le=600
    )
    stop_deadline: Duration = option("5s", doc="For a source or sink to stop.", reload="live", gt=0, le=600)
    drain: Duration = option(
        "20s", doc="For all sinks to take what waits, when the daemon stops.", reload="live", ge=0, le=3600
    )


class Settings(Options):
    """The whole configuration."""

    sources: dict[str, SourceSettings] = option(doc="Where ticks come from; at least one.")
    sinks: dict[str, SinkSettings] = option({}, doc="Where ticks go to.")
    extensions: tuple[str, ...] = option((), doc="Plugins that only observe.", reload="daemon")
    auth: dict[str, AuthSettings] = option({}, doc="Authenticators that listeners name.", reload="live")
    rate_limits: dict[str, RateLimitSettings] = option(
        {}, doc="How often callers over TCP may do what, by route class.", reload="live"
    )
    control: ControlSettings | None = option(
        None, doc="The control API; without the section there is none.", reload="daemon"
    )
    hooks: HooksSettings | None = option(
        None, doc="A listener for login callbacks and incoming webhooks alone.", reload="daemon"
    )
    state: StateSettings = option(StateSettings(), doc="What outlives a restart.", reload="daemon")
    calendar: CalendarSettings = option(CalendarSettings(), doc="When the markets trade.", reload="live")
    journal: JournalSettings | None = option(
        JournalSettings(), doc="The journal; `off` does without.", reload="daemon"
    )
    log: LogSettings = option(LogSettings(), doc="The daemon's log.", reload="live")
    limits: LimitSettings = option(LimitSettings(), doc="How long the daemon waits for what.", reload="live")
