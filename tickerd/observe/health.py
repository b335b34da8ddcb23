"""Judges a picture of the daemon: is it ready, and if not, for which reasons. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tickerd.observe.picture import (
    JournalPicture,
    Market,
    Picture,
    Shown,
    SinkPicture,
    SourcePicture,
    UnitPicture,
)

Severity = Literal["failing", "warning"]
"""``failing``: not ready while it lasts. ``warning``: somebody should look."""

UP = frozenset({"running", "finished", "paused"})
"""States of a unit in which it does what it was told."""
ILL = frozenset({"stale", "reconnecting", "auth_required", "rate_limited", "stopped"})
"""What a source may say of itself that is a reason; see `tickerd.plugin.Status`."""
HARMLESS_WHEN_CLOSED = frozenset({"stale", "reconnecting", "rate_limited"})
"""Of these, what is only a warning while no market trades: brokers go down for maintenance at night."""
LOGIN_WARNING_S = 3600.0
"""How long before its end a login is a reason."""
QUEUE_WARNING = 0.8
"""Part of its buffer that a sink may fill before somebody should look."""
SKEW_WARNING_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Above which figures are reasons."""

    stale_s: float = 30.0
    """Age of a source's newest tick while its market is open."""
    loop_s: float = 0.5
    """How late the event loop may wake tasks."""


@dataclass(frozen=True, kw_only=True)
class Reason(Shown):
    """One thing that is wrong."""

    component: str
    """daemon, source.NAME, sink.NAME, registry.NAMESPACE, journal, config, clock or loop."""
    severity: Severity
    """failing: not ready while it lasts. warning: somebody should look."""
    problem: str
    """In a word, for programs: down, stale, auth_required, disk_full and the like."""
    detail: str
    """In a sentence, for people."""
    instrument: str | None = None
    age_s: float | None = None
    limit_s: float | None = None
    market: Market | None = None


@dataclass(frozen=True, kw_only=True)
class Health(Shown):
    """The verdict."""

    ready: bool
    reasons: tuple[Reason, ...] = ()
    """What is failing first, then warnings."""


def assess(picture: Picture, thresholds: Thresholds, component: str | None = None) -> Health:
    """Judge the daemon, or one component of it.

    Args:
        picture: taken a moment ago.
        thresholds: above which figures are reasons.
        component: as in `Reason.component`; also ``sources``, ``sinks`` or ``registry`` for all of a kind.
    """
    found = sorted(_reasons(picture, thresholds), key=lambda reason: reason.severity)
    if component is not None:
        found = [reason for reason in found if _belongs(reason.component, component)]
    return Health(ready=not any(reason.severity == "failing" for reason in found), reasons=tuple(found))


def components(picture: Picture) -> frozenset[str]:
    """Every name that `assess` takes."""
    return frozenset(
        {
            *("daemon", "sources", "sinks", "registry", "journal", "config", "clock", "loop"),
            *(f"source.{source.name}" for source in picture.sources),
            *(f"sink.{sink.name}" for sink in picture.sinks),
            *(f"registry.{registry.namespace}" for registry in picture.registry),
        }
    )


def _belongs(name: str, component: str) -> bool:
    kind = name.partition(".")[0]
    return component in (name, kind, f"{kind}s")


def _reasons(picture: Picture, thresholds: Thresholds) -> Iterator[Reason]:
    if not picture.ready:
        yield _failing("daemon", "not_started", "starting or stopping")
    for source in picture.sources:
        yield from _unit(source, f"source.{source.name}")
        if source.state in UP:
            yield from _source(source, f"source.{source.name}", thresholds)
    for sink in picture.sinks:
        yield from _unit(sink, f"sink.{sink.name}")
        yield from _sink(sink, f"sink.{sink.name}")
    yield from _registry(picture)
    yield from _journal(picture.journal)
    yield from _house(picture, thresholds)


def _unit(unit: UnitPicture, component: str) -> Iterator[Reason]:
    if unit.state not in UP:
        yield _failing(component, "down", f"{unit.state}: {unit.detail}" if unit.detail else unit.state)


