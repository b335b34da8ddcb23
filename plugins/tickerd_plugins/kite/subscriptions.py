"""What to subscribe to, where, and by which messages. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from tickerd.plugin import MODES, Instrument, Mode
from tickerd.wire.kite import text

Tokens = Mapping[int, Mode]


def by_token(wanted: Mapping[Instrument, Mode]) -> dict[int, Mode]:
    """Instruments to tokens; a token under two names (before and after a dump) gets the higher mode."""
    tokens: dict[int, Mode] = {}
    for instrument, mode in wanted.items():
        held = tokens.get(instrument.token)
        if held is None or MODES.index(mode) > MODES.index(held):
            tokens[instrument.token] = mode
    return tokens


class Assignment(NamedTuple):
    """Which connection carries what, and what none has room for."""

    shards: Sequence[dict[int, Mode]]
    surplus: Sequence[int]


def assign(wanted: Tokens, held: Sequence[Iterable[int]], capacity: int) -> Assignment:
    """Give each token a connection: the one that holds it already, else the first with room.

    Args:
        wanted: everything that should be carried.
        held: the tokens of each connection as it is now; as many as there are connections.
        capacity: most tokens of one connection.
    """
    shards: list[dict[int, Mode]] = [{t: wanted[t] for t in tokens if t in wanted} for tokens in held]
    placed = {token for shard in shards for token in shard}
    fresh = iter([token for token in wanted if token not in placed])
    for shard in shards:
        for token in islice(fresh, max(0, capacity - len(shard))):
            shard[token] = wanted[token]
    return Assignment(shards, list(fresh))


class Request(NamedTuple):
    """One message to the broker and what it does: ``after`` is the mode its tokens then have.

    ``""`` is subscribed with no mode asked for yet, None is not subscribed.
    """

    message: str
    tokens: Sequence[int]
    after: str | None


def next_request(have: Mapping[int, str], want: Tokens, most: int) -> Request | None:
    """The next message on the way from what is subscribed to what is wanted; None when they agree.

    Unsubscribes first, so that there is room; then each batch of subscriptions is followed by its mode.
    A mode is always asked for: which one a bare subscription gets is not documented.

    Args:
        have: token to its mode on the open connection, ``""`` when none was asked for yet.
        want: what it should carry.
        most: tokens in one message.
    """
    gone = list(islice((t for t in have if t not in want), most))
    if gone:
        return Request(text.unsubscribe(gone), gone, None)
    for mode in MODES:
        change = list(islice((t for t, m in have.items() if want[t] == mode != m), most))
        if change:
            return Request(text.set_mode(mode, change), change, mode)
    for mode in MODES:
        new = list(islice((t for t, m in want.items() if m == mode and t not in have), most))
        if new:
            return Request(text.subscribe(new), new, "")
    return None


def applied(have: dict[int, str], request: Request) -> None:
    """Note in ``have`` that the request was sent."""
    if request.after is None:
        for token in request.tokens:
            have.pop(token, None)
    else:
        have.update(dict.fromkeys(request.tokens, request.after))
