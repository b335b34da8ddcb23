"""How clients are told what happened to the stream."""

from typing import Any

from tickerd.plugin import Gap

OWN = frozenset({"slow_consumer", "journal_slow", "journal_failed", "journal_damaged"})
"""Reasons of gaps that are this daemon's doing."""


def gap_notice(gap: Gap) -> dict[str, Any]:
    """A hole upstream, or in what this daemon could hand on."""
    return {
        "reason": "server" if gap.reason in OWN else "upstream_gap",
        "detail": gap.reason,
        "source": gap.source,
        "since_ns": gap.since_ns,
        "until_ns": gap.until_ns,
        "since": None if gap.after is None else gap.after[1] + 1,
        "after": gap.after,
        "dropped": gap.lost,
        "instruments": gap.instruments if isinstance(gap.instruments, str) else list(gap.instruments),
        "epoch": gap.epoch,
        "seq": gap.seq,
    }
