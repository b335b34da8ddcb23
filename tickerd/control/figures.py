"""What the API counts of itself, as Prometheus metrics of one registry."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from tickerd.control.route import Route

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)


class ApiFigures:
    """One per application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "tickerd_api_requests",
            "Requests to the control API by route and status.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "tickerd_api_request_seconds",
            "From a complete head to the beginning of the answer.",
            ["route"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._failures = Counter(
            "tickerd_api_auth_failures",
            "Requests turned away: wrong or missing credential, scope, host, origin.",
            ["reason"],
            registry=self.registry,
        )
        self._limited = Counter(
            "tickerd_api_rate_limited",
            "Requests turned away by a rate limit, by its class.",
            ["rate_class"],
            registry=self.registry,
        )

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
