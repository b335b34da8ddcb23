"""Watches for instruments that should tick and do not, and tells once when that begins and when it ends."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import islice

import structlog
import trio

from tickerd.calendar import Calendar
from tickerd.dataflow.hub import Hub
from tickerd.dataflow.silence import LIQUID_S, News, Scene, Silence, Since
from tickerd.observe.health import ILL
from tickerd.observe.picture import Silent
from tickerd.plugin import Clock
from tickerd.runtime.units import SourceUnit
from tickerd.wire.day import day_of

LOOK_S = 5.0
"""Between two looks."""
AT_ONCE = 500
"""Instruments that are looked at before other tasks have their turn."""
_NAMED = 10


class Silences:
    """One for the daemon; what is found stands in the picture of each source.

    Args:
        sources: those that are configured now.
        calendar: the one in force.
    """

    def __init__(
        self,
        sources: Callable[[], Sequence[SourceUnit]],
        hub: Hub,
        calendar: Callable[[], Calendar],
        clock: Clock,
    ) -> None:
        self._sources = sources
        self._hub = hub
        self._calendar = calendar
        self._clock = clock
        self._by_source: dict[str, Silence] = {}

    def of(self, source: str) -> tuple[Silent, ...]:
        """The instruments of a source that should have ticked."""
        found = self._by_source.get(source)
        return () if found is None else found.silent

    async def run(self) -> None:
        """Look every few seconds until cancelled."""
        while True:
            await self.look()
            await trio.sleep(LOOK_S)

    async def look(self) -> None:
        """Look at every source that runs."""
        units = {unit.settings.name: unit for unit in self._sources() if unit.state == "running"}
        for gone in self._by_source.keys() - units.keys():
            del self._by_source[gone]
        for name, unit in units.items():
            await self._look_at(unit, self._by_source.setdefault(name, Silence()))

    async def _look_at(self, unit: SourceUnit, silence: Silence) -> None:
        now_ns = self._clock.now_ns()
        wanted = unit.demand.wanted()
        silence.forget(instrument.token for instrument in wanted)
        scene = Scene(
            trading_at(self._calendar(), now_ns), lambda number: fed_since(unit, number), self._hub.heard
        )
        left = iter(wanted)
        begun: list[Silent] = []
        ended: list[str] = []
        while part := tuple(islice(left, AT_ONCE)):
            news = silence.look(now_ns, part, scene)
            begun += news.begun
            ended += news.ended
            await trio.lowlevel.checkpoint()
        self._tell(unit, News(tuple(begun), tuple(ended)))

    def _tell(self, unit: SourceUnit, news: News) -> None:
        log = structlog.get_logger().bind(unit=unit.name)
        for liquid in (True, False):
            found = [one for one in news.begun if (one.limit_s <= LIQUID_S) == liquid]
            if found:
                tell = log.warning if liquid else log.info
                names = [one.instrument for one in found[:_NAMED]]
                tell("instruments do not tick", count=len(found), limit_s=found[0].limit_s, instruments=names)
        if news.ended:
            log.info("instruments tick again", count=len(news.ended), instruments=list(news.ended[:_NAMED]))


def trading_at(calendar: Calendar, now_ns: int) -> Callable[[str], Since]:
    """Tells since when an exchange has traded continuously at this moment; asks once for each exchange."""

    @lru_cache(maxsize=64)
    def trading(exchange: str) -> Since:
        for session in calendar.hours(exchange, day_of(now_ns)).sessions:
            # in the closing auction few instruments trade
            if session.open_ns <= now_ns < (session.auction_ns or session.close_ns):
                return session.open_ns
        return None

    return trading


def fed_since(unit: SourceUnit, number: int | None) -> Since:
    """Since when a connection of the source has been up, as far as the source says; None while it is not.

    Args:
        unit: the source.
        number: of the connection; None is one that is not known, so that all of them must be up.
    """
    facts = unit.report.facts
    connections = facts.get("by_connection")
    if not connections:
        return None if unit.report.state in ILL else 0
    if number is None and facts.get("surplus"):
        return None  # it may be one of those that are left out
    used = [one for one in connections if one["state"] != "idle" and number in (None, one["connection"])]
    if not used or any(one["state"] != "connected" for one in used):
        return None
    return max(int(one["since_ns"]) for one in used)
