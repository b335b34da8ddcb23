"""Offering dead letters again: a feed that now and then hands out what somebody asked to be redriven."""

from collections.abc import Sequence
from typing import Any

import msgspec
import structlog
import trio

from tickerd.dataflow.delivery import Feed
from tickerd.plugin import AnyRecord, Batch, Clock, Position, Reject, Row
from tickerd.state import Database, StateError, deadletters
from tickerd.state.deadletters import KeptLetter

LOOK_S = 5.0
"""Between two looks for letters that are to be offered again."""

_record = msgspec.json.Decoder(AnyRecord).decode
_row = msgspec.json.Decoder(Row).decode


class Redriving:
    """`tickerd.dataflow.delivery.Feed` around another one. Letters come between its batches, never mixed with them.

    Letters whose copy was too long to be kept are refused again, with that as the reason.
    """

    def __init__(self, feed: Feed, db: Database, sink: str, clock: Clock) -> None:
        self._feed = feed
        self._db = db
        self._sink = sink
        self._clock = clock
        self._log = structlog.get_logger().bind(unit=f"sink.{sink}")
        self._look_at = 0.0
        self._letters: dict[Position, KeptLetter] = {}
        self._batch: Batch | None = None

    async def receive(self, max_ticks: int, max_wait: float) -> Batch:
        """See `tickerd.dataflow.delivery.Feed`."""
        while True:
            if trio.current_time() >= self._look_at:
                self._look_at = trio.current_time() + LOOK_S
                if await self._take(max_ticks):
                    assert self._batch is not None
                    return self._batch
            with trio.move_on_at(self._look_at):
                return await self._feed.receive(max_ticks, max_wait)

    async def _take(self, most: int) -> bool:
        try:
            letters = await self._db.read(deadletters.take_redrives, self._sink, most)
        except StateError as error:
            self._log.error("dead letters cannot be read", reason=str(error))
            return False
        parts: list[Batch] = []
        self._letters = {}
        for letter in letters:
            part = _batch(letter)
            if part is None:
                await self._finish(letter, "its copy was not kept")
            else:
                parts.append(part)
                self._letters[letter.position] = letter
        if not parts:
            return False
        self._batch = Batch.merged(parts)
        self._batch.last = Position(0, 0)  # it moves no cursor
        return True

    async def taken(self, batch: Batch, rejects: Sequence[Reject]) -> bool:
        """The sink has answered; whether these were letters, so that a refusal needs no new one."""
        if batch is not self._batch:
            return False
        refused = {reject.position: reject.reason for reject in rejects}
        for position, letter in self._letters.items():
            await self._finish(letter, refused.get(position))
        self._log.info(
            "dead letters offered again", taken=len(self._letters) - len(refused), refused=len(refused)
        )
        self._letters, self._batch = {}, None
        self._look_at = 0.0
        return True

    async def _finish(self, letter: KeptLetter, reason: str | None) -> None:
        facts: dict[str, Any] = {"reason": reason or "", "now_ns": self._clock.now_ns()}
        try:
            await self._db.run(deadletters.finish, letter.id, reason is None, **facts)
        except StateError as error:
            self._log.error("dead letter will be offered once more", reason=str(error))

    def put_back(self, batch: Batch) -> None:
        """See `tickerd.dataflow.delivery.Feed`; letters stay in the state file until the sink has answered."""
        if batch is self._batch:
            self._batch = None
        else:
            self._feed.put_back(batch)

    def renew(self, batch: Batch, oldest_ns: int | None) -> Batch:
        """See `tickerd.dataflow.delivery.Feed`; letters stay what they are."""
        return batch if batch is self._batch else self._feed.renew(batch, oldest_ns)

    def discard(self, batch: Batch, reason: str) -> None:
        """See `tickerd.dataflow.delivery.Feed`."""
        if batch is not self._batch:
            self._feed.discard(batch, reason)

    def forfeit(self, batch: Batch) -> int:
        """See `tickerd.dataflow.delivery.Feed`."""
        return 0 if batch is self._batch else self._feed.forfeit(batch)


def _batch(letter: KeptLetter) -> Batch | None:
    """One letter as a batch with its old position, from the copy that was kept."""
    if letter.payload is None or letter.payload_form != "json":
        return None
    try:
        if letter.kind != "tick":
            return Batch(ticks=(), records=[_record(letter.payload)])
        batch = Batch.of([_row(letter.payload)])
    except msgspec.MsgspecError:
        return None
    assert batch.origin is not None
    batch.origin.epoch, batch.origin.seq = letter.position
    if letter.instrument is not None:
        batch.origin.namespace = letter.instrument.namespace
        batch.origin.instruments = {letter.instrument.token: letter.instrument}
    return batch
