"""Who gets which packets: each packet is cut once for each mode, each frame is built once for clients alike.

Nothing here waits or knows a socket. A packet costs what its deliveries cost: clients that do not want it are
never looked at.
"""

from collections.abc import Iterable, Iterator, KeysView, Mapping, Sequence
from struct import Struct
from typing import Generic, TypeVar

from tickerd.plugin import Mode
from tickerd.wire.kite import prefix
from tickerd.wire.kite.layout import FULL, INDEX_FULL, INDEX_QUOTE, LTP, MAX_PACKETS, QUOTE

Member = TypeVar("Member")

_U16 = Struct(">H")
_LENGTHS = {length: _U16.pack(length) for length in (LTP, INDEX_QUOTE, INDEX_FULL, QUOTE, FULL)}
_QUOTES = {LTP: LTP, INDEX_QUOTE: INDEX_QUOTE, INDEX_FULL: INDEX_QUOTE, QUOTE: QUOTE, FULL: QUOTE}
"""Length of a packet → that of its part for ``quote``."""
_TOKEN = slice(2, 6)

Part = bytes
"""One packet with its length in front, as it stands in a frame."""


def part(packet: bytes, mode: str) -> Part:
    """A packet, cut to a mode, as it stands in a frame."""
    cut = prefix(packet, mode)
    return _LENGTHS[len(cut)] + cut


def frames(parts: Sequence[Part]) -> Iterator[bytes]:
    """Kite's binary messages that hold these, as few as can be. None for none, so that no message is short."""
    for start in range(0, len(parts), MAX_PACKETS):
        some = parts[start : start + MAX_PACKETS]
        yield _U16.pack(len(some)) + b"".join(some)


def token_bytes(token: int) -> bytes:
    """A token as it stands in a packet."""
    return token.to_bytes(4)


def by_token(parts: Iterable[Part]) -> dict[bytes, Part]:
    """The newest of each instrument, by its token as it stands in the packet."""
    return {one[_TOKEN]: one for one in parts}


class Group(Generic[Member]):
    """Members that want exactly the same."""

    __slots__ = ("members", "modes", "parts", "settled")

    def __init__(self) -> None:
        self.members: dict[Member, None] = {}
        self.modes: dict[int, Mode] = {}
        self.parts: list[Part] = []
        """Cut for its members and not yet sent. Always this same list: the takers of tokens hold it."""
        self.settled: frozenset[tuple[int, Mode]] | None = None
        """Under what others alike find it; None since it was changed."""


class _Takers:
    """Who takes one token, by mode, and the last packet that passed."""

    __slots__ = ("full", "last", "ltp", "quote")

    def __init__(self) -> None:
        self.full: dict[int, list[Part]] = {}
        self.quote: dict[int, list[Part]] = {}
        self.ltp: dict[int, list[Part]] = {}
        """By identity of the group."""
        self.last: bytes | None = None

    def of(self, mode: Mode) -> dict[int, list[Part]]:
        """Those in one mode."""
        return self.full if mode == "full" else self.quote if mode == "quote" else self.ltp

    def __bool__(self) -> bool:
        return bool(self.full or self.quote or self.ltp)


