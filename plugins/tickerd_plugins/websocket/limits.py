"""How many connections there may be, in all and of one address, and how fast new ones may come. Pure."""

from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

LOCAL = "unix"
"""What all local callers are counted as."""
PROXY = "proxy"
"""What a trusted proxy is counted as until it has said for whom it connects."""
_REMEMBERED = 10_000
"""Addresses of which it is known how fast they came."""


class Verdict(NamedTuple):
    """Why somebody is turned away."""

    limit: str
    status: int
    """HTTP's."""
    retry_after: int
    """Seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The limits."""

    connections: int
    per_address: int
    unknown_per_address: int
    """Of those that have not shown yet who they are."""
    new_per_s: float
    """From one address."""
    new_at_once: int


class Census:
    """Counts connections by address. Local ones have a count of their own, so that no flood locks them out."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._open: Counter[str] = Counter()
        self._unknown: Counter[str] = Counter()
        self._pace: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._by_key: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._open.total()

    def enter(self, address: str, now: float) -> Verdict | None:
        """Somebody connects; what he is turned away for. Only one that is not is counted, until `leave`."""
        bounds = self._bounds
        total = self._open[LOCAL] if address == LOCAL else len(self) - self._open[LOCAL]
        if total >= bounds.connections:
            return Verdict("connections", 503, 5)
        if address not in (LOCAL, PROXY):
            if self._open[address] >= bounds.per_address:
                return Verdict("per_address", 429, 5)
            if self._unknown[address] >= bounds.unknown_per_address:
                return Verdict("unknown_per_address", 429, 5)
            if not self._in_time(address, now):
                return Verdict("rate", 429, 1)
        self._open[address] += 1
        self._unknown[address] += 1
        return None

    def known(self, address: str) -> None:
        """One that entered has shown who he is."""
        _less(self._unknown, address)

    def leave(self, address: str, *, known: bool) -> None:
        """One that entered is gone."""
        _less(self._open, address)
        if not known:
            _less(self._unknown, address)

    def claim(self, key: str, most: int) -> bool:
        """One that entered is this key's; False: it has as many as it may. Counted until `release`."""
        if self._by_key[key] >= most:
            return False
        self._by_key[key] += 1
        return True

    def release(self, key: str) -> None:
        """One that was claimed is gone."""
        _less(self._by_key, key)

    def _in_time(self, address: str, now: float) -> bool:
        most = float(self._bounds.new_at_once)
        left, then = self._pace.pop(address, (most, now))
        left = min(most, left + (now - then) * self._bounds.new_per_s)
        allowed = left >= 1
        self._pace[address] = (left - 1 if allowed else left, now)
        if len(self._pace) > _REMEMBERED:
            self._pace.popitem(last=False)
        return allowed


def _less(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]


def network(address: str) -> str:
    """An IPv4 address itself, an IPv6 address as its /64: one customer has at least that much."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"


Networks = Sequence[IPv4Network | IPv6Network]


def is_trusted(address: str | None, proxies: Networks) -> bool:
    """Whether it is one of these proxies."""
    if address is None or not proxies:
        return False
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return any(parsed in one for one in proxies)


def forwarded(peer: str, header: str, proxies: Networks) -> str:
    """Who connects through a trusted proxy: the last in ``X-Forwarded-For`` that is not one of them.

    What stands further left anybody may have written. Where the list ends with nonsense it is the proxy itself.
    """
    for name in reversed([one.strip() for one in header.split(",")]):
        try:
            ip_address(name)
        except ValueError:
            return peer
        peer = name
        if not is_trusted(name, proxies):
            return name
    return peer
