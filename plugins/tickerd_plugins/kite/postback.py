"""Kite's postback of an order: its checksum proves little, so it is a hint to read the order from the broker."""

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
import trio

from tickerd.plugin import Clock, Order, Rejected, Retry
from tickerd_plugins.kite.orders import plain

ReadOrder = Callable[[str], Awaitable[Sequence[Mapping[str, Any]]]]
"""All states of the order of that id, oldest first, as the broker's REST API gives them; raises `Retry`."""

MOST = 10_000
"""Orders whose last state is remembered."""
READ_S = 8.0

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder(order="deterministic").encode
_LONGEST = 200


class Postback:
    """`tickerd.plugin.Inbound` for one login.

    The checksum covers the order's id, its time and the API secret, and neither its status nor any number. Whoever has
    seen one body can send it again, or alter the rest of it. So nothing of the body is passed on but the id, and the
    same state of an order is told once, whatever comes.

    Args:
        api_secret: of the app.
        read: see `ReadOrder`.
    """

    def __init__(self, api_secret: str, read: ReadOrder, clock: Clock) -> None:
        self._secret = api_secret
        self._read = read
        self._clock = clock
        self._told: OrderedDict[str, bytes] = OrderedDict()
        """Order id → digest of the state that was told last."""
        self._reading: dict[str, trio.Lock] = {}

    async def verify(self, body: bytes, headers: Mapping[str, str]) -> Sequence[Order]:
        """See `tickerd.plugin.Inbound`.

        Raises:
            Rejected: the checksum is wrong, or there is none.
            Retry: the order cannot be read now.
        """
        del headers  # the broker documents none
        order_id = self._order_id(body)
        lock = self._reading.setdefault(order_id, trio.Lock())
        try:
            async with lock:  # two hints at once must not tell the same state twice
                return await self._state_of(order_id)
        finally:
            if not lock.statistics().tasks_waiting:
                self._reading.pop(order_id, None)

    def _order_id(self, body: bytes) -> str:
        """Of a body whose checksum is right."""
        try:
            said = _decode(body)
        except (msgspec.MsgspecError, RecursionError, UnicodeError):
            raise Rejected("the body is not a JSON object") from None
        order_id, moment, given = (said.get(name) for name in ("order_id", "order_timestamp", "checksum"))
        if not (isinstance(order_id, str) and isinstance(moment, str) and isinstance(given, str)):
            raise Rejected("order_id, order_timestamp or checksum is missing")
        expected = hashlib.sha256(f"{order_id}{moment}{self._secret}".encode("utf-8", "replace")).hexdigest()
        if not hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode()):
            raise Rejected("the checksum is wrong")
        if not (0 < len(order_id) <= _LONGEST and order_id.isascii() and order_id.isalnum()):
            raise Rejected("this is no order id")
        return order_id

    async def _state_of(self, order_id: str) -> Sequence[Order]:
        states: Sequence[Mapping[str, Any]] = ()
        with trio.move_on_after(READ_S) as limit:
            states = await self._read(order_id)
        if limit.cancelled_caught:
            raise Retry(f"the broker did not answer within {READ_S:g} s")
        if not states:
            raise Retry("the broker does not know this order yet")
        state = {name: plain(value) for name, value in states[-1].items()}
        digest = hashlib.sha256(_encode(state)).digest()
        if self._told.pop(order_id, None) == digest:
            self._told[order_id] = digest
            return ()
        self._told[order_id] = digest
        if len(self._told) > MOST:
            self._told.popitem(last=False)
        return (Order(data=state, ts_recv=self._clock.now_ns()),)
