"""What the webhook sink makes of the options that every sink has, by its class. Pure."""

from collections.abc import Mapping
from typing import Any

from tickerd.plugin import OptionConflict
from tickerd_plugins.webhook.options import WebhookOptions

EVENTS = ("gap", "status", "market", "order", "endpoint")
"""What an endpoint of class ``event`` is told unless it says otherwise."""
SCHEDULE = ("0s", "5s", "30s", "5m", "30m", "2h", "5h", "10h", "10h")
"""About 28 hours."""
TICKS_SCHEDULE = ("0s", "1s", "5s")
TIMEOUT = "15s"
LONGEST_TIMEOUT_S = 60.0
TICKS_AGE = "30s"

_EACH = "a POST for each tick is refused: it would be late, and would hold up the receiver"


def common(options: WebhookOptions, written: Mapping[str, Any]) -> Mapping[str, Any]:
    """See `tickerd.plugin.Sink.common`."""
    return _ticks(options, written) if options.class_ == "ticks" else _event(options, written)


def _event(options: WebhookOptions, written: Mapping[str, Any]) -> Mapping[str, Any]:
    events = tuple(written.get("events") or EVENTS)
    if "tick" in events and not options.when:
        raise OptionConflict("events", _EACH, "write 'class: ticks' for batches, or 'when:' for alerts")
    if options.when and not written.get("instruments"):
        raise OptionConflict("instruments", "'when' needs them: ticks of these are looked at, and no others")
    if options.when and "tick" not in events:
        events = ("tick", *events)
    retry = {"schedule": SCHEDULE, "timeout": TIMEOUT, "breaker": {}} | _given(written, "retry")
    batch = {"max_wait": "50ms"} | _given(written, "batch")
    return {**written, "events": events, "retry": retry, "batch": batch}


def _ticks(options: WebhookOptions, written: Mapping[str, Any]) -> Mapping[str, Any]:
    batch, retry = _given(written, "batch"), _given(written, "retry")
    if tuple(written.get("events") or ("tick",)) != ("tick",):
        raise OptionConflict(
            "events", "class 'ticks' sends ticks alone", "what else happens is for a second sink"
        )
    if written.get("delivery") == "durable":
        text = "class 'ticks' is never durable: an old price delivered late is worse than none"
        raise OptionConflict("delivery", text, "write 'class: event', or leave it out")
    if written.get("overflow") not in (None, "conflate"):
        raise OptionConflict(
            "overflow", _EACH, "class 'ticks' sends the newest tick of each instrument: 'conflate'"
        )
    if "max_wait" in batch:
        raise OptionConflict(
            "batch.max_wait", "the time between two batches is this sink's option 'interval'"
        )
    if batch.get("max_ticks", 2) == 1:
        raise OptionConflict("batch.max_ticks", _EACH, "leave it out")
    return {
        **written,
        "delivery": "live",
        "overflow": "conflate",
        "events": ("tick",),
        "batch": {"max_ticks": 1_000_000, **batch, "max_wait": f"{options.interval:g}s"},
        "retry": {"schedule": TICKS_SCHEDULE, "timeout": TIMEOUT, "max_age": TICKS_AGE, "breaker": {}}
        | retry,
    }


def _given(written: Mapping[str, Any], name: str) -> dict[str, Any]:
    return dict(written.get(name) or {})
