"""The server: accepts on lent listeners, counts, upgrades, looks after its connections, and takes leave of them."""

import errno
import random
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import trio

from tickerd.plugin import Hosts, Listener, ListenSettings, Principal, ServingContext
from tickerd_plugins.websocket.certificates import Certificate
from tickerd_plugins.websocket.connection import Connection, Gone, Timing
from tickerd_plugins.websocket.face import Admitted, Face
from tickerd_plugins.websocket.handshake import Rules, Upgraded, answer, new_protocol, upgrade
from tickerd_plugins.websocket.limits import Bounds, Census, Verdict
from tickerd_plugins.websocket.options import WebsocketOptions
from tickerd_plugins.websocket.transport import PlainTransport, TlsTransport, Transport
from tickerd_plugins.websocket.visit import Visit, caller, refusal

HANDSHAKE_S = 10.0
"""From connecting to an upgrade, or to the answer that refuses it."""
REFUSING_S = 2.0
REFUSED_AT_ONCE = 64
"""Connections over a limit that are told so; more are cut."""
ACCEPT_PAUSE_S = 0.1
"""When there are no file descriptors left."""
TEND_S = 0.5
TELL_EVERY_S = 10.0
REMEMBER_S, REMEMBERED = 60.0, 1000
"""For how long, and of how many keys, it is known how their last connection ended."""
_NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


@dataclass(frozen=True)
class Door:
    """One lent listener, and what the YAML says of it."""

    listener: trio.SocketListener
    about: Listener
    certificate: Certificate | None = None


