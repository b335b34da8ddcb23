"""Who wants which instruments, and which source brings them: the one place through which everybody asks."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Literal, NamedTuple, TypeVar

import trio

from tickerd.dataflow.claims import Claims
from tickerd.dataflow.demand import Demand, Narrowed, Wish
from tickerd.instruments import InstrumentTable, Namespace, Scope, Selection, SelectorBook, suggest
from tickerd.instruments.selection import in_scope, resolve
from tickerd.instruments.selectors import is_selector
from tickerd.plugin import Instrument, InstrumentChange, Mode
from tickerd.plugin.selectors import SYMBOL, Key

GRACE_S = 30.0
"""What a consumer wanted is kept for so long after it has gone: it may come back."""
LOOK_EVERY_S = 1.0
"""How often prices, the day and who has gone are looked at."""
MOST_TOLD = 200
"""Records of single instruments that one new table makes for one source; a summary follows."""
MOST_ADVISED = 10
"""Suggestions in one answer."""
_LONGEST_SHOWN = 100

_SYMBOL = re.compile(SYMBOL)

Code = Literal["unknown_symbol", "over_capacity", "unknown_source", "no_source"]
_AnyKey = TypeVar("_AnyKey", bound=Key)
Publish = Callable[[Sequence[InstrumentChange]], None]


@dataclass(frozen=True, slots=True)
class Refused:
    """One key that is not wanted, and why."""

    item: Key
    code: Code
    detail: str
    suggestion: str | None = None
    """What may have been meant."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What has become of each key."""

    accepted: Mapping[Key, str | None] = field(default_factory=dict)
    """Key → the source that brings it; None while it waits for the instrument dump."""
    rejected: tuple[Refused, ...] = ()
    partial: Mapping[Key, int] = field(default_factory=dict)
    """Selectors of which so many instruments are left out, because no source has room."""


class _Home(NamedTuple):
    """Where one key of somebody is asked for."""

    asked: Wish
    where: tuple[Demand, ...]
    mode: Mode
    source: str | None
    scope: Scope


class Shown(NamedTuple):
    """One key as status and the API show it."""

    source: str
    key: Wish
    instruments: int
    """How many it means at present."""
    owners: Mapping[str, Mode]


