"""The installed plugins, as the compiler sees them."""

from collections.abc import Sequence
from typing import Protocol

from tickerd.plugin import Authenticator, RateLimiter, ServingSink, Sink, Source


class PluginTypes(Protocol):
    """Each method but `names` raises `tickerd.config.problem.PluginProblem`."""

    def source(self, name: str) -> type[Source]:
        """The source type of that plugin."""
        ...

    def sink(self, name: str) -> type[Sink] | type[ServingSink]:
        """The sink type of that plugin."""
        ...

    def authenticator(self, name: str) -> type[Authenticator]:
        """The authenticator type of that plugin."""
        ...

    def rate_limiter(self, name: str) -> type[RateLimiter]:
        """The rate limiter type of that plugin."""
        ...

    def extension(self, name: str) -> None:
        """Load a plugin that only observes."""
        ...

    def names(self, kind: str) -> Sequence[str]:
        """Plugins that may have a type of this kind: ``source``, ``sink``, ``authenticator``, ``rate_limiter``."""
        ...
