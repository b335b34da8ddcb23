"""When tickerd is ready, and what it says when it is not."""

from dataclasses import replace
from typing import Any

import pytest

from tickerd.observe.health import Thresholds, assess, components
from tickerd.observe.picture import (
    ConfigPicture,
    JournalPicture,
    LoopPicture,
    Picture,
    RegistryPicture,
    Silent,
    SinkPicture,
    SourcePicture,
)

SOURCE = SourcePicture(
    name="kite",
    use="kite",
    state="running",
    reported="connected",
    last_tick_age_s=1.0,
    wanted=5,
    market="open",
)
SINK = SinkPicture(name="archive", use="file", state="running")
WELL = Picture(
    version="1",
    epoch=1,
    now_ns=0,
    uptime_s=1,
    ready=True,
    sources=(SOURCE,),
    sinks=(SINK,),
    registry=(RegistryPicture(namespace="kite", count=3),),
    journal=JournalPicture(state="writing", free_bytes=100, min_free_bytes=10),
)


def verdict(**changes: Any) -> tuple[bool, list[tuple[str, str, str]]]:
    """(ready, [(severity, component, problem)]) of a daemon that differs in this from one that is well."""
    health = assess(replace(WELL, **changes), Thresholds(stale_s=30))
    return health.ready, [(one.severity, one.component, one.problem) for one in health.reasons]


def source(**changes: Any) -> dict[str, Any]:
    return {"sources": (replace(SOURCE, **changes),)}


def sink(**changes: Any) -> dict[str, Any]:
    return {"sinks": (replace(SINK, **changes),)}


def test_what_is_well_has_no_reasons() -> None:
    assert verdict() == (True, [])


@pytest.mark.parametrize(
    ("changes", "component", "problem"),
    [
        ({"ready": False}, "daemon", "not_started"),
        (source(state="waiting", detail="refused"), "source.kite", "down"),
        (source(state="failed"), "source.kite", "down"),
        (sink(state="stuck"), "sink.archive", "down"),
        (source(reported="auth_required"), "source.kite", "auth_required"),
        (source(reported="reconnecting"), "source.kite", "reconnecting"),
        (source(last_tick_age_s=31.0), "source.kite", "stale"),
        (source(last_tick_age_s=None), "source.kite", "stale"),
        ({"journal": JournalPicture(state="failing")}, "journal", "failing"),
        (
            {"journal": JournalPicture(state="writing", free_bytes=1, min_free_bytes=2)},
            "journal",
            "disk_full",
        ),
    ],
)
def test_what_makes_it_not_ready(changes: dict[str, Any], component: str, problem: str) -> None:
    assert verdict(**changes) == (False, [("failing", component, problem)])


@pytest.mark.parametrize(
    ("changes", "component", "problem"),
    [
        (source(last_tick_age_s=99.0, market="unknown"), "source.kite", "stale"),
        (source(unresolved=("NSE:X",), unresolved_count=1), "source.kite", "unknown_instrument"),
        (source(silent=(Silent(instrument="NSE:X", age_s=9, limit_s=5),)), "source.kite", "silent"),
        (sink(retrying="disk full"), "sink.archive", "retrying"),
        (sink(queued_bytes=81, buffer_bytes=100), "sink.archive", "queue_full"),
        (sink(breaker="open"), "sink.archive", "breaker_open"),
        (sink(dead_letters=1), "sink.archive", "dead_letters"),
        (
            {"registry": (RegistryPicture(namespace="k", count=1, detail="403"),)},
            "registry.k",
            "refresh_failed",
        ),
        ({"config": ConfigPicture(reload_failed=True)}, "config", "reload_refused"),
        ({"loop": LoopPicture(p99_s=0.6)}, "loop", "late"),
        ({"clock_skew_s": -61.0}, "clock", "moved"),
        (source(clock_ahead_s=601.0), "clock", "wrong"),
        (source(clock_ahead_s=-61.0), "clock", "wrong"),
        (source(reported="reconnecting", market="closed"), "source.kite", "reconnecting"),
        (source(reported="stale", market="closed"), "source.kite", "stale"),
        (source(surplus=3), "source.kite", "over_capacity"),
        (source(login_expires_s=600.0), "source.kite", "login_expiring"),
    ],
)
def test_what_is_only_a_warning(changes: dict[str, Any], component: str, problem: str) -> None:
    assert verdict(**changes) == (True, [("warning", component, problem)])


@pytest.mark.parametrize(
    "changes",
    [
        source(last_tick_age_s=99.0, market="closed"),
        source(last_tick_age_s=None, wanted=0),
        source(state="finished", reported="finished", last_tick_age_s=None, market="closed"),
        source(reported="generating"),
        source(login_expires_s=7200.0),
        source(login_expires_s=0.0),
        sink(state="paused"),
        sink(queued_bytes=81),
        sink(breaker="half_open"),
        {"journal": JournalPicture(state="off")},
        {"clock_skew_s": 59.0},
        source(clock_ahead_s=59.0),
    ],
)
def test_what_is_no_reason(changes: dict[str, Any]) -> None:
    assert verdict(**changes) == (True, [])


def test_a_login_is_missing_whether_the_market_is_open_or_not() -> None:
    ready, reasons = verdict(**source(reported="auth_required", market="closed"))
    assert (ready, reasons) == (False, [("failing", "source.kite", "auth_required")])


def test_a_reason_says_which_instrument_how_old_and_against_which_limit() -> None:
    stale = assess(replace(WELL, **source(last_tick_age_s=45.2)), Thresholds(stale_s=30)).reasons[0]
    assert (stale.age_s, stale.limit_s, stale.market, stale.detail) == (45.2, 30, "open", "no tick for 45 s")
    silent = Silent(instrument="NSE:X", age_s=None, limit_s=5, market="open")
    reason = assess(replace(WELL, **source(silent=(silent,))), Thresholds()).reasons[0]
    assert (reason.instrument, reason.age_s, reason.limit_s, reason.market) == ("NSE:X", None, 5, "open")


def test_a_unit_that_is_down_is_told_once() -> None:
    ready, reasons = verdict(**source(state="waiting", reported="auth_required", last_tick_age_s=None))
    assert (ready, len(reasons)) == (False, 1)


def test_what_is_failing_comes_first() -> None:
    _, reasons = verdict(ready=False, clock_skew_s=100.0, **sink(dead_letters=1))
    assert [severity for severity, _, _ in reasons] == ["failing", "warning", "warning"]


def test_one_component_is_judged_by_itself() -> None:
    picture = replace(WELL, sources=(SOURCE, replace(SOURCE, name="other", state="failed")))
    for component, ready in [
        (None, False),
        ("sources", False),
        ("source.other", False),
        ("source.kite", True),
        ("sinks", True),
        ("journal", True),
    ]:
        assert assess(picture, Thresholds(), component).ready is ready
    assert {"source.other", "sink.archive", "registry.kite", "loop"} <= components(picture)