class Fan(Generic[Member]):
    """All members with what they want."""

    def __init__(self) -> None:
        self._groups: dict[Member, Group[Member]] = {}
        self._settled: dict[frozenset[tuple[int, Mode]], Group[Member]] = {}
        self._unsettled: dict[int, Group[Member]] = {}
        self._busy: dict[int, Group[Member]] = {}
        self._takers: dict[int, _Takers] = {}

    def __len__(self) -> int:
        """Groups that want something."""
        return len(self._busy)

    def wanted(self) -> KeysView[int]:
        """Every token that anybody wants."""
        return self._takers.keys()

    # -- members -----------------------------------------------------------------------------------------

    def change(self, member: Member, fresh: Mapping[int, Mode], gone: Iterable[int] = ()) -> None:
        """Add tokens or set their modes, and take tokens away. What was cut for it before must have been sent."""
        group = self._own_group(member)
        for token, mode in fresh.items():
            takers = self._takers.get(token)
            if takers is None:
                takers = self._takers[token] = _Takers()
            if token in group.modes:
                takers.of(group.modes[token]).pop(id(group))
            takers.of(mode)[id(group)] = group.parts
            group.modes[token] = mode
        for token in gone:
            self._release(group, token)
        if group.modes:
            self._busy[id(group)] = group
        else:
            self._busy.pop(id(group), None)

    def leave(self, member: Member) -> None:
        """It wants nothing any more."""
        group = self._groups.pop(member, None)
        if group is None:
            return
        del group.members[member]
        if not group.members:
            self._dissolve(group)

    def settle(self) -> Iterator[None]:
        """Put together who wants the same, a step for each group that has changed; others may run between two.

        To be done now and then: a client asks for much in many messages.
        """
        while self._unsettled:
            self._settle(self._unsettled.pop(next(iter(self._unsettled))))
            yield

    def _settle(self, group: Group[Member]) -> None:
        key = frozenset(group.modes.items())
        other = self._settled.get(key)
        if other is None:
            group.settled = key
            self._settled[key] = group
            return
        for member in group.members:
            self._groups[member] = other
        other.members |= group.members
        self._dissolve(group)

    def _own_group(self, member: Member) -> Group[Member]:
        """The group of this member alone, which may be changed."""
        group = self._groups.get(member)
        if group is None or len(group.members) > 1:
            own = Group[Member]()
            own.members[member] = None
            if group is not None:
                del group.members[member]
                self._groups[member] = own
                self._unsettled[id(own)] = own
                self._copy(group, own)
            self._groups[member] = group = own
        elif group.settled is not None:
            del self._settled[group.settled]
            group.settled = None
        self._unsettled[id(group)] = group
        return group

    def _copy(self, group: Group[Member], own: Group[Member]) -> None:
        own.modes = dict(group.modes)
        for token, mode in own.modes.items():
            self._takers[token].of(mode)[id(own)] = own.parts

    def _dissolve(self, group: Group[Member]) -> None:
        for token in tuple(group.modes):
            self._release(group, token)
        self._busy.pop(id(group), None)
        self._unsettled.pop(id(group), None)
        if group.settled is not None:
            del self._settled[group.settled]

    def _release(self, group: Group[Member], token: int) -> None:
        mode = group.modes.pop(token, None)
        if mode is not None:
            takers = self._takers[token]
            del takers.of(mode)[id(group)]
            if not takers:
                del self._takers[token]

    # -- packets -----------------------------------------------------------------------------------------

    def last(self, token: int) -> bytes | None:
        """The last packet that passed for it while anybody wanted it."""
        takers = self._takers.get(token)
        return None if takers is None else takers.last

    def remember(self, token: int, packet: bytes) -> None:
        """Take this for the last packet of a wanted token: a member was shown it."""
        takers = self._takers.get(token)
        if takers is not None:
            takers.last = packet

    def cut(self, tokens: Iterable[int], packets: Iterable[bytes]) -> None:
        """Cut packets for whoever wants them.

        ``ltp`` and ``quote`` hear only of what changed in their part: an upstream in ``full`` tells more often.
        """
        find = self._takers.get
        for token, packet in zip(tokens, packets, strict=True):
            takers = find(token)
            if takers is None:
                continue
            previous, takers.last = takers.last, packet
            if takers.full:
                whole = _LENGTHS[len(packet)] + packet
                for parts in takers.full.values():
                    parts.append(whole)
            if takers.quote:
                length = _QUOTES[len(packet)]
                _offer(takers.quote, packet[:length], length, previous)
            if takers.ltp:
                _offer(takers.ltp, packet[:LTP], LTP, previous)

    def take(self) -> list[tuple[tuple[Member, ...], list[Part]]]:
        """What was cut since, for members alike."""
        out: list[tuple[tuple[Member, ...], list[Part]]] = []
        for group in self._busy.values():
            if group.parts:
                out.append((tuple(group.members), group.parts.copy()))
                group.parts.clear()
        return out


def _offer(takers: dict[int, list[Part]], cut: bytes, length: int, previous: bytes | None) -> None:
    if previous is not None and previous[:length] == cut:
        return
    cut = _LENGTHS[length] + cut
    for parts in takers.values():
        parts.append(cut)
