"""From the stream to the Kite clients: who they are, what their tokens stand for, and what they are shown first."""

from collections import Counter
from collections.abc import Collection, Iterable, KeysView, Mapping, Sequence
from operator import is_
from typing import Protocol

import trio

from tickerd.plugin import AnyRecord, Batch, Catalogue, Instrument, Mode, Position, Tick
from tickerd.wire.kite import text
from tickerd_plugins.websocket import frames
from tickerd_plugins.websocket.kite_client import KiteClient
from tickerd_plugins.websocket.kite_fan import Fan, part
from tickerd_plugins.websocket.kite_fan import frames as messages
from tickerd_plugins.websocket.kite_packets import Packets, packet, packets

_AT_ONCE = 500
"""Tokens that are looked at in one go, before other tasks have their turn."""
_WRITES = 16
_PAUSE_S = 0.02
"""A client subscribes and sets modes in several messages: upstream hears of them together."""


class Context(Protocol):
    """What of a serving sink's context is used here."""

    @property
    def position(self) -> Position:
        """Of the last tick or record that was published."""
        ...

    @property
    def instruments(self) -> Catalogue:
        """All instruments."""
        ...

    def latest(self, instruments: Iterable[Instrument]) -> Sequence[Tick]:
        """The newest tick of each of these that has had one."""
        ...

    def count(self, reason: str, n: int = 1) -> None:
        """Add to a counter."""
        ...


class Upstream(Protocol):
    """Hears what connected clients want."""

    def set(self, owner: str, items: Mapping[Instrument, Mode]) -> Mapping[str | int, str]:
        """Replace all that one of them wants; what cannot be had of it, with a word for the reason."""
        ...

    def drop(self, owner: str) -> None:
        """It is gone."""
        ...


