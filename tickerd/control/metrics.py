"""A picture of the daemon as Prometheus metrics; made when somebody asks, so that it costs nothing per tick."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics

from tickerd.observe.health import UP, Health
from tickerd.observe.picture import Picture, SinkPicture, SourcePicture

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

Row = tuple[Sequence[str], float]
"""Values of the labels, and the figure."""


class PictureCollector:
    """What `prometheus_client` asks for metrics.

    Args:
        picture: taken a moment ago.
        health: how it was judged.
    """

    def __init__(self, picture: Picture, health: Health) -> None:
        self._picture = picture
        self._health = health

    def collect(self) -> Iterator[Metric]:
        """Every metric family."""
        picture = self._picture
        yield InfoMetricFamily("tickerd_build", "What is running.", {"version": picture.version})
        yield from _house(picture, self._health)
        yield from _units(picture)
        yield from _sources(picture.sources)
        yield from _sinks(picture.sinks)
        yield from _instruments(picture)
        yield from _journal(picture)


def exposition(
    picture: Picture, health: Health, others: Sequence[Any], accept: str = ""
) -> tuple[bytes, str]:
    """The metrics as text, and its content type.

    Args:
        others: further collectors.
        accept: the scraper's header; OpenMetrics where it is named.
    """
    registry = CollectorRegistry(auto_describe=False)
    for collector in (PictureCollector(picture, health), *others):
        registry.register(collector)
    if "application/openmetrics-text" in accept:
        return openmetrics.generate_latest(registry), OPENMETRICS  # type: ignore[no-untyped-call]
    return generate_latest(registry), TEXT


def _gauge(name: str, text: str, labels: Sequence[str], rows: Iterable[Row]) -> Metric:
    return _family(GaugeMetricFamily(f"tickerd_{name}", text, labels=labels), rows)


def _counter(name: str, text: str, labels: Sequence[str], rows: Iterable[Row]) -> Metric:
    return _family(CounterMetricFamily(f"tickerd_{name}", text, labels=labels), rows)


def _family(family: Any, rows: Iterable[Row]) -> Metric:
    for values, figure in rows:
        family.add_metric([str(value) for value in values], figure)
    metric: Metric = family
    return metric


def _one(value: float | None) -> list[Row]:
    return [] if value is None else [((), value)]


def _house(picture: Picture, health: Health) -> Iterator[Metric]:
    yield _gauge("ready", "Whether ticks flow as they should.", (), _one(health.ready))
    yield _gauge(
        "health_reason",
        "What is wrong now, one for each reason.",
        ("component", "problem", "severity"),
        # several instruments may share a reason
        {(reason.component, reason.problem, reason.severity): 1.0 for reason in health.reasons}.items(),
    )
    yield _gauge("uptime_seconds", "Since the start.", (), _one(picture.uptime_s))
    yield _gauge("epoch", "Grows by one at each start.", (), _one(picture.epoch))
    yield _gauge("clock_skew_seconds", "Host's clock minus ours.", (), _one(picture.clock_skew_s))
    yield _gauge(
        "loop_lag_seconds",
        "How late the event loop wakes tasks, over two minutes.",
        ("stat",),
        [
            (("last",), picture.loop.last_s),
            (("p99",), picture.loop.p99_s),
            (("max",), picture.loop.max_s),
        ],
    )
    yield _counter("loop_stalls", "Times the event loop stood still.", (), _one(picture.loop.stalls))
    yield _gauge("config_generation", "Reloads applied, plus one.", (), _one(picture.config.generation))
    failed = picture.config.reload_failed
    yield _gauge("config_reload_failed", "Whether the last reload was refused.", (), _one(failed))


def _units(picture: Picture) -> Iterator[Metric]:
    units = [
        *(("source", unit.name, unit) for unit in picture.sources),
        *(("sink", unit.name, unit) for unit in picture.sinks),
    ]
    names = ("kind", "unit")
    rows: list[Row] = [((kind, name), unit.state in UP) for kind, name, unit in units]
    yield _gauge("unit_up", "Whether a source or sink runs.", names, rows)
    rows = [((kind, name, unit.state), 1) for kind, name, unit in units]
    yield _gauge("unit_state", "The state of a source or sink.", (*names, "state"), rows)
    rows = [((kind, name), unit.restarts) for kind, name, unit in units]
    yield _counter("unit_restarts", "Restarts after a failure.", names, rows)
    rows = [((kind, name, why), count) for kind, name, unit in units for why, count in unit.counts.items()]
    yield _counter("unit_events", "What a plugin counts.", (*names, "reason"), rows)


def _sources(sources: Sequence[SourcePicture]) -> Iterator[Metric]:
    for name, text, attribute in (
        ("ticks", "Ticks received.", "ticks"),
        ("records", "Control records published.", "records"),
        ("reads", "Network reads that brought something.", "batches"),
        ("received_bytes", "Bytes of the broker's frames.", "bytes"),
        ("gaps", "Gaps in the feed.", "gaps"),
    ):
        rows: list[Row] = [((source.name,), getattr(source.totals, attribute)) for source in sources]
        yield _counter(name, text, ("source",), rows)
    rows = [
        ((source.name,), source.last_tick_age_s) for source in sources if source.last_tick_age_s is not None
    ]
    yield _gauge("last_tick_age_seconds", "Since the newest tick.", ("source",), rows)
    rows = [((source.name,), source.market == "open") for source in sources]
    yield _gauge("market_open", "Whether any exchange wanted trades, as far as known.", ("source",), rows)
    rows = [((source.name, source.reported), 1) for source in sources if source.reported]
    yield _gauge("source_reported", "What a source says of itself.", ("source", "state"), rows)
    rows = [((source.name,), source.connections) for source in sources if source.connections is not None]
    yield _gauge("source_connections", "Connections to the broker.", ("source",), rows)
    rows = [
        ((source.name, reason), count) for source in sources for reason, count in source.reconnects.items()
    ]
    yield _counter("source_reconnects", "Lost connections by reason.", ("source", "reason"), rows)
    rows = [
        ((source.name,), source.login_expires_s) for source in sources if source.login_expires_s is not None
    ]
    yield _gauge("source_login_expires_seconds", "Until the login with the broker ends.", ("source",), rows)
    rows = [((source.name,), source.surplus) for source in sources]
    yield _gauge("instruments_surplus", "Wanted, and more than the source can carry.", ("source",), rows)
    rows = [((source.name,), source.wanted) for source in sources]
    yield _gauge("instruments_wanted", "Instruments that anybody wants.", ("source",), rows)
    rows = [((source.name,), source.silent_count) for source in sources]
    yield _gauge("instruments_silent", "Wanted, and should have ticked.", ("source",), rows)
    rows = [((source.name,), source.unresolved_count) for source in sources]
    yield _gauge("instruments_unresolved", "Wanted, and not in the broker's list.", ("source",), rows)


def _sinks(sinks: Sequence[SinkPicture]) -> Iterator[Metric]:
    for name, text, attribute in (
        ("sink_written", "Ticks and records that a sink took.", "written"),
        ("sink_batches", "Batches that a sink took.", "batches"),
        ("sink_retries", "Batches offered again.", "retries"),
        ("sink_rejected", "Ticks and records refused for good.", "rejected"),
        ("sink_merged", "Ticks that newer ones took the place of.", "merged"),
    ):
        rows: list[Row] = [((sink.name,), getattr(sink, attribute)) for sink in sinks]
        yield _counter(name, text, ("sink",), rows)
    rows = [((sink.name, reason), count) for sink in sinks for reason, count in sink.dropped.items()]
    yield _counter("sink_dropped", "Ticks and records lost, by reason.", ("sink", "reason"), rows)
    for name, text, attribute in (
        ("sink_queue_ticks", "Ticks that wait.", "queued"),
        ("sink_queue_bytes", "Bytes that wait.", "queued_bytes"),
        ("sink_queue_limit_bytes", "Most that may wait.", "buffer_bytes"),
        ("sink_queue_age_seconds", "Age of the oldest that waits.", "queue_age_s"),
        ("sink_lag_seconds", "How far a durable sink is behind.", "lag_s"),
        ("sink_dead_letters", "Dead letters that wait for somebody.", "dead_letters"),
        ("sink_clients", "Clients connected.", "clients"),
    ):
        rows = [((sink.name,), value) for sink in sinks if (value := getattr(sink, attribute)) is not None]
        yield _gauge(name, text, ("sink",), rows)
    rows = [((sink.name,), sink.breaker == "open") for sink in sinks if sink.breaker is not None]
    yield _gauge("sink_breaker_open", "Whether deliveries are held back.", ("sink",), rows)


def _instruments(picture: Picture) -> Iterator[Metric]:
    yield _gauge("instruments_ticking", "Instruments that have ticked.", (), _one(picture.ticking))
    rows: list[Row] = [((registry.namespace,), registry.count) for registry in picture.registry]
    yield _gauge("registry_instruments", "Instruments in the broker's list.", ("namespace",), rows)
    rows = [
        ((registry.namespace,), registry.loaded_ns / 1e9)
        for registry in picture.registry
        if registry.loaded_ns is not None
    ]
    text = "When the broker's list was last loaded."
    yield _gauge("registry_loaded_timestamp_seconds", text, ("namespace",), rows)


def _journal(picture: Picture) -> Iterator[Metric]:
    journal = picture.journal
    if journal.state == "off":
        return
    yield _gauge("journal_failing", "Whether the disk refuses.", (), _one(journal.state == "failing"))
    yield _counter("journal_written_bytes", "Bytes written.", (), _one(journal.written_bytes))
    yield _counter("journal_written_batches", "Batches written.", (), _one(journal.written_batches))
    yield _counter("journal_lost", "Ticks and records the disk did not take.", (), _one(journal.lost))
    yield _gauge("journal_queue_bytes", "Bytes that wait for the disk.", (), _one(journal.queued_bytes))
    yield _gauge("journal_lag_seconds", "Between a record and its file.", (), _one(journal.lag_s))
    yield _gauge("journal_segments", "Files.", (), _one(journal.segments))
    yield _gauge("journal_disk_bytes", "Size of all files.", (), _one(journal.bytes))
    yield _gauge("journal_free_bytes", "Free on its file system.", (), _one(journal.free_bytes))
