"""How often the broker may be asked: one queue for each class of REST calls, and what the broker says to wait."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import trio
from trio.lowlevel import RunVar

Kind = Literal["quote", "historical", "orders", "other"]


class Limit(NamedTuple):
    """So many calls in so many seconds, any of them."""

    calls: int
    seconds: float


LIMITS: Mapping[Kind, tuple[Limit, ...]] = {
    "quote": (Limit(1, 1.0),),
    "historical": (Limit(3, 1.0),),
    "orders": (Limit(10, 1.0), Limit(400, 60.0), Limit(5000, 86_400.0)),
    "other": (Limit(10, 1.0),),
}
"""What the broker documents for one ``api_key``; ``orders`` are those that place, change or cancel one."""
UNSAID_S = 5.0
"""Wait after an HTTP 429 that does not say how long."""
LONGEST_S = 300.0
"""A longer wait is not believed."""


class TooMany(Exception):
    """It would take too long until the call may be made.

    Args:
        wait_s: how long.
    """

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"next call in {wait_s:.0f} s")
        self.wait_s = wait_s


class Window:
    """The calls of one class. Pure: times are seconds of a clock that does not go back."""

    def __init__(self, limits: tuple[Limit, ...]) -> None:
        self._limits = limits
        self._made: deque[float] = deque(maxlen=max(limit.calls for limit in limits))
        self._held_until = 0.0

    def wait(self, now: float) -> float:
        """Seconds until the next call may be made."""
        waits = [self._held_until - now]
        for calls, seconds in self._limits:
            if len(self._made) >= calls:
                waits.append(self._made[-calls] + seconds - now)
        return max(0.0, *waits)

    def made(self, now: float) -> None:
        """A call is made."""
        self._made.append(now)

    def hold(self, now: float, seconds: float | None) -> None:
        """The broker has had enough, for so many seconds; None: it did not say."""
        wait = UNSAID_S if seconds is None else min(max(seconds, 0.0), LONGEST_S)
        self._held_until = max(self._held_until, now + wait)


class Manners:
    """Shared by all REST calls with one ``api_key``, so that none of them is refused for another one's haste.

    See `shared`.

    Args:
        clock: seconds that do not go back.
    """

    def __init__(self, clock: Callable[[], float] = trio.current_time) -> None:
        self._clock = clock
        self._windows = {kind: Window(limits) for kind, limits in LIMITS.items()}
        self._queues = {kind: trio.Lock() for kind in LIMITS}

    async def turn(self, kind: Kind, within_s: float) -> None:
        """Wait until a call may be made, in the order of asking, and count it.

        Raises:
            TooMany: that takes longer than ``within_s``.
        """
        window = self._windows[kind]
        async with self._queues[kind]:
            while wait := window.wait(self._clock()):
                if wait > within_s:
                    raise TooMany(wait)
                await trio.sleep(wait)
            window.made(self._clock())

    def hold(self, kind: Kind, seconds: float | None = None) -> None:
        """The broker answered that it is asked too often; see `Window.hold`."""
        self._windows[kind].hold(self._clock(), seconds)


_BY_KEY: RunVar[dict[str, Manners]] = RunVar("kite_manners")
"""Lives as long as the event loop: longer than any run of a source, and no longer than a test."""


def shared(api_key: str) -> Manners:
    """The one of this ``api_key``: the broker counts the calls of all sources together, restarts or not."""
    try:
        by_key = _BY_KEY.get()
    except LookupError:
        by_key = {}
        _BY_KEY.set(by_key)
    if api_key not in by_key:
        by_key[api_key] = Manners()
    return by_key[api_key]


def retry_after(text: str | None) -> float | None:
    """Seconds that a ``Retry-After`` says; None where it says nothing that can be used."""
    text = (text or "").strip()
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 7 else None
