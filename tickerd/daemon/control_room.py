"""The control API of a running feed, kept to the configuration in force. Imported only where the file has it."""

import msgspec
import trio

from tickerd.config import Compiled
from tickerd.config.access import ControlSettings
from tickerd.control.access import Access
from tickerd.control.broadcast import Broadcast
from tickerd.control.compartment import Compartment
from tickerd.control.desk import Desk
from tickerd.control.reception import Reach
from tickerd.control.server import Door
from tickerd.control.tls import server_context
from tickerd.daemon.facade import DaemonFacade
from tickerd.daemon.feed import Feed
from tickerd.daemon.steering import DaemonSteering
from tickerd.dataflow.subscription import Filter
from tickerd.plugin import Listener, record_kind
from tickerd.plugin.listening import ListenSettings
from tickerd.runtime.kept import kept
from tickerd.runtime.unit import Unit
from tickerd.state.keyring import Keyring

STOP_S = 5.0
"""How long requests in flight have when tickerd stops."""
EVENTS_BUFFER = 2**20
"""Bytes of control records that may wait to be broadcast."""
OF_THE_ACCOUNT = ("order", "notice", "report")
"""Kinds of control records that are not for every caller."""


class ControlRoom:
    """The control API of a running feed.

    Args:
        feed: what it shows and steers.
        settings: its section; where it listens stays so until tickerd is restarted.
        access: who may do what.
        keys: its API keys.
    """

    def __init__(self, feed: Feed, settings: ControlSettings, access: Access, keys: Keyring) -> None:
        self._feed = feed
        self._settings = settings
        self._access = access
        self._closed = trio.Event()
        self.events = Broadcast(feed.house.hub.epoch)
        self.facade = DaemonFacade(feed, self.events)
        desk = Desk(steering=DaemonSteering(feed), db=feed.house.db, keys=keys, tickets=access.tickets)
        self._compartment = Compartment(self.facade, access, reach(settings, settings), desk=desk)
        feed.listeners.append(self._unit_changed)
        feed.renewals.append(self._renew)
        feed.reloaded.append(lambda verdict: self.events.publish("reload", verdict.data()))

    async def run(  # noqa: ASYNC128 - the compartment says when it has started
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve until `stop`.

        Raises:
            OSError: an address cannot be listened on, or a certificate cannot be read.
        """
        doors = [await self._door(entry) for entry in self._settings.listen]
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(kept, "events", self._tell_records)
                await self._compartment.run(doors, task_status=task_status)
                nursery.cancel_scope.cancel()
        finally:
            self._closed.set()

    async def stop(self) -> None:
        """Let requests in flight finish, within the limit."""
        self._compartment.stop()
        with trio.move_on_after(STOP_S):
            await self._closed.wait()

    async def _door(self, entry: ListenSettings) -> Door:
        listener = await self._feed.house.listeners.lend(entry.address, permanent=True)
        tls = None if entry.tls is None else server_context(entry.tls.cert, entry.tls.key)
        return Door(entry.address, listener, tls)

    def _renew(self, compiled: Compiled) -> None:
        settings = compiled.settings
        self._access.configure(settings.auth, settings.rate_limits)
        if settings.control is not None:
            self._compartment.renew(reach(self._settings, settings.control))

    def _unit_changed(self, unit: Unit) -> None:
        self.events.publish("unit", {"unit": unit.name, "state": unit.state, "detail": unit.detail})

    async def _tell_records(self) -> None:
        """Broadcast gaps, changes of state and the like as they are published."""
        _, waiting = self._feed.house.hub.subscribe(
            "control", "drop_oldest", EVENTS_BUFFER, Filter(ticks=False)
        )
        try:
            while True:
                for record in (await waiting.receive()).records:
                    kind = record_kind(record)
                    told = {"kind": kind} | msgspec.to_builtins(record)
                    self.events.publish("record", told, private=kind in OF_THE_ACCOUNT)
        except trio.EndOfChannel:
            return
        finally:
            waiting.close()


def reach(doors: ControlSettings, rules: ControlSettings) -> Reach:
    """Who can reach the API.

    Args:
        doors: where it listens.
        rules: names, pages and proxies in force.
    """
    known = {entry.address: entry for entry in rules.listen}
    return Reach(
        listeners=[_listener(known.get(entry.address, entry), rules) for entry in doors.listen],
        hosts=rules.hosts,
        origins=rules.origins,
        trusted_proxies=rules.trusted_proxies,
    )


def _listener(entry: ListenSettings, settings: ControlSettings) -> Listener:
    auth = settings.auth if entry.auth is None else entry.auth
    if entry.scopes is None:
        return Listener(address=entry.address, auth=auth)
    return Listener(address=entry.address, auth=auth, scopes=frozenset(entry.scopes))
