"""How far a durable sink has got: its position and what it keeps beside it, written in one transaction."""

import structlog
import trio

from tickerd.plugin import Clock, Position, Sink
from tickerd.state import Database, StateError, cursors

MAX_KEPT = 2**24


class DurableCommit:
    """`tickerd.dataflow.delivery.Commit` in the state file.

    A state file that cannot be written is an alarm and does not stop the sink: its cursor stays behind, and
    more is delivered again after a crash.

    Args:
        unit: whose cursor it is.
        every_s: between two commits while there is something to commit.
    """

    def __init__(self, db: Database, unit: str, sink: Sink, every_s: float, clock: Clock) -> None:
        self._db = db
        self.unit = unit
        self._sink = sink
        self._every_s = every_s
        self._clock = clock
        self._log = structlog.get_logger().bind(unit=unit)
        self._next = 0.0
        self.position: Position | None = None
        """What is to be made safe; None when everything is."""
        self.committed: Position | None = None

    async def begin(self, fallback: Position) -> Position:
        """Restore the sink to its last commit and give its position; without one, commit ``fallback`` first."""
        found = await self._db.read(cursors.get, self.unit)
        if found is None:
            await self._sink.restore(fallback, b"")
            self.written(fallback)
            await self.now()
            return fallback
        await self._sink.restore(found.position, found.kept)
        self.committed = found.position
        return found.position

    async def stored(self, position: Position) -> None:
        """Somebody else has written the position down, together with what belongs to it."""
        self.committed = position
        self.position = None
        await self._sink.committed()

    @property
    def due(self) -> float:
        """See `tickerd.dataflow.delivery.Commit`."""
        return float("inf") if self.position is None else max(0.0, self._next - trio.current_time())

    def written(self, position: Position) -> None:
        """See `tickerd.dataflow.delivery.Commit`."""
        if self.position is None:
            self._next = trio.current_time() + self._every_s
        self.position = position

    async def now(self) -> None:
        """See `tickerd.dataflow.delivery.Commit`."""
        position = self.position
        if position is None:
            await trio.lowlevel.checkpoint()
            return
        kept = await self._sink.commit()
        if len(kept) > MAX_KEPT:
            raise ValueError(f"a sink may keep at most {MAX_KEPT} bytes with its position, not {len(kept)}")
        self._next = trio.current_time() + self._every_s
        try:
            await self._db.run(cursors.put, self.unit, position, kept=kept, now_ns=self._clock.now_ns())
        except StateError as error:
            self._log.error(
                "position cannot be kept, more will be delivered again after a crash", reason=str(error)
            )
        else:
            self.committed = position
            self.position = None
            await self._sink.committed()
