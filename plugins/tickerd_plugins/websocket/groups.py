"""Who gets which rows: a tick is encoded once, rows for clients alike are put together once. Nothing here waits.

A tick costs what its deliveries cost: clients that do not want it are never looked at.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple, Protocol

from tickerd.plugin import Batch, Mode
from tickerd_plugins.websocket.encoding import Body, Encoding
from tickerd_plugins.websocket.rows import Flat, Reads, cut, flat, reads

ROWS = 1000
"""In one frame, so that no client meets a message that is too large for it."""
_SHIFT = 32

Ident = int
"""An instrument: its token, and above that the number of its namespace."""
Row = tuple[bytes, int, int]
"""One tick as one kind of client gets it: encoded, its seq, whose it is."""
PIECE: Final = 0
SEQ: Final = 1
IDENT: Final = 2


class Kind(NamedTuple):
    """What clients must have in common to be sent the same."""

    encoding: Encoding
    stream: bool
    """Every tick, rather than the newest of each instrument."""
    interval: float
    """Seconds between two frames."""


class Member(Protocol):
    """One who is sent rows."""

    @property
    def kind(self) -> Kind:
        """What it has in common with others."""
        ...

    def deliver(self, rows: Sequence[Row], bodies: Sequence[Body]) -> None:
        """Take these; ``bodies`` is what the rows come to, `ROWS` in each, ready to be sent."""
        ...


class Flight:
    """Rows on their way to the members of a group."""

    def __init__(self, kind: Kind, rows: list[Row], members: Iterable[Member]) -> None:
        self.rows = rows
        self.bodies = bodies(kind.encoding, rows)
        self.left = dict.fromkeys(members)
        """Who has not been given them yet."""

    def __iter__(self) -> Iterator[Member]:
        """Give them to one after the other; the others may be given theirs out of turn, or leave, in between."""
        while self.left:
            member = next(iter(self.left))
            self.give(member)
            yield member

    def give(self, member: Member) -> None:
        """Give them to this one, if it has not got them."""
        if member in self.left:
            del self.left[member]
            member.deliver(self.rows, self.bodies)


def bodies(encoding: Encoding, rows: Sequence[Row]) -> list[Body]:
    """Rows put together, so many in each that no frame is too large."""
    if len(rows) <= ROWS:
        return [encoding.join([row[PIECE] for row in rows])]
    parts = (rows[start : start + ROWS] for start in range(0, len(rows), ROWS))
    return [encoding.join([row[PIECE] for row in part]) for part in parts]


class Group:
    """Members that want exactly the same."""

    __slots__ = ("flight", "floor", "floor_until", "items", "kind", "members", "pending", "place", "settled")

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.members: dict[Member, None] = {}
        self.items: dict[Ident, Mode] = {}
        self.pending: dict[int, Row] = {}
        """Not sent yet: by instrument where only the newest counts, else by seq."""
        self.floor: dict[Ident, int] = {}
        """Rows up to these seqs were sent otherwise."""
        self.floor_until = 0
        self.flight: Flight | None = None
        self.settled: frozenset[tuple[Ident, Mode]] | None = None
        """Under what others alike find it; None since it was changed."""
        self.place: Literal[1, 2] = SEQ if kind.stream else IDENT
        """Of what `pending` goes by in a row."""

    def put(self, row: Row) -> None:
        """One more to be sent."""
        self.pending[row[self.place]] = row

    def copy(self) -> "Group":
        """The same for other members."""
        own = Group(self.kind)
        own.items = dict(self.items)
        own.pending = dict(self.pending)
        own.floor, own.floor_until = dict(self.floor), self.floor_until
        return own

    def drop(self, ident: Ident) -> None:
        """Of this nothing shall be sent any more."""
        self.floor.pop(ident, None)
        if not self.kind.stream:
            self.pending.pop(ident, None)
        else:
            self.pending = {seq: row for seq, row in self.pending.items() if row[IDENT] != ident}

    def take(self, position: int) -> Flight | None:
        """What waits, on its way; None when there is nothing.

        Args:
            position: everything up to it has been put.
        """
        rows = list(self.pending.values())
        self.pending.clear()
        if self.floor:
            rows = [row for row in rows if row[SEQ] > self.floor.get(row[IDENT], 0)]
            if position >= self.floor_until:
                self.floor.clear()
        if not rows:
            return None
        self.flight = Flight(self.kind, rows, self.members)
        return self.flight


Channel = tuple[Encoding, Mode]
_Takers = dict[Ident, dict[int, Group]]
"""Who wants an instrument, by the identity of the group."""


class Groups:
    """All members with what they want."""

    def __init__(self, position: int = 0) -> None:
        self._groups: dict[Member, Group] = {}
        self._all: dict[int, Group] = {}
        self._settled: dict[tuple[Kind, frozenset[tuple[Ident, Mode]]], Group] = {}
        self._unsettled: dict[int, Group] = {}
        self._channels: dict[tuple[str, Mode], tuple[Encoding, _Takers]] = {}
        self._namespaces: dict[str, int] = {}
        self.position = position
        """Seq up to which everything has been routed."""
        self.undecodable = 0

    def __len__(self) -> int:
        return len(self._all)

    def ident(self, namespace: str, token: int) -> Ident:
        """What an instrument is called here."""
        return self._base(namespace) | token

    def _base(self, namespace: str) -> int:
        return self._namespaces.setdefault(namespace, len(self._namespaces)) << _SHIFT

    # -- members -----------------------------------------------------------------------------------------

    def change(self, member: Member, changes: Mapping[Ident, Mode | None], floor: int | None = None) -> None:
        """Send it these too, in another mode, or (None) no longer.

        Args:
            member: gets what is on its way to it first.
            changes: by instrument.
            floor: of what is new, rows up to this seq have been sent to it.
        """
        self.hasten(member)
        group = self._own_group(member)
        for ident, mode in changes.items():
            before = group.items.pop(ident, None)
            if before is not None:
                self._untake(group, ident, before)
            if mode is None:
                group.drop(ident)
                continue
            group.items[ident] = mode
            self._takers(group.kind.encoding, mode).setdefault(ident, {})[id(group)] = group
            if floor is not None:
                group.drop(ident)
                if floor > self.position:  # what is still on its way here may be older
                    group.floor[ident] = floor
                    group.floor_until = max(group.floor_until, floor)
        if not group.items:
            self._dissolve(group)

    def hasten(self, member: Member) -> None:
        """Give it what is on its way to it now."""
        group = self._groups.get(member)
        if group is not None and group.flight is not None:
            group.flight.give(member)

    def leave(self, member: Member) -> None:
        """It is gone."""
        group = self._groups.pop(member, None)
        if group is None:
            return
        del group.members[member]
        if group.flight is not None:
            group.flight.left.pop(member, None)
        if not group.members:
            self._dissolve(group)

    def settle(self) -> None:
        """Put together who wants the same: now and then, since clients ask for much in many requests."""
        if not self._unsettled:
            return
        unsettled, self._unsettled = self._unsettled, {}
        for group in unsettled.values():
            if group.floor and not group.pending and self.position >= group.floor_until:
                group.floor.clear()
            if group.floor or group.flight is not None:
                self._unsettled[id(group)] = group
                continue
            key = frozenset(group.items.items())
            other = self._settled.get((group.kind, key))
            if other is None:
                group.settled = key
                self._settled[group.kind, key] = group
            elif other.flight is not None or other.pending != group.pending:
                self._unsettled[id(group)] = group
            else:
                for member in group.members:
                    self._groups[member] = other
                other.members |= group.members
                group.members = {}
                self._dissolve(group)

    def _own_group(self, member: Member) -> Group:
        """The group of this member alone, which may be changed."""
        group = self._groups.get(member)
        if group is None:
            group = Group(member.kind)
        elif len(group.members) > 1:
            del group.members[member]
            group = group.copy()
            for ident, mode in group.items.items():
                self._takers(group.kind.encoding, mode)[ident][id(group)] = group
        elif group.settled is not None:
            del self._settled[group.kind, group.settled]
            group.settled = None
        group.members[member] = None
        self._groups[member] = self._all[id(group)] = self._unsettled[id(group)] = group
        return group

    def _dissolve(self, group: Group) -> None:
        for ident, mode in group.items.items():
            self._untake(group, ident, mode)
        for member in group.members:
            del self._groups[member]
        self._all.pop(id(group), None)
        self._unsettled.pop(id(group), None)
        if group.settled is not None:
            del self._settled[group.kind, group.settled]

    def _takers(self, encoding: Encoding, mode: Mode) -> _Takers:
        return self._channels.setdefault((encoding.subprotocol, mode), (encoding, {}))[1]

    def _untake(self, group: Group, ident: Ident, mode: Mode) -> None:
        takers = self._takers(group.kind.encoding, mode)
        of_ident = takers[ident]
        del of_ident[id(group)]
        if not of_ident:
            del takers[ident]

    # -- ticks -------------------------------------------------------------------------------------------

    def route(self, batches: Iterable[Batch]) -> None:
        """Put every tick to whoever wants it."""
        for batch in batches:
            for read in reads(batch):
                self._route(read)
            self.position = max(self.position, batch.last.seq)

    def _route(self, read: Reads) -> None:
        base = self._base(read.origin.namespace)
        idents = [base | token for token in read.tokens] if base else read.tokens
        rows: dict[int, Flat] = {}
        for (_, mode), (encoding, takers) in self._channels.items():
            places = [place for place, ident in enumerate(idents) if ident in takers]
            if not places:
                continue
            if not self._decode(read, places, rows):
                return
            wanted = [rows[place] for place in places]
            pieces = encoding.pieces(wanted if mode == "full" else cut(wanted, mode))
            seqs, whose = [read.seqs[place] for place in places], [idents[place] for place in places]
            for row in zip(pieces, seqs, whose, strict=True):
                for group in takers[row[IDENT]].values():
                    group.pending[row[group.place]] = row

    def _decode(self, read: Reads, places: Sequence[int], rows: dict[int, Flat]) -> bool:
        missing = [place for place in places if place not in rows] if rows else places
        if missing:
            try:
                rows.update(zip(missing, flat(read.run(missing)), strict=True))
            except ValueError:
                self.undecodable += 1
                return False
        return True

    def due(self, intervals: Iterable[float]) -> list[Group]:
        """Groups of these intervals for which something waits."""
        wanted = frozenset(intervals)
        return [group for group in self._all.values() if group.pending and group.kind.interval in wanted]


def encode(encoding: Encoding, batch: Batch, modes: Mapping[Ident, Mode], groups: Groups) -> Iterator[Row]:
    """Rows of a batch for one client alone, of the instruments that it wants."""
    for read in reads(batch):
        idents = [groups.ident(read.origin.namespace, token) for token in read.tokens]
        places = [place for place, ident in enumerate(idents) if ident in modes]
        rows = [
            cut((row,), modes[idents[place]])[0]
            for place, row in zip(places, flat(read.run(places)), strict=True)
        ]
        seqs, whose = [read.seqs[place] for place in places], [idents[place] for place in places]
        yield from zip(encoding.pieces(rows), seqs, whose, strict=True)
