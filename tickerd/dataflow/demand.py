"""What one source should be sending: the union, at the highest mode, of what everyone wants from it."""

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from tickerd.dataflow.changes import Changes
from tickerd.dataflow.claims import Claims
from tickerd.instruments import Namespace, Scope, SelectorBook
from tickerd.instruments.selection import in_scope
from tickerd.instruments.selectors import Selected, is_selector
from tickerd.instruments.table import is_expired
from tickerd.plugin import MODES, Instrument, InstrumentChange, Mode
from tickerd.plugin.selectors import Key, Match

YAML = "yaml"
"""Owner of what the configuration wants: where it lists an instrument, that source brings it."""
UNDERLYING: Mode = "ltp"
"""Mode of the underlyings whose price moves a window."""

_RANK = {mode: rank for rank, mode in enumerate(MODES)}


class Narrowed(NamedTuple):
    """A selector of somebody who may not see everything that it means."""

    key: str | Match
    scope: frozenset[str]

    def __str__(self) -> str:
        return str(self.key)


Wish = Key | Narrowed
Told = Callable[[Iterable[InstrumentChange]], None]
Meaning = Mapping[int, tuple[Instrument, Mode | None]]
"""Token → the instrument, and the mode that it is wanted in; None is that of the key."""


class Demand:
    """Reference-counted by owner: an instrument is wanted while anybody wants it.

    Owned by the host and kept over restarts of its source; `tickerd.plugin.Demand` is what the source sees.

    Args:
        namespace: where symbols are looked up.
        book: what selectors mean; one of its own when it is left out.
        name: of the source.
        capacity: most instruments that it can carry; None is no limit.
    """

    def __init__(
        self,
        namespace: Namespace,
        book: SelectorBook | None = None,
        *,
        name: str = "",
        capacity: int | None = None,
        claims: Claims | None = None,
        tell: Told = lambda _: None,
        closed: Callable[["Demand"], None] = lambda _: None,
    ) -> None:
        self.namespace = namespace
        self.name = name
        self.capacity = capacity
        self._book = book or SelectorBook()
        self._claims = claims or Claims()
        self.tell = tell
        self.suggestions: Mapping[str, str] = {}
        """For some of those that are unresolved, what may have been meant."""
        self._closed = closed
        self._owners: dict[str, dict[Wish, Mode]] = {}
        self._by_key: dict[Wish, dict[str, Mode]] = {}
        self._meanings: dict[Wish, Meaning] = {}
        self._by_token: dict[int, dict[Wish, None]] = {}
        """Token → the keys that mean it."""
        self._wanted: dict[int, tuple[Instrument, Mode]] = {}
        self._changes = Changes()
        self._loaded = namespace.loaded
        self._claims.enter(self)

    def close(self) -> None:
        """Stop following the instrument table."""
        self._claims.leave(self)
        self._closed(self)

    # -- what is wanted ----------------------------------------------------------------------------------

    def want(self, owner: str, wants: Mapping[Wish, Mode]) -> None:
        """Replace all that ``owner`` wants; an empty mapping releases it."""
        gone = self._owners.get(owner, {}).keys() - wants.keys()
        self.change(owner, {**dict.fromkeys(gone), **wants})

    def change(self, owner: str, changes: Mapping[Wish, Mode | None]) -> None:
        """Change some of what ``owner`` wants; None lets go of a key."""
        held = self._owners.setdefault(owner, {})
        touched = [key for key, mode in changes.items() if held.get(key) != mode]
        for key in touched:
            mode = changes[key]
            if mode is None:
                del held[key]
                self._by_key[key].pop(owner)
            else:
                held[key] = mode
                self._by_key.setdefault(key, {})[owner] = mode
        if not held:
            del self._owners[owner]
        self._claims.decide({token for key in touched for token in self._look_up(key)})

    def wanted(self) -> dict[Instrument, Mode]:
        """See `tickerd.plugin.Demand.wanted`."""
        return dict(self._wanted.values())

    def mode(self, token: int) -> Mode | None:
        """In which one is wanted; None where it is not."""
        found = self._wanted.get(token)
        return None if found is None else found[1]

    def changes(self) -> AsyncGenerator[Mapping[Instrument, Mode | None], None]:
        """See `tickerd.plugin.Demand.changes`."""
        return self._changes.follow(self._wanted)

    def of(self, owner: str) -> Mapping[Wish, Mode]:
        """What somebody wants, as it was written."""
        return self._owners.get(owner, {})

    # -- how it stands -----------------------------------------------------------------------------------

    @property
    def unresolved(self) -> tuple[str, ...]:
        """Symbols and selectors that mean nothing in the table (all of them until a dump is loaded)."""
        return tuple(str(key) for key, meaning in self._meanings.items() if not meaning)

    def owners(self, key: Key) -> list[str]:
        """Who wants this, by whatever key."""
        keys: dict[Wish, None] = dict.fromkeys((key,) if key in self._by_key else ())
        found = None if isinstance(key, Match) or is_selector(key) else self.namespace.find(key)
        if found is not None:
            keys |= self._by_token.get(found.token, {})
        return list(dict.fromkeys(owner for one in keys for owner in self._by_key[one]))

    def keys(self) -> Mapping[Wish, Mapping[str, Mode]]:
        """Every key, and who wants it in which mode."""
        return self._by_key

    def means(self, key: Wish) -> Mapping[int, Instrument]:
        """Token → instrument, for what a key stands for; underlyings are not among them."""
        meaning = self._meanings.get(key, {})
        return {token: instrument for token, (instrument, mode) in meaning.items() if mode is None}

    def asks(self, token: int) -> bool:
        """Whether anybody wants this of it."""
        return token in self._by_token

    def lists(self, token: int) -> bool:
        """Whether the YAML lists it."""
        return any(YAML in self._by_key[key] for key in self._by_token.get(token, ()))

    def carries(self, token: int) -> bool:
        """Whether it is in `wanted`."""
        return token in self._wanted

    @property
    def room(self) -> bool:
        """Whether it can carry one more."""
        return self.capacity is None or len(self._wanted) < self.capacity

    @property
    def elsewhere(self) -> list[int]:
        """Tokens that are wanted of it, and that another source brings, or none has room for."""
        return [token for token in self._by_token if token not in self._wanted]

    # -- what keys mean ----------------------------------------------------------------------------------

    def grant(self, token: int, *, granted: bool) -> None:
        """The decision of the claims, to be followed at once."""
        if granted:
            best = self._best(token)
            if self._wanted.get(token) != best:
                self.namespace.keep(best[0])
                self._wanted[token] = best
                self._changes.touch(token)
        elif self._wanted.pop(token, None) is not None:
            self._changes.touch(token)

    def flush(self) -> None:
        """Let the source see what was granted."""
        self._changes.flush()

    def look_up(self, *, selectors: bool = False) -> set[int]:
        """Look everything up again, or selectors only; every token about which is to be decided."""
        keys = [key for key in self._by_key if not selectors or _is_many(key)]
        return {token for key in keys for token in self._look_up(key)}

    def carried(self) -> dict[str, Instrument]:
        """What the source brings, by symbol."""
        return {one.symbol: one for one, _ in self._wanted.values() if one.exchange}

    # -- what is told ------------------------------------------------------------------------------------

    def is_first_table(self) -> bool:
        """Whether the table is the first that there is; asked once for each."""
        first, self._loaded = not self._loaded, self.namespace.loaded
        return first

    def missing(self) -> Iterator[InstrumentChange]:
        """Symbols and patterns that mean nothing in the table."""
        for key, meaning in self._meanings.items():
            if isinstance(key, str) and not meaning:
                yield InstrumentChange(symbol=key, change="unknown", detail="not in the dump")

    def told(self, before: Mapping[str, Instrument]) -> Iterator[InstrumentChange]:
        """What has become of what was carried; each symbol once."""
        now = self.carried()
        for symbol, instrument in before.items():
            if symbol not in now:
                if is_expired(instrument, self._book.today):
                    yield InstrumentChange(symbol=symbol, change="expired", detail=f"on {instrument.expiry}")
                elif symbol not in self.namespace.by_symbol:
                    yield InstrumentChange(symbol=symbol, change="unknown", detail="no longer in the dump")
            elif difference := _difference(instrument, now[symbol]):
                yield InstrumentChange(symbol=symbol, change="changed", detail=difference)
        for symbol in now.keys() - before.keys():
            yield InstrumentChange(symbol=symbol, change="added")

    # -- looking up --------------------------------------------------------------------------------------

    def _look_up(self, key: Wish) -> set[int]:
        """Take over what a key means now; every token that it meant or means."""
        before = self._meanings.pop(key, {})
        for token in before:
            keys = self._by_token[token]
            del keys[key]
            if not keys:
                del self._by_token[token]
        if not self._by_key.get(key):
            self._by_key.pop(key, None)
            return set(before)
        now = self._meanings[key] = self._meaning(key)
        for token in now:
            self._by_token.setdefault(token, {})[key] = None
        return {*before, *now}

    def _meaning(self, key: Wish) -> Meaning:
        if isinstance(key, Narrowed):
            selected = self._book.select(self.namespace, key.key)
            return _several(selected, key.scope)
        if is_selector(key):
            assert not isinstance(key, int)
            return _several(self._book.select(self.namespace, key), None)
        assert not isinstance(key, Match)
        found = self.namespace.find(key)
        return {} if found is None or is_expired(found, self._book.today) else {found.token: (found, None)}

    def _best(self, token: int) -> tuple[Instrument, Mode]:
        """The instrument of a token that is asked for, and the highest mode that anybody wants it in."""
        modes: list[Mode] = []
        for key in self._by_token[token]:
            instrument, mode = self._meanings[key][token]
            modes += self._by_key[key].values() if mode is None else (mode,)
        return instrument, max(modes, key=_RANK.__getitem__)


def _is_many(key: Wish) -> bool:
    return isinstance(key, Narrowed) or is_selector(key)


def _several(selected: Selected, scope: Scope) -> Meaning:
    meaning: dict[int, tuple[Instrument, Mode | None]] = {
        instrument.token: (instrument, UNDERLYING) for instrument in selected.underlyings
    }
    for instrument in selected.instruments:
        if in_scope(instrument, scope):
            meaning[instrument.token] = (instrument, None)
    return meaning


def _difference(old: Instrument, new: Instrument) -> str:
    """What is another, in words; empty when nothing is."""
    if old == new:
        return ""
    fields = (name for name in Instrument.__struct_fields__ if getattr(old, name) != getattr(new, name))
    return ", ".join(f"{name} {getattr(old, name)} -> {getattr(new, name)}" for name in fields)
