"""Metrics, and the alerts and the dashboard that are made of them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from tickerd.control.figures import ApiFigures
from tickerd.control.metrics import OPENMETRICS, exposition
from tickerd.control.routes import ROUTES
from tickerd.observe.health import Thresholds, assess
from tickerd.observe.picture import (
    JournalPicture,
    LoopPicture,
    Picture,
    RegistryPicture,
    SinkPicture,
    SourcePicture,
    Totals,
)

CONFIG = Path(__file__).parents[2] / "config"

FULL = Picture(
    version="1.2.3",
    epoch=4,
    now_ns=10**18,
    uptime_s=60.0,
    ready=True,
    ticking=3,
    sources=(
        SourcePicture(
            name="kite",
            use="kite",
            state="running",
            reported="connected",
            totals=Totals(ticks=5, records=1, batches=2, bytes=920, gaps=1),
            last_tick_age_s=0.5,
            wanted=3,
            unresolved_count=1,
            market="open",
            connections=2,
            reconnects={"reset": 2},
            surplus=3,
            silent_count=4,
            login_expires_s=90.0,
            counts={"over_capacity": 7},
        ),
        SourcePicture(name="new", use="kite", state="failed"),
    ),
    sinks=(
        SinkPicture(
            name='odd "name"\n',
            use="file",
            state="running",
            written=4,
            dropped={"slow_consumer": 6},
            queued=2,
            queued_bytes=100,
            buffer_bytes=1000,
            queue_age_s=0.1,
            lag_s=1.5,
            breaker="open",
            clients=8,
        ),
    ),
    registry=(RegistryPicture(namespace="kite", count=9, loaded_ns=5 * 10**9),),
    journal=JournalPicture(
        state="failing", written_bytes=11, lost=2, lag_s=0.01, free_bytes=100, segments=3, bytes=50
    ),
    loop=LoopPicture(p99_s=0.002, stalls=1),
)


def samples(
    picture: Picture = FULL, others: Any = ()
) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What a scraper reads."""
    text, _ = exposition(picture, assess(picture, Thresholds()), others)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("tickerd_build_info", {"version": "1.2.3"}, 1),
        ("tickerd_ready", {}, 0),
        ("tickerd_health_reason", {"component": "source.new", "problem": "down", "severity": "failing"}, 1),
        ("tickerd_ticks_total", {"source": "kite"}, 5),
        ("tickerd_received_bytes_total", {"source": "kite"}, 920),
        ("tickerd_last_tick_age_seconds", {"source": "kite"}, 0.5),
        ("tickerd_source_login_expires_seconds", {"source": "kite"}, 90),
        ("tickerd_instruments_surplus", {"source": "kite"}, 3),
        ("tickerd_instruments_silent", {"source": "kite"}, 4),
        ("tickerd_source_reconnects_total", {"source": "kite", "reason": "reset"}, 2),
        ("tickerd_source_reported", {"source": "kite", "state": "connected"}, 1),
        ("tickerd_unit_up", {"kind": "source", "unit": "new"}, 0),
        ("tickerd_unit_state", {"kind": "source", "unit": "new", "state": "failed"}, 1),
        ("tickerd_unit_events_total", {"kind": "source", "unit": "kite", "reason": "over_capacity"}, 7),
        ("tickerd_sink_dropped_total", {"sink": 'odd "name"\n', "reason": "slow_consumer"}, 6),
        ("tickerd_sink_queue_ticks", {"sink": 'odd "name"\n'}, 2),
        ("tickerd_sink_queue_age_seconds", {"sink": 'odd "name"\n'}, 0.1),
        ("tickerd_sink_breaker_open", {"sink": 'odd "name"\n'}, 1),
        ("tickerd_registry_instruments", {"namespace": "kite"}, 9),
        ("tickerd_registry_loaded_timestamp_seconds", {"namespace": "kite"}, 5),
        ("tickerd_journal_failing", {}, 1),
        ("tickerd_journal_lost_total", {}, 2),
        ("tickerd_loop_lag_seconds", {"stat": "p99"}, 0.002),
        ("tickerd_loop_stalls_total", {}, 1),
    ],
)
def test_every_figure_has_its_name(name: str, labels: dict[str, str], value: float) -> None:
    assert samples()[name, tuple(sorted(labels.items()))] == value


