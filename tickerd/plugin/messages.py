"""What a message sink is: a pushing sink that makes messages of what it is given, each delivered on its own."""

from abc import abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from tickerd.plugin.batch import Batch
from tickerd.plugin.position import Position
from tickerd.plugin.sink import Reject, Sink


class Message(NamedTuple):
    """Something to be delivered by itself. The host keeps these bytes under this id until they are delivered."""

    id: str
    """Never given to anything else; made from the record alone, so that it is the same after a crash."""
    position: Position
    """Of the record or tick that it was made from; at most one message for each."""
    kind: str
    """What it tells, in a word, as lists show it."""
    body: bytes


class MessageSink(Sink):
    """A pushing sink whose records are delivered one by one, each with attempts of its own.

    The host gives batches to `compose` in order, and puts what it returns into the outbox (in the state file)
    in one step with the sink's position. From there messages go to `send`, several at the same time where
    `in_flight` says so, again and again by the sink's ``retry.schedule``; what was not delivered in the end is a
    dead letter. So an outage of the other side for a day costs no event, neither does kill -9, and a message
    that is sent again has the same id and the same bytes.

    The life is that of any pushing sink, with `compose` and `send` in place of `write`. ``commit`` and ``restore``
    keep what `compose` remembers from batch to batch. The outbox is used where ``retry.schedule`` is set; a
    replay, for one, has none and calls `write`.
    """

    in_flight: int = 4
    """Messages that are sent at the same time, at most."""
    ordered: bool = False
    """Whether each waits for the one before it: one at a time, and one that fails is passed by after ``retry.hold``."""
    _in_hand: tuple[Batch, deque[Message]] | None = None

    @classmethod
    def by_message(cls, options: Any) -> bool:
        """Whether it does so with these options; otherwise it is a sink like others, called with `write`."""
        del options
        return True

    @abstractmethod
    def compose(self, batch: Batch) -> Sequence[Message]:
        """The messages that this batch is worth, in order. Must not wait, and is called once for each batch."""

    @abstractmethod
    async def send(self, message: Message, attempt: int) -> None:
        """Deliver one message.

        Args:
            message: from `compose`, perhaps of an earlier run.
            attempt: which one it is, from 1.

        Raises:
            Retry: it was not delivered.
            Rejected: nothing will be any more until a person acts; the unit fails, and messages are kept.
        """

    async def write(self, batch: Batch) -> Sequence[Reject]:
        """Send what the batch is worth, one message after the other, for hosts without an outbox."""
        if self._in_hand is None or self._in_hand[0] is not batch:
            self._in_hand = (batch, deque(self.compose(batch)))
        waiting = self._in_hand[1]
        while waiting:
            await self.send(waiting[0], 1)
            waiting.popleft()
        self._in_hand = None
        return ()
