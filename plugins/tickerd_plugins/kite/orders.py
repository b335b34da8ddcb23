"""Reads the order book after each reconnect and tells what was missed: order updates are pushed only once."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import trio

from tickerd.plugin import Batch, Order, Retry, SourceContext
from tickerd_plugins.kite.backoff import BackOff

ReadBook = Callable[[], Awaitable[Sequence[Mapping[str, Any]]]]
"""The newest state of each order of the day; raises `Retry`."""

MOST = 10_000
"""Orders whose last state is remembered."""
GATHER_S = 1.0
"""Connections that come up within so many seconds are one reason to read."""
_TELLING = (
    "status", "quantity", "price", "trigger_price", "filled_quantity", "cancelled_quantity", "average_price",
)  # fmt: skip
"""What makes two states of an order different. Pushed updates and the book have other fields that differ."""


class OrderBook:
    """What was told of each order. One run of the source.

    Args:
        read: see `ReadBook`.
    """

    def __init__(self, ctx: SourceContext, read: ReadBook) -> None:
        self._ctx = ctx
        self._read = read
        self._told: OrderedDict[str, tuple[Any, ...]] = OrderedDict()
        self._pushed: set[str] = set()
        """Orders of which something came while the book was being read."""
        self._due = trio.Event()
        self._backoff = BackOff(2.0, 300.0)

    def saw(self, order: Mapping[str, Any]) -> None:
        """An update has been published."""
        order_id = order.get("order_id")
        if isinstance(order_id, str):
            self._pushed.add(order_id)
            self._remember(order_id, _state(order))

    def reconnected(self) -> None:
        """Updates may have been missed: read the book soon."""
        self._due.set()

    async def run(self) -> None:
        """Read the book whenever that is due, until cancelled."""
        while True:
            await self._due.wait()
            await trio.sleep(GATHER_S)
            self._due = trio.Event()
            try:
                await self._reconcile()
            except Retry as error:
                self._ctx.count("order_book_failed")
                self._ctx.log.warning("cannot read the order book", error=str(error))
                self._due.set()
                await trio.sleep(self._backoff.next())
            else:
                self._backoff.reset()

    async def _reconcile(self) -> None:
        self._pushed.clear()
        rows = await self._read()
        missed = [order for row in rows if (order := self._missed(row)) is not None]
        if missed:
            self._ctx.count("orders_reconciled", len(missed))
            self._ctx.log.info("order updates were missed", count=len(missed))
            self._ctx.publish(Batch.control(*missed))

    def _missed(self, row: Mapping[str, Any]) -> Order | None:
        """The row as a record, if it is not what was told."""
        order_id, state = row.get("order_id"), _state(row)
        if not isinstance(order_id, str) or order_id in self._pushed or self._told.get(order_id) == state:
            return None
        self._remember(order_id, state)
        data = {name: plain(value) for name, value in row.items()}
        return Order(data=data, reconciled=True, ts_recv=self._ctx.clock.now_ns())

    def _remember(self, order_id: str, state: tuple[Any, ...]) -> None:
        self._told[order_id] = state
        self._told.move_to_end(order_id)
        if len(self._told) > MOST:
            self._told.popitem(last=False)


def _state(order: Mapping[str, Any]) -> tuple[Any, ...]:
    # 0 and null are the same here: the two documents do not agree on which of them means none
    return tuple(order.get(name) or None for name in _TELLING)


def plain(value: Any) -> Any:
    """As the broker sent it: the official client makes times of some texts."""
    return str(value) if isinstance(value, datetime) else value