def test_what_is_not_known_is_left_out() -> None:
    empty = Picture(version="1", epoch=1, now_ns=0, uptime_s=0, ready=True)
    names = {name for name, _ in samples(empty)}
    assert "tickerd_ready" in names
    assert not any(name.startswith("tickerd_journal") for name in names)
    assert ("tickerd_last_tick_age_seconds", (("source", "new"),)) not in samples()


def test_openmetrics_is_spoken_to_those_who_ask_for_it() -> None:
    text, content_type = exposition(
        FULL, assess(FULL, Thresholds()), (), "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
    )
    assert content_type == OPENMETRICS
    assert text.endswith(b"# EOF\n")


def test_names_follow_the_conventions_of_prometheus() -> None:
    figures = _used_figures()
    text, _ = exposition(FULL, assess(FULL, Thresholds()), figures.collectors)
    for family in text_string_to_metric_families(text.decode()):
        assert re.fullmatch(r"(tickerd|process)_[a-z_]+", family.name), family.name
        assert family.documentation.endswith(".")
        assert not re.search(r"_(ms|milliseconds|kb|mb|minutes)$", family.name)
        if family.type == "counter":
            assert all(sample.name.endswith(("_total", "_created")) for sample in family.samples)


def _used_figures() -> ApiFigures:
    figures = ApiFigures()
    figures.answered("GET", ROUTES[0], 200, 0.001)
    figures.answered("GET", None, 404, 0.001)
    figures.auth_failed("wrong")
    figures.limited("reads")
    figures.server.turned_away["connections"] += 1
    figures.server.accepted["unix:/s"] += 1
    figures.server.refused[400] += 1
    return figures


def test_the_api_counts_itself() -> None:
    found = samples(others=_used_figures().collectors)
    labels = (("method", "GET"), ("route", "/livez"), ("status", "200"))
    assert found["tickerd_api_requests_total", labels] == 1
    assert found["tickerd_api_auth_failures_total", (("reason", "wrong"),)] == 1
    assert found["tickerd_control_turned_away_total", (("limit", "connections"),)] == 1


def known_names() -> set[str]:
    return {name for name, _ in samples(others=_used_figures().collectors)}


NAMES = re.compile(r"\b(?:tickerd|process)_[a-z_0-9]+\b")


def test_alerts_are_made_of_metrics_that_exist_and_say_what_to_do() -> None:
    rules = YAML(typ="safe").load(CONFIG / "prometheus" / "alerts.yml")["groups"][0]["rules"]
    assert len({rule["alert"] for rule in rules}) == len(rules) > 10
    for rule in rules:
        assert set(NAMES.findall(rule["expr"])) <= known_names(), rule["alert"]
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}


def test_labels_that_alerts_show_exist() -> None:
    text = (CONFIG / "prometheus" / "alerts.yml").read_text()
    labels = {name for _, pairs in samples(others=_used_figures().collectors) for name, _ in pairs}
    assert set(re.findall(r"\$labels\.(\w+)", text)) <= labels | {"instance"}


@pytest.mark.full
def test_promtool_accepts_the_alerts(need: Any) -> None:
    import subprocess

    tool = need("promtool")
    command = [tool, "check", "rules", str(CONFIG / "prometheus" / "alerts.yml")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_is_made_of_metrics_that_exist() -> None:
    dashboard = json.loads((CONFIG / "grafana" / "tickerd.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(expressions) > 20
    for expression in expressions:
        assert set(NAMES.findall(expression)) <= known_names(), expression


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    panels = json.loads((CONFIG / "grafana" / "tickerd.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
