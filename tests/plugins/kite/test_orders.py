"""The order book after a reconnect: what was missed is told, marked, and what was told is not."""

from datetime import datetime

import pytest
import trio

from tickerd.plugin import Order, Retry
from tickerd_plugins.kite import orders
from tickerd_plugins.kite.orders import OrderBook


class Book:
    """What the broker says; None is no answer."""

    def __init__(self):
        self.rows = []
        self.times = []
        self.meanwhile = lambda: None

    async def __call__(self):
        self.times.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        self.meanwhile()
        if self.rows is None:
            raise Retry("no answer")
        return self.rows


@pytest.fixture
async def book():
    return Book()


@pytest.fixture
async def made(ctx, book, nursery):
    found = OrderBook(ctx, book)
    nursery.start_soon(found.run)
    return found


def row(order_id="1", status="OPEN", **fields):
    return {"order_id": order_id, "status": status, **fields}


def told(ctx, fakes):
    return [(o.data["order_id"], o.data["status"], o.reconciled) for o in fakes.records(ctx, Order)]


async def test_what_was_not_told_is_told_and_marked(autojump_clock, made, book, ctx, fakes):
    book.rows = [row(order_timestamp=datetime.fromisoformat("2026-01-15 09:20"))]
    made.reconnected()
    await trio.sleep(2)
    (order,) = fakes.records(ctx, Order)
    assert order.reconciled
    assert order.ts_recv
    assert order.data["order_timestamp"] == "2026-01-15 09:20:00"
    assert ctx.counts["orders_reconciled"] == 1


async def test_what_was_told_is_not_told_again_though_other_fields_differ(
    autojump_clock, made, book, ctx, fakes
):
    made.saw(row(quantity=5, price=10, filled_quantity=0, checksum="x"))
    book.rows = [row(quantity=5, price=10.0, filled_quantity=None, exchange="NSE"), row("2", "REJECTED")]
    made.reconnected()
    await trio.sleep(2)
    assert told(ctx, fakes) == [("2", "REJECTED", True)]
    made.reconnected()
    await trio.sleep(2)
    assert len(told(ctx, fakes)) == 1


@pytest.mark.parametrize(
    "change", [{"status": "COMPLETE"}, {"price": 11}, {"filled_quantity": 1}, {"quantity": 6}]
)
async def test_each_change_that_matters_is_told(autojump_clock, made, book, ctx, fakes, change):
    made.saw(row(quantity=5, price=10))
    book.rows = [row(quantity=5, price=10) | change]
    made.reconnected()
    await trio.sleep(2)
    assert len(told(ctx, fakes)) == 1


async def test_connections_that_come_up_together_are_one_reason(autojump_clock, made, book):
    for _ in range(3):
        made.reconnected()
        await trio.sleep(0.2)
    await trio.sleep(100)
    assert len(book.times) == 1


async def test_what_comes_while_the_book_is_read_is_newer_than_the_book(
    autojump_clock, made, book, ctx, fakes
):
    book.rows = [row(status="OPEN")]
    book.meanwhile = lambda: made.saw(row(status="COMPLETE"))
    made.reconnected()
    await trio.sleep(2)
    assert told(ctx, fakes) == []


async def test_a_book_that_cannot_be_read_is_asked_for_again_ever_more_slowly(
    autojump_clock, made, book, ctx, fakes
):
    book.rows = None
    made.reconnected()
    await trio.sleep(600)
    assert 4 <= len(book.times) <= 15
    assert ctx.counts["order_book_failed"] == len(book.times)
    book.rows = [row()]
    await trio.sleep(400)
    assert told(ctx, fakes) == [("1", "OPEN", True)]


async def test_rows_without_an_id_are_passed_over(autojump_clock, made, book, ctx, fakes):
    book.rows = [{"status": "OPEN"}, {"order_id": 7}]
    made.saw({"order_id": None})
    made.reconnected()
    await trio.sleep(2)
    assert told(ctx, fakes) == []


async def test_only_so_many_are_remembered(ctx, monkeypatch):
    monkeypatch.setattr(orders, "MOST", 3)
    book = OrderBook(ctx, Book())
    for number in range(10):
        book.saw(row(str(number)))
    assert list(book._told) == ["7", "8", "9"]