class KiteFeed:
    """All Kite clients of one sink.

    Args:
        ctx: the sink's.
        upstream: where what they want is told.
        orders: whether they hear of orders and of the broker's notices.
    """

    def __init__(self, ctx: Context, upstream: Upstream, *, orders: bool) -> None:
        self._ctx = ctx
        self._upstream = upstream
        self._orders = orders
        self._clients: dict[KiteClient, None] = {}
        self._fans: dict[str, Fan[KiteClient]] = {}
        """By namespace: equal tokens of two are two instruments."""
        self._tables: Sequence[object] = ()
        self._shown: dict[tuple[str, int], int] = {}
        """Of what a client was shown before it was distributed: up to which seq it must not be sent again."""
        self._shown_until = 0
        self._told: dict[KiteClient, None] = {}
        self._something_to_tell = trio.Event()

    @property
    def clients(self) -> KeysView[KiteClient]:
        """Who is connected."""
        return self._clients.keys()

    # -- clients -----------------------------------------------------------------------------------------

    def join(self, client: KiteClient) -> None:
        """It wants nothing yet."""
        self._clients[client] = None

    def leave(self, client: KiteClient) -> None:
        """It is gone."""
        self._clients.pop(client, None)
        self._told.pop(client, None)
        for fan in self._fans.values():
            fan.leave(client)
        self._upstream.drop(client.link.id)
        if client.merged:
            self._ctx.count("kite_merged", client.merged)

    async def ask(self, client: KiteClient, message: str | bytes) -> None:
        """Do what a client's message asks, and show it the newest packets of what is new."""
        change = client.wants.ask(message)
        if change.gone:
            self._release(client, change.gone)
        if change.surplus:
            limit = client.wants.limit
            self._object(client, f"{change.surplus} instruments left out: a connection may have {limit}")
        await self._place(client, change.fresh, anew=False)

    async def follow(self) -> None:
        """Tell upstream what the clients want, a moment after they said so. Never returns."""
        while True:
            await self._something_to_tell.wait()
            await trio.sleep(_PAUSE_S)
            self._something_to_tell = trio.Event()
            told, self._told = self._told, {}
            for client in told:
                if client not in self._clients:  # it left while others were told of
                    continue
                modes = client.wants.modes
                held = {instrument: modes[token] for token, instrument in client.held.items()}
                refused = self._upstream.set(client.link.id, held)
                for reason, count in Counter(refused.values()).items():
                    self._object(client, f"{count} instruments cannot be had: {reason}")
                await trio.lowlevel.checkpoint()

    async def refresh(self) -> None:
        """Put together who wants the same; look again at what tokens stand for when a new dump was loaded."""
        for fan in tuple(self._fans.values()):
            for _ in fan.settle():
                await trio.lowlevel.checkpoint()
        tables = self._ctx.instruments.tables()
        if len(tables) == len(self._tables) and all(map(is_, tables, self._tables)):
            return
        self._tables = tuple(tables)
        for client in tuple(self._clients):
            await self._place(client, client.wants.modes, anew=True)

    async def _place(self, client: KiteClient, modes: Mapping[int, Mode], *, anew: bool) -> None:
        """Find out what the tokens are, let them be sent, and show the newest packets of what is new.

        ``anew``: what is still what it was is left as it is.
        """
        items = list(modes.items())
        for start in range(0, len(items), _AT_ONCE):
            self._place_some(client, items[start : start + _AT_ONCE], anew=anew)
            await trio.lowlevel.checkpoint()

    def _place_some(self, client: KiteClient, items: Iterable[tuple[int, Mode]], *, anew: bool) -> None:
        wanted, may_see = client.wants.modes, client.principal.may_see
        denied: list[int] = []
        found: dict[str, dict[int, Mode]] = {}
        for token, mode in items:
            instrument = self._ctx.instruments.find(token)
            if instrument is None or wanted.get(token) != mode or client not in self._clients:
                continue
            if not may_see(instrument):
                if instrument.exchange:  # else nobody knows yet what it is
                    denied.append(token)
                continue
            before = client.held.get(token)
            client.held[token] = instrument
            if before is not None and before.namespace != instrument.namespace:
                self._fans[before.namespace].change(client, {}, (token,))
            elif before is not None and anew:
                continue
            found.setdefault(instrument.namespace, {})[token] = mode
        if denied:
            self._deny(client, denied)
        for namespace, modes in found.items():
            self._admit(client, namespace, modes)
        self._tell(client)

    def _admit(self, client: KiteClient, namespace: str, modes: Mapping[int, Mode]) -> None:
        fan = self._fans.setdefault(namespace, Fan())
        unknown = [client.held[token] for token in modes if token not in fan.wanted()]
        fan.change(client, modes)
        self._recall(fan, namespace, unknown)
        client.show(
            [part(last, mode) for token, mode in modes.items() if (last := fan.last(token)) is not None]
        )

    def _recall(self, fan: Fan[KiteClient], namespace: str, instruments: Sequence[Instrument]) -> None:
        """What nobody wanted before has its newest packet in the hub; it may be on its way to here as well."""
        for tick in self._ctx.latest(instruments):
            try:
                fan.remember(tick.instrument_token, packet(tick))
            except ValueError:
                self._unfit()
                continue
            self._shown[namespace, tick.instrument_token] = tick.position.seq
            self._shown_until = self._ctx.position.seq

    def _deny(self, client: KiteClient, tokens: Sequence[int]) -> None:
        for token in tokens:
            client.wants.modes.pop(token, None)
        self._release(client, tokens)
        self._object(client, f"{len(tokens)} instruments left out: this key may not see them")

    def _release(self, client: KiteClient, tokens: Sequence[int]) -> None:
        for token in tokens:
            held = client.held.pop(token, None)
            if held is not None:
                self._fans[held.namespace].change(client, {}, (token,))
        client.forget(tokens)
        self._tell(client)

    def _tell(self, client: KiteClient) -> None:
        if client in self._clients:
            self._told[client] = None
            self._something_to_tell.set()

    def _object(self, client: KiteClient, why: str) -> None:
        client.link.send(frames.text(text.error(why).encode()))

    # -- the stream --------------------------------------------------------------------------------------

    async def distribute(self, batches: Iterable[Batch]) -> None:
        """Hand on what was published."""
        for batch in batches:
            for record in batch.records:
                await self._pass_on(record)
            for some in packets(batch, self._wanted, self._unfit):
                fan = self._fans.get(some.origin.namespace)
                if fan is not None:
                    fan.cut(*self._not_shown(some))
        await self._flush()

    async def _flush(self) -> None:
        written = 0
        for fan in tuple(self._fans.values()):
            for members, parts in fan.take():
                ready = [*map(frames.binary, messages(parts))]
                for client in members:
                    client.deliver(ready, parts)
                    written += 1
                    if not written % _WRITES:
                        await trio.lowlevel.checkpoint()

    async def _pass_on(self, record: AnyRecord) -> None:
        told = text.frame(record) if self._orders and self._clients else None
        if told is None:
            return
        ready = frames.text(told.encode())
        for written, client in enumerate(tuple(self._clients), 1):
            if client.principal.instruments is None:
                client.link.send(ready)
            if not written % _WRITES:
                await trio.lowlevel.checkpoint()

    def _not_shown(self, some: Packets) -> tuple[Sequence[int], Sequence[bytes]]:
        if not self._shown:
            return some.tokens, some.packets
        if some.origin.seq > self._shown_until:
            self._shown.clear()
            return some.tokens, some.packets
        shown, namespace = self._shown, some.origin.namespace
        zipped = zip(some.tokens, some.packets, some.seqs, strict=True)
        kept = [(token, one) for token, one, seq in zipped if seq > shown.get((namespace, token), 0)]
        return [token for token, _ in kept], [one for _, one in kept]

    def _wanted(self, namespace: str) -> Collection[int]:
        fan = self._fans.get(namespace)
        return () if fan is None else fan.wanted()

    def _unfit(self) -> None:
        self._ctx.count("kite_unfit")
