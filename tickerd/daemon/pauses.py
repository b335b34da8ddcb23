"""Which sinks are paused: kept in the state file, and paused again after a restart."""

from sqlite3 import Connection
from typing import Any

import structlog

from tickerd.runtime.house import House
from tickerd.state import audit, runtime
from tickerd.state.keys import By

NAMESPACE = "paused"
"""In `tickerd.state.runtime`: sink → by whom and since when."""


class Pauses:
    """What is in the file goes before what is in force.

    Args:
        house: what units share.
    """

    def __init__(self, house: House) -> None:
        self._house = house
        self._log = structlog.get_logger()

    async def restore(self) -> None:
        """Before any sink starts."""
        for sink in await self._house.db.read(runtime.every, NAMESPACE):
            self._house.valves.of(sink).close()
            self._log.warning("sink is paused since before the restart", sink=sink)

    async def pause(self, sink: str, by: By) -> None:
        """Hand it nothing more."""
        since = {"by": by.who, "since_ns": self._house.clock.now_ns()}
        await self._house.db.run_synced(_write, sink, since, by, self._house.clock.now_ns())
        self._house.valves.of(sink).close()

    async def resume(self, sink: str, by: By) -> None:
        """Go on."""
        await self._house.db.run_synced(_write, sink, None, by, self._house.clock.now_ns())
        self._house.valves.of(sink).open()


def _write(connection: Connection, sink: str, since: dict[str, Any] | None, by: By, now_ns: int) -> None:
    """With its line of the trail, where it changes anything."""
    before = runtime.get(connection, NAMESPACE, sink)
    if (before is None) == (since is None):
        return
    if since is None:
        runtime.remove(connection, NAMESPACE, sink)
    else:
        runtime.put(connection, NAMESPACE, sink, since, now_ns=now_ns)
    change = audit.Change(
        when_ns=now_ns,
        who=by.who,
        what="sinks.resume" if since is None else "sinks.pause",
        origin=by.origin,
        before={"sink": sink, "paused": before is not None},
        after={"sink": sink, "paused": since is not None},
    )
    audit.append(connection, change)
