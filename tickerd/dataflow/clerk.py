"""Writes down what became of attempts at messages, many at a time; until then a message counts as held."""

from collections.abc import Callable
from dataclasses import dataclass, field

import trio
from structlog.typing import FilteringBoundLogger

from tickerd.dataflow.guard import Guard
from tickerd.state import Database, StateError, outbox
from tickerd.state.deadletters import Letter
from tickerd.state.outbox import Later, Settled

GATHER_S = 0.02
"""How long outcomes are gathered before they are written down."""
MOST_UNWRITTEN = 5000
"""Outcomes that may wait to be written down; then nothing is sent."""
AGAIN_S = 1.0
"""After the state file could not be written."""


@dataclass
class _Outcomes:
    """What became of attempts and is not written down yet."""

    delivered: list[int] = field(default_factory=list)
    later: dict[int, Later] = field(default_factory=dict)
    given_up: list[tuple[int, Letter]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.delivered) + len(self.later) + len(self.given_up)

    def after(self, older: "_Outcomes") -> "_Outcomes":
        """Both; of one message the newer counts."""
        over = {*self.delivered, *(row for row, _ in self.given_up)}
        later = {row: one for row, one in {**older.later, **self.later}.items() if row not in over}
        return _Outcomes(older.delivered + self.delivered, later, older.given_up + self.given_up)


class Clerk:
    """Of one sink's outbox.

    Args:
        ordered: a message that is to be tried again is still held, so that nothing overtakes it, unless it is
            passed by.
        wake: called when something was written down, so that it is held no more.
    """

    def __init__(
        self,
        sink: str,
        db: Database,
        guard: Guard,
        log: FilteringBoundLogger,
        *,
        ordered: bool,
        wake: Callable[[], None],
    ) -> None:
        self._sink = sink
        self._db = db
        self._guard = guard
        self._log = log
        self._ordered = ordered
        self._wake = wake
        self._outcomes = _Outcomes()
        self._something = trio.Event()
        self._written = trio.Event()
        self.held: set[int] = set()
        """Rows that are not to be read again: on their way, or with an outcome that is not written down."""

    def delivered(self, row: int) -> None:
        """It was taken."""
        self._outcomes.delivered.append(row)
        self._outcomes.later.pop(row, None)
        self._something.set()

    def later(self, one: Later) -> None:
        """It was not, and there will be another attempt."""
        self._outcomes.later[one.row] = one
        self._something.set()

    def given_up(self, row: int, letter: Letter) -> None:
        """It was not, and there will be none."""
        self._outcomes.given_up.append((row, letter))
        self._outcomes.later.pop(row, None)
        self._something.set()

    async def room(self) -> None:
        """Wait until not too much has still to be written down."""
        while len(self._outcomes) >= MOST_UNWRITTEN:
            await self._written.wait()

    async def run(self) -> None:
        """Write down until cancelled; call `flush` after that."""
        while True:
            await self._something.wait()
            await trio.sleep(GATHER_S)
            while not await self.flush():  # noqa: ASYNC110 - nothing tells when the file can be written again
                await trio.sleep(AGAIN_S)

    async def flush(self) -> bool:
        """Write down what there is; False: the state file would not have it."""
        done, self._outcomes = self._outcomes, _Outcomes()
        self._something = trio.Event()
        if not len(done):
            return True
        standing = self._guard.standing
        settled = Settled(
            done.delivered, list(done.later.values()), done.given_up, standing.since_ns, standing.failures
        )
        try:
            await self._db.run(outbox.settle, self._sink, settled)
        except StateError as error:
            self._log.error("outcomes cannot be written down, will try again", reason=str(error))
            self._outcomes = self._outcomes.after(done)
            return False
        except BaseException:
            self._outcomes = self._outcomes.after(done)
            raise
        over = [*done.delivered, *(row for row, _ in done.given_up)]
        over += [row for row, later in done.later.items() if later.aside or not self._ordered]
        self.held.difference_update(over)
        self._written.set()
        self._written = trio.Event()
        self._wake()
        return True