def _source(source: SourcePicture, component: str, thresholds: Thresholds) -> Iterator[Reason]:
    if source.reported in ILL:
        text = source.reported_detail or f"the source says {source.reported!r}"
        quiet = source.market == "closed" and source.reported in HARMLESS_WHEN_CLOSED
        yield (_warning if quiet else _failing)(component, source.reported, text)
    yield from _capacity(source, component)
    age = source.last_tick_age_s
    if source.market != "closed" and source.wanted and (age is None or age > thresholds.stale_s):
        # Without a calendar's word nobody knows whether silence is wrong.
        certain = source.market == "open"
        text = "no tick yet" if age is None else f"no tick for {age:.0f} s"
        yield Reason(
            component=component,
            severity="failing" if certain else "warning",
            problem="stale",
            detail=text if certain else f"{text}; whether the market is open is not known",
            age_s=age,
            limit_s=thresholds.stale_s,
            market=source.market,
        )
    for silent in source.silent:
        yield Reason(
            component=component,
            severity="warning",
            problem="silent",
            detail="an instrument does not tick",
            instrument=silent.instrument,
            age_s=silent.age_s,
            limit_s=silent.limit_s,
            market=silent.market,
        )
    for instrument in source.unresolved:
        near = source.suggestions.get(instrument)
        hint = f"; did you mean {near}?" if near else ""
        yield Reason(
            component=component,
            severity="warning",
            problem="unknown_instrument",
            detail=f"wanted, but the broker's list does not have it ({source.unresolved_count} in all){hint}",
            instrument=instrument,
        )


def _capacity(source: SourcePicture, component: str) -> Iterator[Reason]:
    if source.surplus:
        text = f"{source.surplus} instruments are more than it can carry and left out"
        yield _warning(component, "over_capacity", text)
    left_s = source.login_expires_s
    if left_s is not None and 0 < left_s <= LOGIN_WARNING_S:
        text = f"the login ends in {left_s / 60:.0f} minutes"
        yield _warning(component, "login_expiring", text, age_s=left_s, limit_s=LOGIN_WARNING_S)


def _sink(sink: SinkPicture, component: str) -> Iterator[Reason]:
    if sink.retrying is not None:
        yield _warning(component, "retrying", f"the last batch was not taken: {sink.retrying}")
    if sink.buffer_bytes and sink.queued_bytes > QUEUE_WARNING * sink.buffer_bytes:
        share = sink.queued_bytes / sink.buffer_bytes
        yield _warning(component, "queue_full", f"its buffer is {share:.0%} full", age_s=sink.queue_age_s)
    if sink.breaker == "open":
        yield _warning(component, "breaker_open", "deliveries are held back after too many failures")
    if sink.dead_letters:
        yield _warning(component, "dead_letters", f"{sink.dead_letters} dead letters wait for somebody")


def _registry(picture: Picture) -> Iterator[Reason]:
    for registry in picture.registry:
        if registry.detail:
            text = f"the last refresh of the instruments failed: {registry.detail}"
            yield _warning(f"registry.{registry.namespace}", "refresh_failed", text)


def _journal(journal: JournalPicture) -> Iterator[Reason]:
    if journal.state == "failing":
        yield _failing("journal", "failing", journal.detail or "the disk does not take anything")
    free, least = journal.free_bytes, journal.min_free_bytes
    if free is not None and least is not None and free < least:
        yield _failing(
            "journal", "disk_full", f"{free} bytes are free, fewer than journal.min_free ({least})"
        )


def _house(picture: Picture, thresholds: Thresholds) -> Iterator[Reason]:
    if picture.config.reload_failed:
        text = picture.config.reload_verdict or "the file on disk is not what runs"
        yield _warning("config", "reload_refused", text)
    if picture.loop.p99_s > thresholds.loop_s:
        text = f"the event loop is late by {picture.loop.p99_s:.1f} s in one of a hundred wakes"
        yield _warning("loop", "late", text, age_s=picture.loop.p99_s, limit_s=thresholds.loop_s)
    if abs(picture.clock_skew_s) > SKEW_WARNING_S:
        text = f"the host's clock was moved by {picture.clock_skew_s:+.0f} s; restart to follow it"
        yield _warning("clock", "moved", text)
    for source in picture.sources:
        ahead_s = source.clock_ahead_s
        if ahead_s is not None and abs(ahead_s) > SKEW_WARNING_S:
            side = "ahead of" if ahead_s > 0 else "behind"
            text = f"our clock is {abs(ahead_s):.0f} s {side} the broker's ({source.name}): mend it, then restart"
            yield _warning("clock", "wrong", text)


def _failing(component: str, problem: str, detail: str) -> Reason:
    return Reason(component=component, severity="failing", problem=problem, detail=detail)


def _warning(
    component: str, problem: str, detail: str, *, age_s: float | None = None, limit_s: float | None = None
) -> Reason:
    return Reason(
        component=component,
        severity="warning",
        problem=problem,
        detail=detail,
        age_s=age_s,
        limit_s=limit_s,
    )
