"""The stream protocol ``tickerd.v1``: the face that speaks it, and what it does for all its clients together."""

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import parse_qsl

import trio

from tickerd.plugin import AnyRecord, Batch, Credential, Gap, Market, Status
from tickerd_plugins.websocket.backlog import Backlog
from tickerd_plugins.websocket.client import Client
from tickerd_plugins.websocket.connection import Connection
from tickerd_plugins.websocket.encoding import ENCODINGS, JSON, Encoding
from tickerd_plugins.websocket.face import Admitted, Asking, Refused
from tickerd_plugins.websocket.groups import Group, Groups
from tickerd_plugins.websocket.notices import OWN, gap_notice
from tickerd_plugins.websocket.requests import INTERVALS_MS
from tickerd_plugins.websocket.shared import Shared
from tickerd_plugins.websocket.talk import UNKNOWN_BYTES, Talk

WRITES = 16
"""After so many, others have their turn."""
_STEP_S = 0.05
"""The shortest interval; all others are multiples of it."""
_LOOK_S = 0.5
_SPREAD_S = 5.0
"""Over how much more than the time of leaving those who were sent away shall come back."""
_IN_URL = frozenset({"key", "api_key", "token", "access_token", "auth"})
"""Names under which somebody may put a key where it would be logged."""


