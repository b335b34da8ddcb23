"""What the API counts of itself, as Prometheus metrics."""

from collections.abc import Iterator, Sequence
from typing import Any

from prometheus_client import Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from tickerd.control.route import Route
from tickerd.control.server import Figures

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)


class ApiFigures:
    """One per application.

    Args:
        server: figures of the server that it runs on.
    """

    def __init__(self, server: Figures | None = None) -> None:
        self.server = server or Figures()
        self._requests = Counter(
            "tickerd_api_requests",
            "Requests to the control API by route and status.",
            ["method", "route", "status"],
            registry=None,
        )
        self._seconds = Histogram(
            "tickerd_api_request_seconds",
            "From a complete head to the beginning of the answer.",
            ["route"],
            buckets=_BUCKETS,
            registry=None,
        )
        self._failures = Counter(
            "tickerd_api_auth_failures",
            "Requests turned away: wrong or missing credential, scope, host, origin.",
            ["reason"],
            registry=None,
        )
        self._limited = Counter(
            "tickerd_api_rate_limited",
            "Requests turned away by a rate limit, by its class.",
            ["rate_class"],
            registry=None,
        )

        self.collectors: Sequence[Any] = (
            self._requests,
            self._seconds,
            self._failures,
            self._limited,
            ServerCollector(self.server),
            ProcessCollector(registry=None),
        )
        """What `prometheus_client` can register."""

    def answered(self, method: str, route: Route | None, status: int, seconds: float) -> None:
        """A request has its answer. What is no route of ours shares one label: paths are of others' making."""
        path = "other" if route is None else route.path
        self._requests.labels(method if route else "other", path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def auth_failed(self, reason: str) -> None:
        """A request was turned away."""
        self._failures.labels(reason).inc()

    def limited(self, rate_class: str) -> None:
        """A request was turned away by a limit."""
        self._limited.labels(rate_class).inc()


class ServerCollector:
    """Figures of the server as metrics."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """Every metric family."""
        figures = self._figures
        text = "Connections to the control API that are open."
        yield GaugeMetricFamily("tickerd_control_connections", text, value=figures.open)
        for name, text, label, counts in (
            ("accepted", "Connections accepted.", "listener", figures.accepted),
            ("turned_away", "Connections closed at once, by limit.", "limit", figures.turned_away),
            ("refused", "Requests refused before any route saw them.", "status", figures.refused),
        ):
            family = CounterMetricFamily(f"tickerd_control_{name}", text, labels=[label])
            for value, count in counts.items():
                family.add_metric([str(value)], count)
            yield family