class Server:
    """Serves faces on any number of doors; used once. No client can end it or hold it up.

    Args:
        ctx: of the sink.
        options: of the sink.
        faces: asked in this order who answers a path.
    """

    def __init__(self, ctx: ServingContext, options: WebsocketOptions, faces: Sequence[Face]) -> None:
        self._ctx = ctx
        self._options = options
        self._faces = faces
        limits = options.limits
        self._census = Census(
            Bounds(
                connections=limits.connections,
                per_address=limits.per_address,
                unknown_per_address=limits.unknown_per_address,
                new_per_s=limits.new_per_second,
                new_at_once=round(limits.new_per_second * 10),
            )
        )
        self._rules = Rules(
            hosts=Hosts([entry.address for entry in options.listen], options.hosts),
            origins=options.origins,
            trusted_proxies=options.trusted_proxies,
            faces=faces,
        )
        self._timing = Timing(stall=options.stall)
        self._farewells: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._made = 0
        self._refusing = 0
        self._doors: Sequence[Door] = ()
        self._told_at = float("-inf")
        self._nursery: trio.Nursery | None = None
        self.connections: dict[str, Connection] = {}
        """Those that were upgraded, by id."""
        self._visits: dict[str, Visit] = {}
        self.draining = False
        self._gone = trio.Event()

    # -- life --------------------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until ``ctx.stopping``, then take leave of all; or until cancelled, then cut them all."""
        doors = self._doors = [await self._open(entry) for entry in self._options.listen]
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._tend)
                async with trio.open_nursery() as accepting:
                    for door in doors:
                        accepting.start_soon(self._accept, door)
                        if door.certificate is not None:
                            accepting.start_soon(door.certificate.follow, self._ctx.log)
                    task_status.started()
                    await self._ctx.stopping.wait()
                    accepting.cancel_scope.cancel()
                await self._drain()
                nursery.cancel_scope.cancel()
        finally:
            self._cut_all()

    async def _open(self, entry: ListenSettings) -> Door:
        listener = await self._ctx.listen(entry.address)
        assert isinstance(listener, trio.SocketListener)
        auth = self._options.auth if entry.auth is None else entry.auth
        about = Listener(address=entry.address, auth=auth)
        if entry.scopes is not None:
            about = Listener(address=entry.address, auth=auth, scopes=frozenset(entry.scopes))
        certificate = None if entry.tls is None else await trio.to_thread.run_sync(Certificate, entry.tls)
        return Door(listener, about, certificate)

    async def _drain(self) -> None:
        """Send everybody away, in any order and spread over the time there is, so that not all come back at once."""
        self.draining = True
        leaving = list(self.connections.values())
        random.shuffle(leaving)
        over = self._options.drain
        with trio.move_on_after(over + self._timing.close):
            for connection in leaving:
                await self._face(connection).drain(connection)
            for place, connection in enumerate(leaving, 1):
                connection.close(self._face(connection).drain_code, "draining")
                if place < len(leaving):
                    await trio.sleep(over / len(leaving))
            while self.connections:
                self._gone = trio.Event()
                await self._gone.wait()

    def _cut_all(self) -> None:
        for connection in list(self.connections.values()):
            connection.abort("draining")

    def _face(self, connection: Connection) -> Face:
        return next(face for face in self._faces if face.name == connection.face)

    async def _tend(self) -> None:
        """What has to be looked at now and then, for all in one task: idle connections cost nothing."""
        while True:
            await trio.sleep(TEND_S)
            now, now_ns = trio.current_time(), self._ctx.clock.now_ns()
            for place, connection in enumerate(list(self.connections.values()), 1):
                connection.tend(now)
                principal = connection.principal
                if principal is not None and not principal.validity.holds(now_ns):
                    revoked = principal.validity.ended == "revoked"
                    connection.close(*((4503, "key_revoked") if revoked else (4002, "key_expired")))
                if place % 256 == 0:
                    await trio.lowlevel.checkpoint()
            self._report()

    def _report(self) -> None:
        clients = Counter(connection.face for connection in self.connections.values())
        facts: dict[str, Any] = {f"clients_{face.name}": clients[face.name] for face in self._faces}
        facts["clients"] = len(self.connections)
        facts["connections"] = len(self._census)
        facts["clogged"] = sum(connection.clogged for connection in self.connections.values())
        self._ctx.report("draining" if self.draining else "serving", **facts)

    # -- one connection ----------------------------------------------------------------------------------

    async def _accept(self, door: Door) -> None:
        assert self._nursery is not None
        while True:
            try:
                stream = await door.listener.accept()
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                self._tell("cannot accept connections", reason=str(error))
                self._ctx.count("refused_no_room")
                await trio.sleep(ACCEPT_PAUSE_S)
            else:
                self._nursery.start_soon(self._guarded, door, stream)

    async def _guarded(self, door: Door, stream: trio.SocketStream) -> None:
        """What goes wrong in a connection ends that connection alone."""
        try:
            await self._welcome(door, stream)
        except (OSError, trio.ClosedResourceError, trio.BrokenResourceError):
            self._ctx.count("broken_handshakes")
        except Exception:
            self._ctx.count("failed_connections")
            self._ctx.log.exception("connection failed")
        finally:
            stream.socket.close()

    async def _welcome(self, door: Door, stream: trio.SocketStream) -> None:
        request = caller(door.about, stream)
        visit = Visit(self._census, request, self._options.trusted_proxies)
        verdict = visit.enter()
        if verdict is not None:
            await self._turn_away(door, stream, verdict)
            return
        try:
            transport = _transport(door, stream)
            found: Upgraded | None = None
            protocol = new_protocol(compress=self._options.compress)
            with trio.move_on_after(HANDSHAKE_S) as limit:
                await transport.shake_hands()
                found = await upgrade(
                    transport,
                    protocol,
                    request,
                    self._rules,
                    visit.moved,
                    partial(self._claim, visit),
                    tls=door.certificate is not None,
                )
            if found is None:
                self._ctx.count("handshake_timeouts" if limit.cancelled_caught else "refused_handshakes")
                await _linger(transport)
                return
            self._made += 1
            connection = Connection(
                self,
                transport,
                protocol,
                id=f"{self._ctx.position.epoch}-{self._made}",
                peer=visit.name,
                face=found[0].name,
                timing=self._timing,
            )
            self._visits[connection.id] = visit
            await self._serve(connection, *found)
        finally:
            visit.leave()

    async def _serve(self, connection: Connection, face: Face, admitted: Admitted) -> None:
        self.connections[connection.id] = connection
        self._ctx.count(f"opened_{face.name}")
        try:
            if admitted.principal is None or connection.known_as(admitted.principal):
                with connection.scope:
                    await self._talk(connection, face, admitted)
            await connection.finish()
        finally:
            connection.abort("stopped")
            del self.connections[connection.id], self._visits[connection.id]
            self._forget(connection)
            self._gone.set()

    async def _talk(self, connection: Connection, face: Face, admitted: Admitted) -> None:
        try:
            await face.serve(connection, admitted)
        except Gone:
            return
        except Exception:
            self._ctx.count("failed_connections")
            self._ctx.log.exception("connection failed", face=face.name, peer=connection.peer)
            connection.close(1011, "internal")
        connection.close(1000)

    def _forget(self, connection: Connection) -> None:
        why = connection.ended
        self._ctx.count(f"ended_{why}")
        principal = connection.principal
        self._ctx.log.debug(
            "client gone",
            face=connection.face,
            peer=connection.peer,
            who=None if principal is None else principal.id,
            reason=why,
        )
        if principal is None:
            return
        self._farewells[principal.id] = (trio.current_time(), why)
        self._farewells.move_to_end(principal.id)
        if len(self._farewells) > REMEMBERED:
            self._farewells.popitem(last=False)

    def farewell(self, principal: Principal) -> str | None:
        """How his last connection ended, if that is not long ago."""
        when, why = self._farewells.get(principal.id, (float("-inf"), None))
        return why if trio.current_time() - when <= REMEMBER_S else None

    async def _turn_away(self, door: Door, stream: trio.SocketStream, verdict: Verdict) -> None:
        self._ctx.count(f"refused_{verdict.limit}")
        self._tell("connections are turned away", limit=verdict.limit, listener=door.about.address)
        if door.certificate is not None or self._refusing >= REFUSED_AT_ONCE:
            return
        self._refusing += 1
        try:
            with trio.move_on_after(REFUSING_S):
                transport = PlainTransport(stream)
                await transport.read()
                await answer(transport, refusal(verdict))
                await _linger(transport)
        finally:
            self._refusing -= 1

    def _tell(self, event: str, **fields: Any) -> None:
        """A flood of connections is no flood of log lines."""
        now = trio.current_time()
        if now - self._told_at >= TELL_EVERY_S:
            self._told_at = now
            self._ctx.log.warning(event, **fields)

    # -- what connections need: `tickerd_plugins.websocket.connection.Host` ------------------------------

    def spawn(self, task: Callable[[], Awaitable[None]]) -> None:
        """See `Host.spawn`."""
        assert self._nursery is not None
        self._nursery.start_soon(self._spawned, task)

    async def _spawned(self, task: Callable[[], Awaitable[None]]) -> None:
        try:
            await task()
        except Exception:
            self._ctx.count("failed_connections")
            self._ctx.log.exception("writing to a client failed")

    def count(self, reason: str, n: int = 1) -> None:
        """See `Host.count`."""
        self._ctx.count(reason, n)

    def known(self, connection: Connection, principal: Principal) -> bool:
        """See `Host.known`."""
        return self._claim(self._visits[connection.id], principal)

    def _claim(self, visit: Visit, principal: Principal) -> bool:
        if visit.claim(principal, self._options.limits.per_key):
            return True
        self._ctx.count("refused_per_key")
        return False


def _transport(door: Door, stream: trio.SocketStream) -> Transport:
    if door.certificate is None:
        return PlainTransport(stream)
    return TlsTransport(stream, door.certificate.context)


async def _linger(transport: Transport) -> None:
    """Let the client read the answer: closing with unread bytes would cut it."""
    transport.shut()
    with trio.move_on_after(REFUSING_S), suppress(OSError):
        while await transport.read():
            pass
