"""Whether the clock of this machine agrees with the broker's."""

from tickerd.plugin import SourceContext

MOST_OFF_S = 60.0
"""A clock that is further from the broker's is told."""


class Clocks:
    """Compares the times that the broker's answers carry with ours. One run of the source."""

    def __init__(self, ctx: SourceContext) -> None:
        self._ctx = ctx
        self.ahead_s: float | None = None
        """How far ours is ahead of the broker's; None before the first answer."""

    def said(self, broker_s: float) -> None:
        """The broker says that it is so many seconds since 1970 UTC."""
        self._compare(self._ctx.clock.now_ns() / 1e9 - broker_s)

    def host_is_ahead(self, seconds: float) -> None:
        """Another process found the host's clock to be so far ahead; ours stays with what that was at the start."""
        self._compare(seconds - self._ctx.clock.skew_s())

    def _compare(self, ahead_s: float) -> None:
        """Tell, once, when they are too far apart."""
        before, self.ahead_s = self.ahead_s, ahead_s
        if abs(ahead_s) > MOST_OFF_S and (before is None or abs(before) <= MOST_OFF_S):
            self._ctx.count("clock_wrong")
            self._ctx.log.warning("the clock is wrong, by the broker's", ahead_s=round(ahead_s))
