"""The public surface of tickerd: all that a plugin imports.

A plugin is a module (or package) named by an entry point in the group ``tickerd``. It says
``TICKERD_API = 0`` and implements hooks with `hookimpl`. See ``docs/plugins.md`` and ``plugins/example/``.
"""

from tickerd.plugin.clock import Clock
from tickerd.plugin.errors import Closed, Rejected, Retry
from tickerd.plugin.events import (
    DUPLICATE,
    FLAG_NAMES,
    OHLC,
    OUT_OF_ORDER,
    SNAPSHOT,
    SUSPICIOUS,
    Batch,
    Codec,
    Depth,
    Level,
    Origin,
    Position,
    Row,
    Split,
    Stamp,
    Tick,
    flag_names,
)
from tickerd.plugin.hooks import API_VERSION, hookimpl
from tickerd.plugin.instrument import Instrument
from tickerd.plugin.options import Duration, Options, Secret, Size, option
from tickerd.plugin.records import (
    RECORD_KINDS,
    AnyRecord,
    Gap,
    InstrumentChange,
    Market,
    Notice,
    Order,
    Record,
    RecordKind,
    Status,
    record_kind,
)
from tickerd.plugin.sink import Delivery, Overflow, Reject, ServingContext, ServingSink, Sink, SinkContext, Subscription
from tickerd.plugin.source import MODES, Demand, Instruments, Mode, Source, SourceContext, UnitContext

__all__ = [
    "API_VERSION",
    "DUPLICATE",
    "FLAG_NAMES",
    "MODES",
    "OHLC",
    "OUT_OF_ORDER",
    "RECORD_KINDS",
    "SNAPSHOT",
    "SUSPICIOUS",
    "AnyRecord",
    "Batch",
    "Clock",
    "Closed",
    "Codec",
    "Delivery",
    "Demand",
    "Depth",
    "Duration",
    "Gap",
    "Instrument",
    "InstrumentChange",
    "Instruments",
    "Level",
    "Market",
    "Mode",
    "Notice",
    "Options",
    "Order",
    "Origin",
    "Overflow",
    "Position",
    "Record",
    "RecordKind",
    "Reject",
    "Rejected",
    "Retry",
    "Row",
    "Secret",
    "ServingContext",
    "ServingSink",
    "Sink",
    "SinkContext",
    "Size",
    "Source",
    "SourceContext",
    "Split",
    "Stamp",
    "Status",
    "Subscription",
    "Tick",
    "UnitContext",
    "flag_names",
    "hookimpl",
    "option",
    "record_kind",
]
