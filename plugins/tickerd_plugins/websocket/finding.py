"""What the instruments of a request are: by symbol, token or pattern, as far as somebody may see them."""

from typing import Any, NamedTuple

import trio

from tickerd.plugin import Catalogue, Instrument, Principal
from tickerd_plugins.websocket.requests import Bad, Live, Request

ITEMS_PER_REQUEST = 3000
PATTERNS_PER_REQUEST, WILDCARDS = 5, 2
PATTERN_COST = 5
"""Requests that looking for a pattern counts as."""
CHUNK = 500
"""Looked up in one go."""


class Found(NamedTuple):
    """What the keys of a request stand for."""

    instruments: dict[Instrument, str | int]
    """Each with the key that it was asked by."""
    rejected: list[dict[str, Any]]


class Finder:
    """Of one client."""

    def __init__(self, catalogue: Catalogue, principal: Principal) -> None:
        self._catalogue = catalogue
        self._principal = principal

    async def find(self, request: Live) -> Found:
        """Look up all of them.

        Raises:
            Bad: there are none, too many, or a pattern that would cost too much.
        """
        keys = request.keys
        if not keys:
            raise Bad("bad_request", "no instruments: name some in tokens or symbols")
        if len(keys) > ITEMS_PER_REQUEST:
            raise Bad("item_limit", f"at most {ITEMS_PER_REQUEST} instruments in one request")
        found = Found({}, [])
        patterns = 0
        for place, key in enumerate(keys, 1):
            if is_pattern(key):
                patterns += 1
                self._find_matching(str(key), found, patterns)
                await trio.lowlevel.checkpoint()
            else:
                self._find_one(key, found)
            if not place % CHUNK:
                await trio.lowlevel.checkpoint()
        return found

    def _find_one(self, key: str | int, found: Found) -> None:
        instrument = self._catalogue.find(key)
        if instrument is None:
            loading = not any(map(len, self._catalogue.tables()))
            found.rejected.append({"item": key, "code": "unknown_symbol", "temporary": loading})
        elif not self._principal.may_see(instrument):
            found.rejected.append({"item": key, "code": "not_entitled"})
        else:
            found.instruments.setdefault(instrument, key)

    def _find_matching(self, pattern: str, found: Found, patterns: int) -> None:
        exchange = pattern.partition(":")[0]
        if patterns > PATTERNS_PER_REQUEST or is_pattern(exchange) or _wildcards(pattern) > WILDCARDS:
            raise Bad(
                "bad_request",
                f"at most {PATTERNS_PER_REQUEST} patterns, each with its exchange and {WILDCARDS} wildcards",
            )
        try:
            fitting = self._catalogue.matching(pattern, ITEMS_PER_REQUEST + 1)
        except ValueError:
            raise Bad("bad_request", "no pattern: write it like NSE:NIFTY*") from None
        seen = [one for one in fitting if self._principal.may_see(one)]
        if len(found.instruments) + len(seen) > ITEMS_PER_REQUEST:
            raise Bad("item_limit", f"at most {ITEMS_PER_REQUEST} instruments in one request")
        if not seen:
            found.rejected.append({"item": pattern, "code": "unknown_symbol"})
        for instrument in seen:
            found.instruments.setdefault(instrument, pattern)


def is_pattern(key: str | int) -> bool:
    """Whether it may stand for several instruments."""
    return isinstance(key, str) and _wildcards(key) > 0


def _wildcards(text: str) -> int:
    return text.count("*") + text.count("?")


def cost(request: Request) -> float:
    """What a request counts as, in requests."""
    if not isinstance(request, Live):
        return 1
    return 1 + PATTERN_COST * sum(map(is_pattern, request.symbols))
