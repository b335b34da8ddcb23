"""docs/operations.md names states, reasons, events and fields that exist."""

import re
from pathlib import Path
from typing import Any, get_args

from tickerd.dataflow.subscription import MAX_RECORDS
from tickerd.observe.status import FeedSnapshot, SinkFigures, status_line
from tickerd.plugin import Gap
from tickerd.runtime.unit import State
from tickerd_plugins.file.disk import REASONS
from tickerd_plugins.kite import outage

OWN_REASONS = [
    "slow_consumer",
    "sink_failed",
    "restart",
    "journal_damaged",
    "journal_failed",
    "journal_slow",
    "retention",
    "cursor_beyond_journal",
]
"""Of gaps that tickerd itself tells."""


def test_every_state_of_a_unit_is_told(operations: Any) -> None:
    told = {row[0].strip("`") for row in operations.table("States of a unit", "state")}
    assert told == set(get_args(State))


def test_every_state_of_the_kite_source_is_told(operations: Any) -> None:
    told = {row[0].strip("`") for row in operations.table("States of a unit", "it reports")}
    assert told == set(get_args(outage.State))


def test_the_file_sinks_reasons_exist(operations: Any) -> None:
    rows = operations.table("States of a unit", "reason")
    reasons = {reason for row in rows for reason in re.findall(r"`([^`]+)`", row[0])}
    assert len(reasons) > 5
    assert reasons <= set(REASONS.values())


def test_the_reasons_of_gaps_are_all_there_are(operations: Any, journal: Any) -> None:
    fields = {row[0].strip("`"): row[1] for row in operations.table("Gaps", "field")}
    upstream, own = fields["reason"].split("Our own:")
    assert re.findall(r"`(\w+)`", upstream) == sorted(get_args(outage.Reason))
    assert re.findall(r"`(\w+)`", own) == OWN_REASONS
    # tests/docs/test_journal.py compares these with the code
    assert {row[0].strip("`") for row in journal.table("Gaps", "reason")} == set(OWN_REASONS)
    named = {name for names in fields for name in re.findall(r"\w+", names)}
    assert named <= set(Gap.__struct_fields__)


def test_the_events_are_logged_somewhere(operations: Any, checkout: Path) -> None:
    files = [*(checkout / "tickerd").rglob("*.py"), *(checkout / "plugins/tickerd_plugins").rglob("*.py")]
    code = "\n".join(path.read_text(encoding="utf-8") for path in files)
    rows = operations.table("Events worth an alarm", "event")
    events = [event for row in rows for event in re.findall(r"`([a-zA-Z][^`_]*)`", row[0])]
    events += ["repeats suppressed", "log lines dropped"]
    assert len(events) > 12
    for event in events:
        assert f'"{event}"' in code or event == "state", event


def test_the_status_line_is_the_real_one(operations: Any) -> None:
    sink = SinkFigures("retrying", 7412, 3, 16_180)
    now = FeedSnapshot(
        uptime_s=3723, ticks_total=0, ticks_per_s=2000, instruments_ticking=7, instruments_wanted=7,
        last_tick_age_s=0.2, sources={"kite": "connected"}, sinks={"archive": sink}, gaps=1,
    )  # fmt: skip
    assert status_line(now) in operations.section("The status line")


def test_the_architecture_tells_how_many_records_are_kept(checkout: Path) -> None:
    assert f"up to {MAX_RECORDS:,} for one sink" in (checkout / "docs/architecture.md").read_text()
