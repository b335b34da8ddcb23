"""Which tick goes to which file: decided per batch where that is enough, else by one look-up per tick."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from tickerd.plugin import AnyRecord, Instrument, Tick
from tickerd.wire.day import day_name, day_number
from tickerd_plugins.file.template import Template

_DAYS = 3
"""Days whose names are remembered; more only come with old recordings."""


class Routes:
    """Groups ticks and records by the name of their file.

    Args:
        ticks: the template of ticks' files.
        records: that of control records' files.
    """

    def __init__(self, ticks: Template, records: Template) -> None:
        self._ticks = ticks
        self._records = records
        self._names: dict[int, dict[int, tuple[Instrument, str]]] = {}

    def ticks(self, ticks: Sequence[Tick], now_ns: int) -> Mapping[str, Sequence[Tick]]:
        """File names and what belongs there, in order. A tick without ``ts_recv`` counts as received now."""
        # a batch has few origins, and nearly always all of one day
        moments = {origin.ts_recv for origin in {tick.origin for tick in ticks}}
        days = {moment: day_number(moment or now_ns) for moment in moments}
        if len(set(days.values())) == 1:
            return self._one_day(days.popitem()[1], ticks)
        groups: dict[int, list[Tick]] = defaultdict(list)
        for tick in ticks:
            groups[days[tick.origin.ts_recv]].append(tick)
        return {name: some for day, part in groups.items() for name, some in self._one_day(day, part).items()}

    def records(self, records: Iterable[AnyRecord], now_ns: int) -> Mapping[str, Sequence[AnyRecord]]:
        """The same for control records."""
        groups: dict[str, list[AnyRecord]] = defaultdict(list)
        for record in records:
            groups[self._records.shared_name(day_name(day_number(record.ts_recv or now_ns)))].append(record)
        return groups

    def _one_day(self, day: int, ticks: Sequence[Tick]) -> Mapping[str, Sequence[Tick]]:
        if not self._ticks.by_instrument:
            return {self._ticks.shared_name(day_name(day)): ticks}
        known = self._known(day)
        groups: dict[str, list[Tick]] = defaultdict(list)
        for tick in ticks:
            token = tick.instrument_token
            instrument = tick.origin.instruments.get(token)
            entry = known.get(token)
            # the same object, or the token has another meaning: another source's, or reused by the broker
            if entry is None or entry[0] is not instrument:
                if instrument is None:
                    groups[self._unlisted(day, tick)].append(tick)
                    continue
                entry = known[token] = (instrument, self._ticks.name(day_name(day), instrument.symbol, token))
            groups[entry[1]].append(tick)
        return groups

    def _unlisted(self, day: int, tick: Tick) -> str:
        """No dump names it, but a row of plain values may carry its symbol itself."""
        return self._ticks.name(day_name(day), tick.row.symbol, tick.instrument_token)

    def _known(self, day: int) -> dict[int, tuple[Instrument, str]]:
        known = self._names.get(day)
        if known is None:
            while len(self._names) >= _DAYS:
                del self._names[min(self._names)]
            known = self._names[day] = {}
        return known
