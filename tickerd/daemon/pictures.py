"""Takes the picture of the daemon that health, metrics and the control API are made from."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tickerd.calendar import Calendar
from tickerd.dataflow.hub import Hub, Totals
from tickerd.instruments import Namespace
from tickerd.observe import picture as shown
from tickerd.runtime.recorder import Recorder
from tickerd.runtime.units import (
    ConfiguredUnit,
    DurableSinkUnit,
    LiveSinkUnit,
    ServingUnit,
    SinkUnit,
    SourceUnit,
)

MOST_NAMED = 20
"""Instruments that are named where something is wrong with them; the others are counted."""


def totals(found: Totals) -> shown.Totals:
    """Counters of the hub."""
    return shown.Totals(
        ticks=found.ticks,
        records=found.records,
        batches=found.batches,
        bytes=found.bytes,
        gaps=found.gaps,
        last_tick_ns=found.last_tick_ns,
    )


def source(
    unit: SourceUnit, hub: Hub, calendar: Calendar, now_ns: int, silent: Sequence[shown.Silent] = ()
) -> shown.SourcePicture:
    """One source."""
    found = hub.by_source.get(unit.settings.name) or Totals()
    facts = unit.report.facts
    reconnects = facts.get("reconnects")
    connections = facts.get("connections")
    unresolved = unit.demand.unresolved
    return shown.SourcePicture(
        **_common(unit),
        totals=totals(found),
        last_tick_age_s=_age(found.last_tick_ns, now_ns),
        wanted=len(unit.demand.wanted()),
        unresolved=unresolved[:MOST_NAMED],
        unresolved_count=len(unresolved),
        suggestions=unit.demand.suggestions,
        market=market(calendar, {one.exchange for one in unit.demand.wanted()}, now_ns),
        connections=connections if isinstance(connections, int) else None,
        reconnects=reconnects if isinstance(reconnects, Mapping) else {},
        surplus=surplus if isinstance(surplus := facts.get("surplus"), int) else 0,
        login_expires_s=login if isinstance(login := facts.get("login_expires_in_s"), int | float) else None,
        silent=tuple(silent[:MOST_NAMED]),
        silent_count=len(silent),
        clock_ahead_s=ahead if isinstance(ahead := facts.get("clock_ahead_s"), int | float) else None,
    )


def market(calendar: Calendar, exchanges: Collection[str], now_ns: int) -> shown.Market:
    """Whether any of these exchanges trades now; unknown when the calendar does not tell of one of them."""
    states = {calendar.state(exchange, now_ns).state for exchange in exchanges if exchange}
    if "open" in states:
        return "open"
    return "closed" if states and states <= {"closed", "pre_open", "holiday"} else "unknown"


def sink(
    unit: SinkUnit | ServingUnit, hub: Hub, dead_letters: Mapping[str, int], now_ns: int
) -> shown.SinkPicture:
    """One sink."""
    settings = unit.settings
    common = _common(unit) | {
        "delivery": settings.delivery,
        "overflow": settings.overflow,
        "buffer_bytes": settings.buffer,
        "dead_letters": dead_letters.get(settings.name, 0),
    }
    clients = unit.report.facts.get("clients")
    if isinstance(unit, ServingUnit):
        return shown.SinkPicture(**common, clients=clients if isinstance(clients, int) else None)
    meter = unit.meter
    breaker = unit.guard.breaker
    if unit.paused and unit.state == "running":
        common |= {"state": "paused", "reported": "paused"}
    return shown.SinkPicture(
        **common,
        breaker=None if breaker is None else breaker.state,
        **_queue(unit, hub, now_ns),
        written=meter.written,
        batches=meter.batches,
        retries=meter.retries,
        rejected=meter.rejected,
        retrying=meter.retrying,
        queued_bytes=unit.queued_bytes,
        last_write_ns=meter.last_write_ns,
    )


def _queue(unit: SinkUnit, hub: Hub, now_ns: int) -> dict[str, Any]:
    """What waits for a sink and what it lost, as far as its way of delivery knows."""
    meter = unit.meter
    lost = {"rejected": meter.rejected, "stopped": meter.lost, "given_up": meter.given_up}
    if isinstance(unit, LiveSinkUnit):
        waiting = unit.subscription
        lost |= {"slow_consumer": waiting.dropped, "expired": waiting.expired}
        rest: dict[str, Any] = {"merged": waiting.merged, "queued": waiting.queued_ticks}
    elif isinstance(unit, DurableSinkUnit) and unit.behind and unit.meter.last_write_ns is not None:
        rest = {"lag_s": _age(unit.meter.last_write_ns, now_ns)}
    else:
        rest = {"lag_s": 0.0}
    if meter.waiting:
        rest["queued"] = meter.waiting
    return {"dropped": {why: count for why, count in lost.items() if count}} | rest


def registry(namespace: Namespace, facts: Mapping[str, Any]) -> shown.RegistryPicture:
    """The instruments of one broker, and what its source says of them."""
    loaded = facts.get("dump_loaded_ns")
    detail = facts.get("dump_problem")
    return shown.RegistryPicture(
        namespace=namespace.name,
        count=len(namespace),
        loaded_ns=loaded if isinstance(loaded, int) else None,
        detail=detail if isinstance(detail, str) else "",
    )


def journal(recorder: Recorder | None, hub: Hub) -> shown.JournalPicture:
    """The recording; says nothing that would need a look at the disk."""
    if recorder is None:
        return shown.JournalPicture(state="off")
    made, disk = recorder.journal, recorder.disk
    return shown.JournalPicture(
        state="failing" if made.failing else "writing",
        detail=made.failing or "",
        written_bytes=made.written_bytes,
        written_batches=made.written_batches,
        queued_bytes=made.queued_bytes,
        lost=made.lost_total,
        segments=disk.segments,
        bytes=disk.bytes,
        free_bytes=disk.free,
        min_free_bytes=recorder.min_free,
        lag_s=0.0 if made.committed >= hub.position else None,
        oldest=disk.oldest,
        newest=made.committed if made.committed.seq else None,
    )


def _common(unit: ConfiguredUnit) -> dict[str, Any]:
    settings, report = unit.settings, unit.report
    return {
        "name": settings.name,
        "use": settings.use,
        "state": unit.state,
        "detail": unit.detail,
        "since_ns": unit.since_ns,
        "restarts": unit.restarts,
        "required": settings.required,
        "reported": report.state,
        "reported_detail": report.detail,
        "facts": dict(report.facts),
        "counts": dict(unit.counts),
    }


def _age(at_ns: int | None, now_ns: int) -> float | None:
    return None if at_ns is None else max(0.0, (now_ns - at_ns) / 1e9)


def units(found: Sequence[ConfiguredUnit]) -> tuple[list[SourceUnit], list[SinkUnit | ServingUnit]]:
    """Sources, and sinks."""
    return (
        [unit for unit in found if isinstance(unit, SourceUnit)],
        [unit for unit in found if isinstance(unit, SinkUnit | ServingUnit)],
    )
