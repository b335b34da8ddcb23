"""Among the sources of one namespace: decides which one brings an instrument, so that exactly one does."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from tickerd.dataflow.assign import Seat, assign_source
from tickerd.plugin import Instrument, InstrumentChange

if TYPE_CHECKING:
    from tickerd.dataflow.demand import Demand


class Claims:
    """The demands of one namespace. What becomes of all of them at once is looked up first and decided then."""

    def __init__(self) -> None:
        self.demands: list[Demand] = []
        self._refused: dict[int, None] = {}
        """Tokens that somebody asks for and nobody has room for."""

    def enter(self, demand: "Demand") -> None:
        """One more source."""
        if not self.demands:
            demand.namespace.on_load(self.reload)
        self.demands.append(demand)

    def leave(self, demand: "Demand") -> None:
        """A source has gone: what it brought is asked of those that are left."""
        self.demands.remove(demand)
        if not self.demands:
            demand.namespace.forget(self.reload)
        self.decide([instrument.token for instrument in demand.wanted()])

    # -- what happens to all of them ---------------------------------------------------------------------

    def reload(self) -> None:
        """Another table: tell what that changed."""
        before = {demand: demand.carried() for demand in self.demands}
        first = {demand for demand in self.demands if demand.is_first_table()}
        self._look_up(lambda demand: demand.look_up())
        for demand, carried in before.items():
            demand.tell(demand.missing() if demand in first else demand.told(carried))

    def turn_day(self) -> None:
        """Another day: tell what has expired."""
        before = {demand: demand.carried() for demand in self.demands}
        self._look_up(lambda demand: demand.look_up())
        for demand, carried in before.items():
            demand.tell(_expired(demand.told(carried)))

    def follow_prices(self) -> None:
        """Prices have moved: windows that move with them are not told."""
        self._look_up(lambda demand: demand.look_up(selectors=True))

    def _look_up(self, how: "Callable[[Demand], set[int]]") -> None:
        self.decide({token for demand in self.demands for token in how(demand)})

    # -- deciding ----------------------------------------------------------------------------------------

    def decide(self, tokens: Iterable[int]) -> None:
        """Somebody wants these, or no longer; what waits for room is looked at again where some was made."""
        freed = False
        for token in tokens:
            freed |= self._decide(token)
        if freed and self._refused and any(demand.room for demand in self.demands):
            for token in list(self._refused):
                self._decide(token)
        for demand in self.demands:
            demand.flush()

    def _decide(self, token: int) -> bool:
        """Decide on one token; whether a source carries one less."""
        if len(self.demands) == 1:
            return self._decide_alone(self.demands[0], token)
        asked = [demand for demand in self.demands if demand.asks(token)]
        before = next((demand for demand in self.demands if demand.carries(token)), None)
        seats = [Seat(str(n), d.lists(token), d.carries(token), d.room) for n, d in enumerate(asked)]
        place = assign_source(seats)
        chosen = None if place is None else asked[int(place)]
        for demand in self.demands:
            if demand is not chosen:
                demand.grant(token, granted=False)
        if chosen is not None:
            chosen.grant(token, granted=True)
        self._note(token, refused=chosen is None and bool(asked))
        return before is not None and before is not chosen

    def _decide_alone(self, demand: "Demand", token: int) -> bool:
        """The same, quickly, where there is no choice of sources."""
        carried, asked = demand.carries(token), demand.asks(token)
        granted = asked and (carried or demand.room or demand.lists(token))
        demand.grant(token, granted=granted)
        self._note(token, refused=asked and not granted)
        return carried and not granted

    def _note(self, token: int, *, refused: bool) -> None:
        if refused:
            self._refused[token] = None
        else:
            self._refused.pop(token, None)


Carried = Mapping[str, Instrument]
"""Symbol → instrument, for what a source brings."""


def _expired(changes: Iterable[InstrumentChange]) -> Iterable[InstrumentChange]:
    return (change for change in changes if change.change == "expired")
