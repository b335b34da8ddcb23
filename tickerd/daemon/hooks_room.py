"""The hooks listener of a running feed, kept to the configuration in force. Imported only where the file has it."""

from collections.abc import Sequence

import trio

from tickerd.config import Compiled
from tickerd.config.access import HooksSettings
from tickerd.control.hooks import Doorway, HooksCompartment, HooksReach
from tickerd.control.server import Door
from tickerd.control.tls import server_context
from tickerd.daemon.feed import Feed
from tickerd.plugin import AnyRecord
from tickerd.plugin.inbound import Inbound

STOP_S = 5.0
"""How long requests in flight have when tickerd stops."""


class HooksRoom:
    """Callbacks of logins, and reports of other programs.

    Args:
        feed: what they are for.
        settings: its section; where it listens stays so until tickerd is restarted.
    """

    def __init__(self, feed: Feed, settings: HooksSettings) -> None:
        self._feed = feed
        self._settings = settings
        self._closed = trio.Event()
        doorway = Doorway(login=feed.logins.of, inbound=self._inbound, publish=self._publish)
        self._compartment = HooksCompartment(doorway, reach(settings, settings))
        feed.renewals.append(self._renew)

    async def run(  # noqa: ASYNC128 - the compartment says when it has started
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve until `stop`.

        Raises:
            OSError: the address cannot be listened on, or the certificate cannot be read.
        """
        settings = self._settings
        listener = await self._feed.house.listeners.lend(settings.listen, permanent=True)
        tls = None if settings.tls is None else server_context(settings.tls.cert, settings.tls.key)
        try:
            await self._compartment.run([Door(settings.listen, listener, tls)], task_status=task_status)
        finally:
            self._closed.set()

    async def stop(self) -> None:
        """Let requests in flight finish, within the limit."""
        self._compartment.stop()
        with trio.move_on_after(STOP_S):
            await self._closed.wait()

    def _renew(self, compiled: Compiled) -> None:
        if compiled.settings.hooks is not None:
            self._compartment.renew(reach(self._settings, compiled.settings.hooks))

    def _inbound(self, unit: str) -> Inbound | None:
        running = self._feed.running_source(unit)
        return running if isinstance(running, Inbound) else None

    def _publish(self, unit: str, records: Sequence[AnyRecord]) -> None:
        """As those of that source."""
        now_ns = self._feed.house.clock.now_ns()
        for record in records:
            record.source = unit
            record.ts_recv = record.ts_recv or now_ns
        if records:
            self._feed.house.hub.publish_records(*records)


def reach(door: HooksSettings, rules: HooksSettings) -> HooksReach:
    """Who can reach it.

    Args:
        door: where it listens.
        rules: names and proxies in force.
    """
    return HooksReach(listening=[door.listen], hosts=rules.hosts, trusted_proxies=rules.trusted_proxies)
