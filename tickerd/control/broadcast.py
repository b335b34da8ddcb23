"""What happens to the daemon, told to any number of listeners, each with a bounded queue of its own."""

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import trio

QUEUE = 256
"""Events that may wait for one listener; the oldest give way and are counted."""
KEPT = 1024
"""Events that are kept for listeners that come back."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened."""

    number: int
    """1 at the start; grows by one with each."""
    kind: str
    """unit, record, reload, key and the like."""
    data: bytes
    """One JSON object."""
    private: bool = False
    """Tells of the account: not for everybody who may see how things stand."""


class Listener:
    """The events of one listener from the moment it joined."""

    def __init__(self, kinds: frozenset[str] | None) -> None:
        self._kinds = kinds
        self._queue: deque[Event] = deque()
        self._ready = trio.Event()
        self.dropped = 0
        """Events that had to make room since they were last asked for."""

    def offer(self, event: Event) -> None:
        """Queue it if this listener wants its kind."""
        if self._kinds is not None and event.kind not in self._kinds:
            return
        if len(self._queue) >= QUEUE:
            self._queue.popleft()
            self.dropped += 1
        self._queue.append(event)
        self._ready.set()

    def take(self) -> tuple[int, list[Event]]:
        """How many were dropped, and what waits."""
        dropped, events = self.dropped, list(self._queue)
        self._queue.clear()
        self.dropped = 0
        self._ready = trio.Event()
        return dropped, events

    async def wait(self) -> None:
        """Until something waits."""
        await self._ready.wait()


class Broadcast:
    """Publishing is synchronous, never waits, and costs next to nothing while nobody listens."""

    def __init__(self, epoch: int = 0) -> None:
        self.epoch = epoch
        self._number = 0
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._listeners: list[Listener] = []

    def __len__(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def publish(self, kind: str, data: Mapping[str, Any] | msgspec.Struct, *, private: bool = False) -> None:
        """Tell everybody. No secrets; see `Event.private`."""
        self._number += 1
        event = Event(self._number, kind, msgspec.json.encode(data), private)
        self._kept.append(event)
        for listener in self._listeners:
            listener.offer(event)

    @contextmanager
    def listen(self, kinds: frozenset[str] | None = None, *, after: int | None = None) -> Iterator[Listener]:
        """Join. With ``after``, the number of the last event that was seen, what is kept of the rest comes first."""
        listener = Listener(kinds)
        if after is not None and after < self._number:
            missed = [event for event in self._kept if event.number > after]
            for event in missed:
                listener.offer(event)
            listener.dropped += self._number - after - len(missed)
        self._listeners.append(listener)
        try:
            yield listener
        finally:
            self._listeners.remove(listener)
