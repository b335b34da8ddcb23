"""A message sink in a host that has no outbox."""

import pytest
import trio

from tickerd.plugin import Batch, Message, MessageSink, Position, Retry, Status
from tickerd.testing import stamped


class Says(MessageSink):
    def __init__(self, fail: int = 0) -> None:
        self.fail = fail
        self.sent: list[bytes] = []
        self.composed = 0

    def compose(self, batch: Batch) -> list[Message]:
        self.composed += 1
        return [
            Message(f"msg_{n}", Position(1, n), "x", str(n).encode())
            for n in range(1, 1 + len(batch.records))
        ]

    async def send(self, message: Message, attempt: int) -> None:
        await trio.lowlevel.checkpoint()
        assert attempt == 1
        if self.fail and message.id == "msg_2":
            self.fail -= 1
            raise Retry("no")
        self.sent.append(message.body)


def batch() -> Batch:
    return stamped(Batch.control(*[Status(state="stale", ts_recv=1) for _ in range(3)]))


async def test_each_message_is_sent_in_order() -> None:
    sink = Says()
    assert await sink.write(batch()) == ()
    assert sink.sent == [b"1", b"2", b"3"]


async def test_a_batch_that_is_offered_again_is_composed_once_and_goes_on_where_it_was() -> None:
    sink, parcel = Says(fail=2), batch()
    for _ in range(2):
        with pytest.raises(Retry):
            await sink.write(parcel)
    await sink.write(parcel)
    assert (sink.sent, sink.composed) == ([b"1", b"2", b"3"], 1)
    await sink.write(batch())
    assert sink.composed == 2


def test_unless_it_says_otherwise_it_goes_by_message() -> None:
    assert MessageSink.by_message(None)
    assert (MessageSink.in_flight, MessageSink.ordered) == (4, False)