class Wants:
    """Made with the house; everything here happens on the loop and returns at once, but for `run` and `advise`.

    Args:
        table: the instruments.
        book: what selectors mean.
        publish: takes records of what a new table or day changed; must not wait.
        swapped: told of each namespace that has another table.
    """

    def __init__(
        self,
        table: InstrumentTable,
        book: SelectorBook | None = None,
        publish: Publish = lambda _: None,
        swapped: Callable[[Namespace], None] = lambda _: None,
    ) -> None:
        self.table = table
        self.book = book or SelectorBook()
        self._publish = publish
        self._swapped = swapped
        self._demands: list[Demand] = []
        self._claims: dict[str, Claims] = {}
        self._followed: set[Namespace] = set()
        self._homes: dict[str, dict[Key, _Home]] = {}
        """Owner → what it wants."""
        self._advised: tuple[int, tuple[str, ...]] = (0, ())
        self._leaving: dict[str, float] = {}
        """Owner → when what it wanted is let go."""

    # -- sources -----------------------------------------------------------------------------------------

    def join(self, name: str, namespace: Namespace, capacity: int | None = None) -> Demand:
        """The demand of one more source; it leaves when that is closed."""
        claims = self._claims.setdefault(namespace.name, Claims())
        demand = Demand(
            namespace,
            self.book,
            name=name,
            capacity=capacity,
            claims=claims,
            tell=partial(self._tell, name),
            closed=self._leave,
        )
        if namespace not in self._followed:
            self._followed.add(namespace)
            namespace.on_load(partial(self._loaded, namespace))
        self._demands.append(demand)
        self._rehome()
        return demand

    def _leave(self, demand: Demand) -> None:
        """A source has gone, and what others wanted of it is asked of those that are left."""
        self._demands.remove(demand)
        self._rehome()

    def _loaded(self, namespace: Namespace) -> None:
        """A table is another: what one does not know, the next one may."""
        self._swapped(namespace)
        if len(self._claims) > 1:
            self._rehome()

    def _rehome(self) -> None:
        """A source or table is another: ask those for everything that can bring it now."""
        for owner, homes in self._homes.items():
            for key, home in homes.items():
                found = self._home(key, home.source, home.scope)
                where = (
                    tuple(d for d in home.where if d in self._demands)
                    if isinstance(found, Refused)
                    else found
                )
                if where != home.where:
                    for demand in home.where:
                        if demand not in where:
                            demand.change(owner, {home.asked: None})
                    for demand in where:
                        demand.change(owner, {home.asked: home.mode})
                    homes[key] = home._replace(where=where)

    # -- wanting -----------------------------------------------------------------------------------------

    def want(
        self, owner: str, wants: Mapping[_AnyKey, Mode], source: str | None = None, scope: Scope = None
    ) -> Answer:
        """Replace all that somebody wants; see `change`."""
        gone = self._homes.get(owner, {}).keys() - wants.keys()
        changes: dict[Key, Mode | None] = dict.fromkeys(gone)
        changes.update(wants.items())
        return self.change(owner, changes, source, scope)

    def change(
        self,
        owner: str,
        changes: Mapping[_AnyKey, Mode | None],
        source: str | None = None,
        scope: Scope = None,
    ) -> Answer:
        """Want some more, in another mode, or no longer.

        Args:
            owner: who; unique for each consumer.
            changes: key → mode, or None to let go of it at once.
            source: the one that shall bring it; None leaves it to `assign_source`.
            scope: exchanges and symbols that selectors may mean (`Principal.instruments`); the caller has
                looked at plain symbols and tokens himself.
        """
        self._leaving.pop(owner, None)
        homes = self._homes.setdefault(owner, {})
        batches: dict[Demand, dict[Wish, Mode | None]] = {}
        refused: list[Refused] = []
        for key, mode in changes.items():
            before = homes.pop(key, None)
            if before is not None:
                for demand in before.where:
                    batches.setdefault(demand, {})[before.asked] = None
            if mode is None:
                continue
            where = self._home(key, source, scope)
            if isinstance(where, Refused):
                refused.append(where)
                continue
            home = homes[key] = _Home(_narrowed(key, scope), where, mode, source, scope)
            for demand in where:
                batches.setdefault(demand, {})[home.asked] = mode
        for demand, batch in batches.items():
            demand.change(owner, batch)
        answer = self._answer(owner, [key for key in changes if key in homes], refused)
        if not homes:
            del self._homes[owner]
        return answer

    def release(self, owner: str, grace: float = GRACE_S) -> None:
        """Somebody has gone: let go of all that it wants, unless it is back within so many seconds."""
        if owner in self._homes:
            self._leaving[owner] = trio.current_time() + grace

    def drop(self, owner: str) -> None:
        """Let go of all that somebody wants, at once."""
        self.change(owner, dict.fromkeys(self._homes.get(owner, {})))

    def _home(self, key: Key, source: str | None, scope: Scope) -> "tuple[Demand, ...] | Refused":
        """The sources that may bring it: those of one namespace."""
        demands = [one for one in self._demands if source is None or one.name == source]
        if not demands:
            if source is None:
                return Refused(key, "no_source", "no source is running")
            return Refused(key, "unknown_source", f"there is no source {source[:_LONGEST_SHOWN]!r}")
        spaces = list(dict.fromkeys(one.namespace for one in demands))
        knowing = [space for space in spaces if self._knows(space, key, scope)]
        if len(knowing) > 1:
            knowing = [
                one.namespace for one in demands if one.namespace in knowing and one.owners(key)
            ] + knowing
        loading = [space for space in spaces if not space.loaded]
        space = next(iter(knowing + loading), spaces[0] if isinstance(key, int) else None)
        if space is None:
            what = "nothing fits it" if is_selector(key) else "no source knows it"
            return Refused(key, "unknown_symbol", f"{_short(key)}: {what}")
        return tuple(one for one in demands if one.namespace is space)

    def _knows(self, space: Namespace, key: Key, scope: Scope) -> bool:
        if isinstance(key, int):
            return space.get(key) is not None
        if not is_selector(key):
            return bool(resolve(space, self.book, key))
        selected = self.book.select(space, key)
        return bool(selected.waiting) or any(in_scope(one, scope) for one in selected.instruments)

    def _answer(self, owner: str, keys: Iterable[Key], refused: list[Refused]) -> Answer:
        """What has become of these; those that no source has room for are let go."""
        accepted: dict[Key, str | None] = {}
        partial: dict[Key, int] = {}
        homes = self._homes[owner]
        for key in keys:
            home = homes[key]
            tokens = {token for demand in home.where for token in demand.means(home.asked)}
            carriers = {
                token: demand.name for demand in home.where for token in tokens if demand.carries(token)
            }
            if tokens and not carriers:
                del homes[key]
                for demand in home.where:
                    demand.change(owner, {home.asked: None})
                limits = ", ".join(f"{demand.name} carries {demand.capacity}" for demand in home.where)
                refused.append(Refused(key, "over_capacity", f"{_short(key)}: no source has room ({limits})"))
                continue
            accepted[key] = next(iter(carriers.values()), None)
            if len(carriers) < len(tokens):
                partial[key] = len(tokens) - len(carriers)
        return Answer(accepted, tuple(refused), partial)

    # -- how it stands -----------------------------------------------------------------------------------

    def owners(self) -> list[str]:
        """Everybody who wants anything, but the YAML."""
        return list(self._homes)

    def of(self, owner: str) -> dict[Key, Mode]:
        """What somebody wants, as it was asked for."""
        return {key: home.mode for key, home in self._homes.get(owner, {}).items()}

    def means(self, owner: str) -> dict[Instrument, Mode]:
        """What that stands for at present, as far as a source brings it."""
        found: dict[Instrument, Mode] = {}
        for home in self._homes.get(owner, {}).values():
            for demand in home.where:
                for token, instrument in demand.means(home.asked).items():
                    if demand.carries(token):
                        found[instrument] = home.mode
        return found

    def shown(self) -> Iterator[Shown]:
        """Every key of every source."""
        for demand in self._demands:
            for key, owners in demand.keys().items():
                yield Shown(demand.name, key, len(demand.means(key)), owners)

    def selection(self, keys: Iterable[Key], scope: Scope = None) -> Selection:
        """The tokens that keys stand for, kept up to date: what a consumer filters ticks by."""
        return Selection(self.table, self.book, keys, scope)

    async def advise(self, rejected: Sequence[Refused]) -> tuple[Refused, ...]:
        """The same with suggestions for misspelt symbols, as far as they are few. In a thread."""
        spaces = [space.by_symbol for space in self.table.namespaces()]
        return await trio.to_thread.run_sync(_advised, rejected, spaces, abandon_on_cancel=True)

    # -- time passes -------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow the day and the prices, and let go of what those wanted who have gone; until cancelled."""
        while True:
            await trio.sleep(LOOK_EVERY_S)
            self.look()
            await self._suggest()

    async def _suggest(self) -> None:
        """Look for what was meant by symbols that are unknown, when they or the tables are others. In a thread."""
        unknown = [key for demand in self._demands if demand.namespace.loaded for key in demand.unresolved]
        first = tuple(dict.fromkeys(key for key in unknown if _SYMBOL.fullmatch(key)))[:MOST_ADVISED]
        if (self.table.version, first) == self._advised:
            return
        self._advised = (self.table.version, first)
        refused = [Refused(symbol, "unknown_symbol", "") for symbol in first]
        advised = await self.advise(refused) if refused else ()
        near = {str(one.item): one.suggestion for one in advised if one.suggestion}
        for demand in self._demands:
            demand.suggestions = near

    def look(self) -> None:
        """One look."""
        now = trio.current_time()
        for owner in [owner for owner, due in self._leaving.items() if due <= now]:
            self.drop(owner)
        if self.book.turn():
            for space in self.table.namespaces():
                space.retire(self.book.today)
            for claims in self._claims.values():
                claims.turn_day()
        if self.book.follow():
            for claims in self._claims.values():
                claims.follow_prices()

    def _tell(self, source: str, changes: Iterable[InstrumentChange]) -> None:
        """Publish what changed: one by one as far as it is little, and the rest as a number."""
        rest = iter(changes)
        records = list(islice(rest, MOST_TOLD))
        if more := sum(1 for _ in rest):
            records.append(InstrumentChange(symbol="*", change="changed", detail=f"and {more} more"))
        for record in records:
            record.source = source
        if records:
            self._publish(records)


def _narrowed(key: Key, scope: Scope) -> Wish:
    """A selector means only what may be seen."""
    return (
        Narrowed(key, scope) if scope is not None and not isinstance(key, int) and is_selector(key) else key
    )


def _short(key: Key) -> str:
    return repr(str(key)[:_LONGEST_SHOWN])


def _advised(refused: Sequence[Refused], spaces: Sequence[Mapping[str, Instrument]]) -> tuple[Refused, ...]:
    advised: list[Refused] = []
    looked = 0
    for one in refused:
        near = None
        if one.code == "unknown_symbol" and isinstance(one.item, str) and not is_selector(one.item):
            looked += 1
            if looked <= MOST_ADVISED:
                near = next(filter(None, (suggest(one.item, space) for space in spaces)), None)
        advised.append(Refused(one.item, one.code, one.detail, near))
    return tuple(advised)
