"""The conversation with one client of the stream protocol: who it is, what it asks, and the answers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import trio

from tickerd.plugin import Batch, Credential, Mode, Position, Principal
from tickerd.plugin import Request as Caller
from tickerd.plugin.scopes import TICKS
from tickerd_plugins.websocket import requests
from tickerd_plugins.websocket.client import Client, Held
from tickerd_plugins.websocket.connection import Connection
from tickerd_plugins.websocket.demand import key_of
from tickerd_plugins.websocket.encoding import Encoding
from tickerd_plugins.websocket.finding import ITEMS_PER_REQUEST, Finder, Found, cost
from tickerd_plugins.websocket.groups import Ident, Kind, bodies, encode
from tickerd_plugins.websocket.lane import Backpressure, Lane
from tickerd_plugins.websocket.pace import WAIT_S, Bucket, Errors
from tickerd_plugins.websocket.requests import Bad
from tickerd_plugins.websocket.resume import Resumption
from tickerd_plugins.websocket.rows import COLUMNS

if TYPE_CHECKING:
    from tickerd_plugins.websocket.v1 import StreamFace

VERSION = 1
UNKNOWN_BYTES, UNKNOWN_MESSAGES = 4096, 3
"""What a client may say before it has shown who it is."""
KNOWN_BYTES = 65_536
CHUNK = 500
"""Instruments in one frame of a snapshot."""
PAGE = 1000
"""Instruments in one answer to ``list``."""


class Talk:
    """One connection."""

    def __init__(
        self, face: "StreamFace", connection: Connection, encoding: Encoding, caller: Caller
    ) -> None:
        stream, limits = face.shared.options.stream, face.shared.options.limits
        self._face = face
        self._ctx = face.ctx
        self._caller = caller
        self._connection = connection
        limit = Backpressure(stream.buffer, stream.age, stream.overflow == "disconnect")
        self.client = Client(connection, encoding, face.groups, limit, face.ctx.count)
        self._most_items = limits.items
        self._bucket = Bucket(limits.control_rate, limits.control_rate * 2.5, trio.current_time())
        self._malformed, self._too_fast = Errors(), Errors()

    async def run(self, principal: Principal | None, *, refused: bool) -> None:
        """Talk until it is gone."""
        self._welcome(principal)
        if refused:
            self._connection.close(4501, "unauthorized")
        if principal is None:
            principal = await self._introduce()
        if principal is None or not self._enter(principal):
            return
        try:
            while True:
                await self._next()
        finally:
            self._leave()

    # -- who it is ---------------------------------------------------------------------------------------

    def _welcome(self, principal: Principal | None) -> None:
        options = self._face.shared.options
        previous = None if principal is None else self._face.shared.farewell(principal)
        self.client.tell(
            "welcome",
            v=VERSION,
            connection=self._connection.id,
            epoch=self._ctx.position.epoch,
            seq=self._ctx.position.seq,
            time_ns=self._ctx.clock.now_ns(),
            hb_s=options.heartbeat,
            auth_deadline_s=options.auth_deadline,
            limits={
                "items": self._most_items,
                "items_per_request": ITEMS_PER_REQUEST,
                "message_bytes": KNOWN_BYTES,
                "requests_per_s": options.limits.control_rate,
                "intervals_ms": requests.INTERVALS_MS,
            },
            columns=COLUMNS,
            previous=previous,
        )

    async def _introduce(self) -> Principal | None:
        """Wait for its first message."""
        opened, deadline = self._connection.opened, self._face.shared.options.auth_deadline
        with trio.move_on_at(opened + deadline):
            for _ in range(UNKNOWN_MESSAGES):
                request = await self._read()
                if isinstance(request, requests.Auth):
                    return await self._check(request)
                if isinstance(request, requests.Ping):
                    self._pong(request)
                elif request is not None:
                    self.client.fail("unauthorized", "show who you are first", id=request.id)
            self._connection.close(4501, "unauthorized")
            return None
        self._ctx.count("auth_timeouts")
        self._connection.close(4001, "auth_timeout")
        return None

    async def _check(self, request: requests.Auth) -> Principal | None:
        shown = None
        if request.ticket is not None:
            shown = Credential(request.ticket, "ticket")
        elif request.key is not None:
            shown = Credential(request.key, "message")
        principal = await self._ctx.authenticate(replace(self._caller, credential=shown))
        if principal is None:
            self.client.fail("unauthorized", "this key or ticket is not known", id=request.id)
            self._connection.close(4501, "unauthorized")
            return None
        return principal if self._connection.known_as(principal) else None

    def _enter(self, principal: Principal) -> bool:
        if not self._ctx.authorize(principal, TICKS):
            self._connection.close(4502, "forbidden_scope")
            return False
        self.client.principal = principal
        self._finder = Finder(self._ctx.instruments, principal)
        self._connection.allow(KNOWN_BYTES)
        self.client.tell(
            "auth_ok",
            who=principal.id,
            scopes=sorted(principal.scopes),
            expires_ns=principal.expires_at,
            previous=self._face.shared.farewell(principal),
        )
        for status in self._face.states.values():
            self.client.tell("status", **self._face.told(status))
        self._face.clients[self.client] = None
        return True

    def _leave(self) -> None:
        self._face.clients.pop(self.client, None)
        self.client.leave()
        self._face.shared.wants.drop(self._connection.id)

    # -- requests ----------------------------------------------------------------------------------------

    async def _read(self) -> requests.Request | None:
        """The next request; None: it made no sense."""
        message = await self._connection.receive()
        try:
            return requests.read(message, self.client.encoding)
        except requests.WrongType:
            self._connection.close(1003, "wrong_type of frame for this encoding")
        except Bad as bad:
            self._object(bad)
        return None

    def _object(self, bad: Bad) -> None:
        self.client.fail(bad.code, bad.text, id=bad.id)
        if bad.code == "bad_request" and self._malformed.too_many(trio.current_time()):
            self._connection.close(4500, "bad_request")

    async def _next(self) -> None:
        request = await self._read()
        if request is None or not await self._in_time(request):
            return
        try:
            await self._do(request)
        except Bad as bad:
            bad.id = request.id
            self._object(bad)

    async def _in_time(self, request: requests.Request) -> bool:
        """Whether it may be done; a little too fast is only slowed down."""
        wait = self._bucket.take(trio.current_time(), cost(request))
        if wait <= WAIT_S:
            await trio.sleep(wait)
            return True
        self.client.fail(
            "rate_limited",
            "too many requests",
            id=request.id,
            temporary=True,
            retry_after_ms=round(wait * 1000),
        )
        if self._too_fast.too_many(trio.current_time()):
            self._connection.close(4010, "rate_limited")
        return False

    async def _do(self, request: requests.Request) -> None:
        match request:
            case requests.Subscribe():
                await self._subscribe(request)
            case requests.Resume():
                await self._resume(request)
            case requests.Unsubscribe():
                self._unsubscribe(request)
            case requests.List():
                await self._list(request)
            case requests.Ping():
                self._pong(request)
            case requests.Auth():
                raise Bad("bad_request", "it is known already who you are")

    def _pong(self, request: requests.Ping) -> None:
        self.client.tell("pong", id=request.id, echo=request.t, time_ns=self._ctx.clock.now_ns())

    # -- subscribing -------------------------------------------------------------------------------------

    async def _subscribe(self, request: requests.Subscribe) -> None:
        kind = Kind(self.client.encoding, request.delivery == "stream", requests.interval_of(request))
        lane, mode = self.client.lane(kind), requests.mode_of(request)
        found = await self._finder.find(request)
        items = self._admit(found, lane, mode)
        self._acknowledge(request, found, items)
        if request.snapshot:
            await self._show(request.id, lane, items)
        else:
            self.client.take(lane, items.items())

    async def _resume(self, request: requests.Resume) -> None:
        kind = Kind(self.client.encoding, True, requests.interval_of(request))
        lane, mode = self.client.lane(kind), requests.mode_of(request)
        found = await self._finder.find(request)
        after = Position(request.epoch, request.seq)
        items = self._admit(found, lane, mode)
        history = None
        assert self.client.principal is not None
        if self._ctx.authorize(self.client.principal, "history:read"):
            history = self._face.backlog.history(after) or await self._ctx.history(after)
        self._acknowledge(request, found, items, recovered=history is not None)
        if history is None:
            await self._show(request.id, lane, items)
        else:
            await Resumption(self._face, self.client, lane, items, history).run()

    def _admit(self, found: Found, lane: Lane, mode: Mode) -> dict[Ident, Held]:
        """Those that it does not have yet in this way, and that can be had."""
        items: dict[Ident, Held] = {}
        room = self._most_items - len(self.client.held)
        for instrument, key in found.instruments.items():
            ident = self._face.groups.ident(instrument.namespace, instrument.token)
            before = self.client.held.get(ident)
            if before is not None and (before.lane, before.mode) == (lane, mode):
                found.rejected.append({"item": key, "code": "already_subscribed"})
            elif before is None and room <= 0:
                found.rejected.append({"item": key, "code": "item_limit"})
            else:
                room -= before is None
                items[ident] = Held(instrument, mode, lane)
        return self._ask_upstream(found, items)

    def _ask_upstream(self, found: Found, items: dict[Ident, Held]) -> dict[Ident, Held]:
        wants, owner = self._face.shared.wants, self._connection.id
        refused = wants.change(owner, {key_of(one.instrument): one.mode for one in items.values()})
        if not refused:
            return items
        kept: dict[Ident, Held] = {}
        for ident, one in items.items():
            code = refused.get(key_of(one.instrument))
            if code is None:
                kept[ident] = one
            else:
                item = found.instruments[one.instrument]
                found.rejected.append({"item": item, "code": code, "temporary": code != "unknown_symbol"})
        self._want_again(owner, refused)
        return kept

    def _want_again(self, owner: str, refused: Mapping[str | int, str]) -> None:
        """What was refused is wanted no more, or as it was before."""
        before = {key_of(one.instrument): one.mode for one in self.client.held.values()}
        self._face.shared.wants.change(owner, {key: before.get(key) for key in refused})

    def _acknowledge(
        self,
        request: requests.Live,
        found: Found,
        items: Mapping[Ident, Held],
        **members: Any,
    ) -> None:
        named = [
            [one.instrument.token, one.instrument.symbol]
            for one in items.values()
            if isinstance(found.instruments[one.instrument], str)
        ]
        total = len(self.client.held.keys() | items.keys())
        self._answer(
            request, accepted=len(items), total=total, rejected=found.rejected, instruments=named, **members
        )

    def _answer(self, request: requests.Request, **members: Any) -> None:
        op = type(request).__struct_config__.tag
        position = self._ctx.position
        self.client.tell("ack", id=request.id, op=op, epoch=position.epoch, seq=position.seq, **members)

    async def _show(self, id: Any, lane: Lane, items: Mapping[Ident, Held]) -> None:  # noqa: A002
        """The newest row of each; from then on what comes. A part of them at a time, when the client can take it."""
        everything = list(items.items())
        parts = [everything[start : start + CHUNK] for start in range(0, len(everything), CHUNK)] or [[]]
        for number, part in enumerate(parts, 1):
            await self._connection.room()
            position = self._ctx.position
            ticks = self._ctx.latest(one.instrument for _, one in part)
            modes = {ident: one.mode for ident, one in part}
            rows = list(encode(self.client.encoding, Batch(ticks=ticks), modes, self._face.groups))
            (body,) = bodies(self.client.encoding, rows)
            self.client.show(
                "snapshot",
                body,
                id=id,
                chunk=number,
                chunks=len(parts),
                last=number == len(parts),
                epoch=position.epoch,
                seq=position.seq,
            )
            self.client.take(lane, part, floor=position.seq)

    # -- the rest ----------------------------------------------------------------------------------------

    def _unsubscribe(self, request: requests.Unsubscribe) -> None:
        if request.all:
            gone, unknown = self._named(one.instrument.token for one in self.client.held.values())
        else:
            gone, unknown = self._named(request.keys)
        keys = [key_of(self.client.held[ident].instrument) for ident in gone]
        self.client.drop(gone)
        self._face.shared.wants.change(self._connection.id, dict.fromkeys(keys))
        rejected = [{"item": key, "code": "unknown_symbol"} for key in unknown]
        self._answer(request, accepted=len(gone), total=len(self.client.held), rejected=rejected)

    def _named(self, keys: Iterable[str | int]) -> tuple[list[Ident], list[str | int]]:
        """Which of what it holds is meant, and what means nothing of it."""
        known: dict[str | int, Ident] = {}
        for ident, one in self.client.held.items():
            known[one.instrument.token] = known[one.instrument.symbol] = ident
        wanted = list(keys)
        return list(dict.fromkeys(known[key] for key in wanted if key in known)), [
            key for key in wanted if key not in known
        ]

    async def _list(self, request: requests.List) -> None:
        held = list(self.client.held.values())
        pages: Sequence[Sequence[Held]] = [held[n : n + PAGE] for n in range(0, len(held), PAGE)] or [[]]
        for number, page in enumerate(pages, 1):
            await self._connection.room()
            items = [
                [
                    one.instrument.token,
                    one.instrument.symbol,
                    one.mode,
                    round(one.lane.kind.interval * 1000),
                    "stream" if one.lane.kind.stream else "conflate",
                ]
                for one in page
            ]
            self._answer(request, page=number, pages=len(pages), total=len(held), items=items)
