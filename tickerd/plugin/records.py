"""Control records: what happens to the feed, told in the same stream as the ticks."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import msgspec


class Record(msgspec.Struct, tag_field="record", kw_only=True, omit_defaults=False):
    """What every control record carries; the hub fills in the position when it is published."""

    source: str | None = None
    """Name of the source (or, for our own drops, of the sink) that the record is about."""
    connection: int | None = None
    ts_recv: int = 0
    """When it happened, nanoseconds since 1970 UTC."""
    epoch: int = 0
    seq: int = 0


class Gap(Record, tag="gap"):
    """Ticks are missing: an outage upstream (`lost` is None: unknowable) or our own drop (`lost` is exact)."""

    reason: str
    since_ns: int | None = None
    until_ns: int | None = None
    after: tuple[int, int] | None = None
    """(epoch, seq) of the last record before the hole."""
    instruments: Literal["all"] | Sequence[str] = "all"
    lost: int | None = None


class Status(Record, tag="status"):
    """The state of one upstream connection changed, or (with no connection) that of the login."""

    state: Literal[
        "connected", "stale", "reconnecting", "auth_required", "rate_limited", "stopped", "login_expiring"
    ]
    detail: str = ""


class Market(Record, tag="market"):
    """An exchange opened or closed, or its day ended."""

    exchange: str
    event: str


class Order(Record, tag="order"):
    """An order update, as the broker sent it."""

    data: dict[str, Any]
    reconciled: bool = False
    """True when it was found by reading the order book after an outage rather than pushed."""


class InstrumentChange(Record, tag="instrument"):
    """A wanted instrument was added, changed or has expired."""

    symbol: str
    change: Literal["added", "changed", "expired", "unknown"]
    detail: str = ""


class Notice(Record, tag="notice"):
    """A message from the broker that is none of the above: an error text, a broadcast, an unknown type."""

    kind: Literal["error", "message", "unknown"]
    data: Any


class Endpoint(Record, tag="endpoint"):
    """What a sink delivers to keeps failing, works again, or was given up; ``source`` is the sink."""

    state: Literal["failing", "recovered", "disabled"]
    detail: str = ""


class Report(Record, tag="report"):
    """What another program told us, in a request that was verified."""

    id: str
    """The sender's, as far as there is one; a report is published once."""
    kind: str
    """What the sender calls it; may be empty."""
    data: Any


AnyRecord = Gap | Status | Market | Order | InstrumentChange | Notice | Endpoint | Report
RecordKind = Literal["gap", "status", "market", "order", "instrument", "notice", "endpoint", "report"]
RECORD_KINDS: tuple[str, ...] = get_args(RecordKind)


def record_kind(record: Record) -> str:
    """The name of the record's kind as YAML writes it under ``events:``."""
    return str(record.__struct_config__.tag)
