"""Instruments that somebody wants by the control API: kept in the state file, and wanted again after a restart."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from sqlite3 import Connection
from typing import Any

import structlog
import trio

from tickerd.control.steering import Accepted, Refused, Rejected, SubscriptionsChanged
from tickerd.dataflow import wants
from tickerd.instruments import Scope
from tickerd.instruments.selectors import is_selector
from tickerd.plugin import Mode, Principal
from tickerd.plugin.selectors import parse_key
from tickerd.runtime.house import House
from tickerd.state import audit, runtime
from tickerd.state.keys import By

NAMESPACE = "subscriptions"
"""In `tickerd.state.runtime`: owner → a list of rows."""
PREFIX = "api:"
"""Before the owner's name where everybody who wants something is listed."""
MOST = 10_000
"""Instruments and selectors of one owner."""
MOST_OWNERS = 1000
_LONGEST_TOKEN = 10
_LONGEST_TRAIL = 1000
"""Instruments that one line of the audit trail names."""


@dataclass(frozen=True)
class Kept:
    """How one instrument is wanted."""

    mode: Mode
    source: str | None = None
    scope: Scope = None
    """What the one who asked may see, for a selector."""


Keeping = dict[str, Kept]
"""By the text that was asked for."""


class Subscriptions:
    """One change at a time; each is in force and in the state file, or neither.

    Args:
        house: what units share.
    """

    def __init__(self, house: House) -> None:
        self._house = house
        self._kept: dict[str, Keeping] = {}
        self._turn = trio.Lock()
        self._log = structlog.get_logger()

    def owners(self) -> Collection[str]:
        """Who wants something at run time, as it named itself."""
        return self._kept.keys()

    async def restore(self) -> None:
        """Want again what was wanted before the restart. What no source knows any more stays in the file."""
        rows = await self._house.db.read(runtime.every, NAMESPACE)
        self._kept = {owner: _read(found) for owner, found in rows.items()}
        for owner, keeping in self._kept.items():
            refused = self._want(owner, keeping)[1]
            if refused:
                self._log.warning(
                    "subscriptions cannot be restored",
                    owner=owner,
                    count=len(refused),
                    first=refused[0].detail,
                )

    async def add(
        self, owner: str, asked: Mapping[str, Mode], by: By, *, caller: Principal, source: str | None
    ) -> SubscriptionsChanged:
        """See `tickerd.control.steering.Steering.subscribe`."""
        async with self._turn:
            before = self._kept.get(owner, {})
            if not before and len(self._kept) >= MOST_OWNERS:
                raise Refused("conflict", f"{MOST_OWNERS} owners have subscriptions; remove those of some")
            allowed, rejected = self._permitted(asked, caller, room=MOST - len(before), known=before)
            kept = {text: Kept(asked[text], source, _scope(text, caller)) for text in allowed}
            accepted, refused = self._want(owner, kept)
            taken = {one.instrument: kept[one.instrument] for one in accepted}
            await self._keep(owner, before, before | taken, "subscriptions.add", by)
        rejected += [
            Rejected(item=str(one.item), code=one.code, detail=one.detail, suggestion=one.suggestion)
            for one in await self._house.wants.advise(refused)
        ]
        return SubscriptionsChanged(owner=owner, accepted=tuple(accepted), rejected=tuple(rejected))

    async def remove(
        self, owner: str, texts: Sequence[str] | None, by: By, *, source: str | None
    ) -> SubscriptionsChanged:
        """See `tickerd.control.steering.Steering.unsubscribe`."""
        async with self._turn:
            before = self._kept.get(owner, {})
            mine = [text for text, kept in before.items() if source is None or kept.source == source]
            gone = mine if texts is None else [text for text in texts if text in set(mine)]
            after = {text: kept for text, kept in before.items() if text not in set(gone)}
            self._house.wants.change(PREFIX + owner, {_key(text): None for text in gone})
            await self._keep(owner, before, after, "subscriptions.remove", by)
        missing = [] if texts is None else [text for text in texts if text not in set(gone)]
        return SubscriptionsChanged(
            owner=owner,
            accepted=tuple(Accepted(instrument=text, source=None, mode=None) for text in gone),
            rejected=tuple(
                Rejected(item=text, code="not_subscribed", detail=f"{owner!r} does not want it")
                for text in missing
            ),
        )

    def _permitted(
        self, asked: Iterable[str], caller: Principal, *, room: int, known: Keeping
    ) -> tuple[list[str], list[Rejected]]:
        """What the caller may see and has room for, and the rest."""
        allowed: list[str] = []
        rejected: list[Rejected] = []
        for text in asked:
            if (fault := _fault(text)) is not None:
                rejected.append(Rejected(item=text, code="unknown_symbol", detail=fault))
            elif not self._may_see(text, caller):
                detail = "your key may not see it"
                rejected.append(Rejected(item=text, code="no_access", detail=detail))
            elif text not in known and room <= 0:
                detail = f"at most {MOST:,} can be wanted in one name"
                rejected.append(Rejected(item=text, code="item_limit", detail=detail))
            else:
                room -= text not in known
                allowed.append(text)
        return allowed, rejected

    def _may_see(self, text: str, caller: Principal) -> bool:
        """What no table has named yet is judged by its name; selectors mean only what may be seen."""
        key = _key(text)
        if caller.instruments is None or is_selector(key):
            return True
        for space in self._house.table.namespaces():
            found = space.get(key) if isinstance(key, int) else space.find(key)
            if found is not None:
                return caller.may_see(found)
        return not caller.instruments.isdisjoint((text, text.partition(":")[0]))

    def _want(self, owner: str, kept: Keeping) -> tuple[list[Accepted], list[wants.Refused]]:
        """Want these beside what is wanted already."""
        accepted: list[Accepted] = []
        refused: list[wants.Refused] = []
        for (source, scope), part in _by_place(kept):
            modes = {_key(text): one.mode for text, one in part}
            answer = self._house.wants.change(PREFIX + owner, modes, source, scope)
            refused += answer.rejected
            accepted += [
                Accepted(
                    instrument=text,
                    source=answer.accepted[_key(text)],
                    mode=one.mode,
                    left_out=answer.partial.get(_key(text), 0),
                )
                for text, one in part
                if _key(text) in answer.accepted
            ]
        return accepted, refused

    async def _keep(self, owner: str, before: Keeping, after: Keeping, what: str, by: By) -> None:
        """Write it down with its line of the trail; what cannot be written is taken back."""
        if before == after:
            return
        try:
            await self._house.db.run_synced(
                _write, owner, before, after, what, by, self._house.clock.now_ns()
            )
        except BaseException:
            self._house.wants.drop(PREFIX + owner)
            self._want(owner, before)
            raise
        if after:
            self._kept[owner] = after
        else:
            self._kept.pop(owner, None)


