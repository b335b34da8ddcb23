"""What the daemon runs on: frozen values that compare by value; each option says how a reload applies it."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    PlainSerializer,
    SerializeAsAny,
    TypeAdapter,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from tickerd.calendar import Overrides
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

NAME = r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}"
"""What a source or sink may be called."""

SYMBOL = r"[A-Z][A-Z0-9_-]*:\S(?:.*\S)?"
"""``EXCHANGE:TRADINGSYMBOL``; the second part may hold spaces."""

EventKind = Literal["tick", "gap", "status", "market", "order", "instrument", "notice"]
EVENT_KINDS: tuple[EventKind, ...] = get_args(EventKind)
"""``tick`` and every kind of control record."""
assert set(EVENT_KINDS) == {"tick", *RECORD_KINDS}

_SYMBOL = re.compile(SYMBOL)
_TOKEN = re.compile(r"[0-9]{1,10}")
_MAX_TOKEN = 2**32 - 1


def _instrument(value: Any) -> str | int:
    if isinstance(value, str) and _TOKEN.fullmatch(value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MAX_TOKEN:
        return value
    if isinstance(value, str) and _SYMBOL.fullmatch(value):
        return value
    text = "expected an instrument: EXCHANGE:SYMBOL such as 'NSE:INFY', or its number"
    raise PydanticCustomError("instrument", text)


def _distinct(value: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(value))


InstrumentName = Annotated[
    str | int,
    BeforeValidator(_instrument),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": f"^{SYMBOL}$", "examples": ["NSE:INFY", "NSE:NIFTY 50"]},
                {"type": "integer", "minimum": 1, "maximum": _MAX_TOKEN},
            ]
        }
    ),
]
"""One instrument as it is written: ``EXCHANGE:TRADINGSYMBOL``, or its token."""

InstrumentNames = Annotated[tuple[InstrumentName, ...], AfterValidator(_distinct)]
SourceType = type[Source]
SinkType = type[Sink] | type[ServingSink]


class SubscribeEntry(Options):
    """Instruments that a source shall bring, in one mode."""

    instruments: InstrumentNames = option(
        doc="What to subscribe: `EXCHANGE:SYMBOL`, or instrument tokens.", reload="live", min_length=1
    )
    mode: Mode = option("full", doc="How much of each tick: `ltp`, `quote` or `full`.", reload="live")


class BatchSettings(Options):
    """How much a pushing sink is handed at once."""

    max_ticks: int = option(10_000, doc="Ticks in one batch, at most.", ge=1, le=1_000_000)
    max_wait: Duration = option("100ms", doc="How long a batch is gathered, at most.", ge=0, le=60)
    commit: Duration = option(
        "1s", doc="With durable delivery: how often what was written is made safe.", gt=0, le=600
    )


class RetrySettings(Options):
    """How a batch is offered again that a sink did not take."""

    initial: Duration = option(
        "1s", doc="Longest wait before the first retry; it doubles from try to try.", gt=0
    )
    cap: Duration = option("60s", doc="Longest wait before any retry.", gt=0)

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
    instruments: InstrumentNames | None = option(
        None, doc="Only ticks of these instruments; all when it is left out.", reload="live", min_length=1
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
    state: StateSettings = option(StateSettings(), doc="What outlives a restart.", reload="daemon")
    calendar: CalendarSettings = option(CalendarSettings(), doc="When the markets trade.", reload="live")
    journal: JournalSettings | None = option(
        JournalSettings(), doc="The journal; `off` does without.", reload="daemon"
    )
    log: LogSettings = option(LogSettings(), doc="The daemon's log.", reload="live")
    limits: LimitSettings = option(LimitSettings(), doc="How long the daemon waits for what.", reload="live")
