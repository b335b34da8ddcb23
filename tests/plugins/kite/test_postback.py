"""Postbacks: a checksum that proves little, an order that is read from the broker, told once."""

import hashlib
import json
from datetime import datetime

import pytest
import trio
import trio.testing

from tickerd.plugin import Clock, Inbound, Rejected, Retry
from tickerd_plugins.kite import postback as module
from tickerd_plugins.kite.postback import Postback
from tickerd_plugins.simulator.account import postback as of_simulator

SECRET = "app_s3cret"
MOMENT = "2026-01-05 09:20:01"


def body(order_id="151220000000000", moment=MOMENT, secret=SECRET, **changes):
    checksum = hashlib.sha256(f"{order_id}{moment}{secret}".encode()).hexdigest()
    return json.dumps(
        {
            "order_id": order_id,
            "order_timestamp": moment,
            "checksum": checksum,
            "status": "COMPLETE",
            **changes,
        }
    ).encode()


class Broker:
    """What the REST API says."""

    def __init__(self):
        self.states = [{"order_id": "151220000000000", "status": "OPEN", "filled_quantity": 0}]
        self.asked = []
        self.wait = 0

    async def __call__(self, order_id):
        self.asked.append(order_id)
        await trio.sleep(self.wait)
        if isinstance(self.states, Exception):
            raise self.states
        return self.states


@pytest.fixture
def broker():
    return Broker()


@pytest.fixture
async def postback(broker):
    return Postback(SECRET, broker, Clock())


async def test_a_postback_is_a_hint_and_the_order_is_what_the_broker_says(postback, broker):
    assert isinstance(postback, Inbound)
    (found,) = await postback.verify(body(status="COMPLETE", filled_quantity=999), {})
    assert broker.asked == ["151220000000000"]
    assert found.data == {"order_id": "151220000000000", "status": "OPEN", "filled_quantity": 0}
    assert found.ts_recv > 0


async def test_the_last_of_its_states_counts_and_times_are_what_the_broker_sent(postback, broker):
    broker.states = [
        {"status": "PUT ORDER REQ RECEIVED", "order_timestamp": datetime(2026, 1, 5, 9, 20)},  # noqa: DTZ001 - as the client gives it
        {"status": "COMPLETE", "order_timestamp": datetime(2026, 1, 5, 9, 20, 1), "tags": ["a"]},  # noqa: DTZ001
    ]
    (found,) = await postback.verify(body(), {})
    assert found.data == {"status": "COMPLETE", "order_timestamp": MOMENT, "tags": ["a"]}


async def test_the_same_state_is_told_once_whatever_comes(postback, broker):
    assert len(await postback.verify(body(), {})) == 1
    assert await postback.verify(body(), {}) == ()
    assert await postback.verify(body(status="CANCELLED", average_price=1), {}) == ()
    broker.states[0]["filled_quantity"] = 5
    (found,) = await postback.verify(body(), {})
    assert found.data["filled_quantity"] == 5
    assert await postback.verify(body(), {}) == ()


async def test_two_hints_at_once_tell_one_state(postback, broker, autojump_clock):
    broker.wait = 1
    found = []

    async def one():
        found.extend(await postback.verify(body(), {}))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(one)
    assert len(found) == 1


async def test_an_answer_that_comes_late_is_not_told_after_a_newer_one(autojump_clock):
    answers = [(5, "OPEN"), (1, "COMPLETE")]

    async def read(order_id):
        wait, status = answers.pop(0)
        await trio.sleep(wait)
        return [{"status": status}]

    postback, told = Postback(SECRET, read, Clock()), []

    async def one():
        told.extend(order.data["status"] for order in await postback.verify(body(), {}))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(one)
    assert told == ["OPEN", "COMPLETE"]


async def test_what_the_simulator_sends_is_genuine(postback):
    order = {"order_id": "1", "order_timestamp": MOMENT, "pending_quantity": 0}
    assert await postback.verify(json.dumps(of_simulator(order, SECRET)).encode(), {})


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (body(secret="another"), "checksum is wrong"),
        (body(checksum="0" * 64), "checksum is wrong"),
        (body(checksum=""), "checksum is wrong"),
        (body(checksum="\u20b9"), "checksum is wrong"),
        (body(order_timestamp="2026-01-05 09:20:02"), "checksum is wrong"),
        (body(order_timestamp=None), "is missing"),
        (body(order_id="../margins"), "no order id"),
        (body(order_id=""), "no order id"),
        (body(order_id="1" * 300), "no order id"),
        (json.dumps({"order_id": 1, "order_timestamp": MOMENT, "checksum": "x"}).encode(), "is missing"),
        (b"[]", "not a JSON object"),
        (b"", "not a JSON object"),
        (b"\xff", "not a JSON object"),
        (b'{"a":' * 10_000, "not a JSON object"),
    ],
)
async def test_anything_else_is_refused_and_the_broker_is_not_asked(postback, broker, bad, why):
    with pytest.raises(Rejected, match=why):
        await postback.verify(bad, {})
    assert broker.asked == []


async def test_an_order_that_cannot_be_read_now_is_asked_for_again(postback, broker, autojump_clock):
    broker.states = Retry("not logged in")
    with pytest.raises(Retry, match="not logged in"):
        await postback.verify(body(), {})
    broker.states = []
    with pytest.raises(Retry, match="does not know"):
        await postback.verify(body(), {})
    broker.wait = 1000
    with pytest.raises(Retry, match="within 8 s"):
        await postback.verify(body(), {})
    broker.wait, broker.states = 0, [{"status": "OPEN"}]
    assert len(await postback.verify(body(), {})) == 1
    assert postback._reading == {}


async def test_it_remembers_so_many_orders(postback, monkeypatch):
    monkeypatch.setattr(module, "MOST", 2)
    for name in ("1", "2", "3"):
        assert await postback.verify(body(order_id=name), {})
    assert await postback.verify(body(order_id="3"), {}) == ()
    assert await postback.verify(body(order_id="1"), {}) != ()


async def test_the_secret_shows_nowhere(postback):
    with pytest.raises(Rejected) as error:
        await postback.verify(body(secret="x"), {})
    assert SECRET not in str(error.value)
    assert SECRET not in repr(postback)
