"""The gcra rate limiter: exact waits from one number for each caller."""

from tickerd.plugin import hookimpl
from tickerd_plugins.gcra.limiter import Gcra

TICKERD_API = 0

__all__ = ["TICKERD_API", "Gcra", "tickerd_rate_limiters"]


@hookimpl
def tickerd_rate_limiters() -> type[Gcra]:
    """The rate limiter type of this plugin."""
    return Gcra