def _write(
    connection: Connection, owner: str, before: Keeping, after: Keeping, what: str, by: By, now_ns: int
) -> None:
    if after:
        runtime.put(connection, NAMESPACE, owner, [_row(*one) for one in after.items()], now_ns=now_ns)
    else:
        runtime.remove(connection, NAMESPACE, owner)
    old, new = before.items() - after.items(), after.items() - before.items()
    change = audit.Change(
        when_ns=now_ns,
        who=by.who,
        what=what,
        origin=by.origin,
        before=_told(owner, old, len(before)),
        after=_told(owner, new, len(after)),
    )
    audit.append(connection, change)


def _told(owner: str, items: Iterable[tuple[str, Kept]], count: int) -> dict[str, Any]:
    shown = {text: kept.mode for text, kept in sorted(items, key=lambda item: item[0])[:_LONGEST_TRAIL]}
    return {"owner": owner, "count": count, "changed": shown}


def _row(text: str, kept: Kept) -> list[Any]:
    return [text, kept.mode, kept.source, None if kept.scope is None else sorted(kept.scope)]


def _read(rows: Iterable[Sequence[Any]]) -> Keeping:
    return {
        text: Kept(mode, source, None if scope is None else frozenset(scope))
        for text, mode, source, scope in rows
    }


def _by_place(kept: Keeping) -> Iterator[tuple[tuple[str | None, Scope], list[tuple[str, Kept]]]]:
    """Those that are asked for in the same way, together."""

    def place(item: tuple[str, Kept]) -> tuple[str, list[str]]:
        return item[1].source or "", sorted(item[1].scope or ())

    for _, group in groupby(sorted(kept.items(), key=place), place):
        part = list(group)
        yield (part[0][1].source, part[0][1].scope), part


def _scope(text: str, caller: Principal) -> Scope:
    return caller.instruments if is_selector(_key(text)) else None


def _key(text: str) -> str | int:
    """As `Wants` knows it; `_permitted` has seen to it that it is one."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_TOKEN else text


def _fault(text: str) -> str | None:
    """What keeps a text from being a symbol, pattern or token."""
    try:
        parse_key(_key(text))
    except ValueError as error:
        return str(error)
    return None