class StreamFace:
    """See `tickerd_plugins.websocket.face.Face`."""

    name = "v1"
    max_message = UNKNOWN_BYTES
    drain_code = 4000

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.ctx = shared.ctx
        self.groups = Groups(shared.joined.seq)
        self.clients: dict[Client, None] = {}
        """Those that have shown who they are."""
        self.states: dict[tuple[str | None, int | None], Status] = {}
        """The last word of each upstream connection."""
        self.backlog = Backlog(shared.options.stream.resume_buffer, shared.joined)
        self._path = shared.options.path
        self._newest: dict[str | None, int] = {}
        self._waiting = trio.Event()
        self._tables: tuple[object, ...] = ()

    # -- one client --------------------------------------------------------------------------------------

    def answers(self, path: str) -> bool:
        """See `Face.answers`."""
        return path == self._path

    async def admit(self, asking: Asking) -> Admitted:
        """See `Face.admit`: by header or ticket; who shows nothing yet may do so in a message."""
        encoding = _encoding(asking.subprotocols)
        request = asking.request
        blocked = self.ctx.blocked(request)
        if blocked is not None:
            raise Refused(429, "too many wrong keys", retry_after=round(blocked.retry_after_s) + 1)
        query = dict(parse_qsl(asking.query, keep_blank_values=True, max_num_fields=10, errors="replace"))
        if not _IN_URL.isdisjoint(query):
            raise Refused(400, "a key does not belong into an address: send it in a header or message")
        bearer = request.headers.get("authorization", "")
        shown = None
        if "ticket" in query:
            shown = Credential(query["ticket"], "ticket")
        elif bearer[:7].lower() == "bearer ":
            shown = Credential(bearer[7:].strip(), "header")
        principal = await self.ctx.authenticate(replace(request, credential=shown))
        if principal is None and bearer:
            raise Refused(401, "unauthorized")
        refused = principal is None and "ticket" in query  # a page cannot see why an upgrade is refused
        return Admitted(
            principal,
            encoding.subprotocol if asking.subprotocols else None,
            told_later="ticket" in query,
            extra=(encoding, request, refused),
        )

    async def serve(self, connection: Connection, admitted: Admitted) -> None:
        """See `Face.serve`."""
        encoding, request, refused = admitted.extra
        await Talk(self, connection, encoding, request).run(admitted.principal, refused=refused)

    async def drain(self, connection: Connection) -> None:
        """See `Face.drain`."""
        await trio.lowlevel.checkpoint()
        window = self.shared.options.drain
        client = next((one for one in self.clients if one.connection is connection), None)
        if client is not None:
            client.tell(
                "bye", reason="draining", reconnect_after_ms=[500, round((window + _SPREAD_S) * 1000)]
            )

    def told(self, status: Status) -> dict[str, object]:
        """A status as clients are told it."""
        newest = self._newest.get(status.source)
        return {
            "source": status.source,
            "connection": status.connection,
            "state": status.state,
            "detail": status.detail,
            "since_ns": status.ts_recv,
            "epoch": status.epoch,
            "seq": status.seq,
            "age_ms": None if newest is None else (self.ctx.clock.now_ns() - newest) // 1_000_000,
        }

    # -- the stream --------------------------------------------------------------------------------------

    async def distribute(self, batches: Sequence[Batch]) -> None:
        """See `Face.distribute`."""
        for batch in batches:
            self._remember(batch)
        self.groups.route(batches)
        self._report_undecodable()
        now = self.groups.due((0.0,))
        if len(self.groups) > len(now):
            self._waiting.set()
        await self._fly(now)
        for batch in batches:
            for record in batch.records:
                await self._tell_all(record)

    def _remember(self, batch: Batch) -> None:
        if any(isinstance(record, Gap) and record.reason in OWN for record in batch.records):
            self.backlog.clear(batch.last)
        if batch.origin is not None:
            self._newest[batch.origin.source] = batch.origin.ts_recv
        if batch.origin is not None or batch.ticks:
            self.backlog.add(batch)

    async def _fly(self, groups: Sequence[Group]) -> None:
        written = 0
        for group in groups:
            flight = group.take(self.groups.position)
            if flight is None:
                continue
            for _ in flight:
                written += 1
                if not written % WRITES:
                    await trio.lowlevel.checkpoint()
            group.flight = None

    def _report_undecodable(self) -> None:
        if self.groups.undecodable:
            self.ctx.count("undecodable", self.groups.undecodable)
            self.groups.undecodable = 0

    async def _tell_all(self, record: AnyRecord) -> None:
        if isinstance(record, Status):
            self.states[record.source, record.connection] = record
            message = {"t": "status", **self.told(record)}
        elif isinstance(record, Market):
            message = {"t": "market", "exchange": record.exchange, "event": record.event, "seq": record.seq}
        elif isinstance(record, Gap):
            message = {"t": "gap", **gap_notice(record)}
        else:
            return
        ready = {name: encoding.frame(message) for name, encoding in ENCODINGS.items()}
        for written, client in enumerate(list(self.clients), 1):
            client.connection.send(ready[client.encoding.subprotocol])
            if not written % WRITES:
                await trio.lowlevel.checkpoint()

    async def run(self) -> None:
        """See `Face.run`."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_time)
            nursery.start_soon(self._look_after)

    async def _keep_time(self) -> None:
        """Send what goes out in intervals; they begin at the same moments for all."""
        steps = [(round(ms / 1000 / _STEP_S), ms / 1000) for ms in INTERVALS_MS if ms]
        while True:
            await self._waiting.wait()
            self._waiting = trio.Event()
            now = trio.current_time()
            step = int(now / _STEP_S) + 1
            await trio.sleep_until(step * _STEP_S)
            await self._fly(self.groups.due(interval for every, interval in steps if not step % every))
            if self.groups.due(interval for _, interval in steps):
                self._waiting.set()

    async def _look_after(self) -> None:
        while True:
            await trio.sleep(_LOOK_S)
            self.groups.settle()
            self._beat()
            await self._follow_tables()

    def _beat(self) -> None:
        """Those who have heard nothing for long hear that nothing happened."""
        quiet = trio.current_time() - self.shared.options.heartbeat + _LOOK_S
        now_ns, position = self.ctx.clock.now_ns(), self.groups.position
        for client in self.clients:
            if client.connection.last_sent <= quiet and not client.connection.clogged and not client.waits:
                client.tell("hb", time_ns=now_ns, fs=client.fs, seq=position)

    async def _follow_tables(self) -> None:
        """A token that means another instrument today is not what the client asked for: it has to ask again."""
        tables = tuple(self.ctx.instruments.tables())
        same = len(tables) == len(self._tables) and all(map(_is, tables, self._tables))
        before, self._tables = self._tables, tables
        if same or not before:
            return
        for client in list(self.clients):
            for held in list(client.held.values()):
                symbol = held.instrument.symbol if held.instrument.tradingsymbol else None
                if symbol is None:
                    continue
                found = self.ctx.instruments.find(symbol)
                if found is None or found.token != held.instrument.token:
                    client.connection.close(4011, "state_reset")
                    break
            await trio.lowlevel.checkpoint()


def _is(one: object, other: object) -> bool:
    return one is other


def _encoding(offered: Sequence[str]) -> Encoding:
    if not offered:
        return ENCODINGS[JSON]
    for name in offered:
        if name in ENCODINGS:
            return ENCODINGS[name]
    raise Refused(400, f"unsupported_protocol: there are {', '.join(ENCODINGS)}")
