"""Refused records as dead letters."""

import msgspec

from tickerd.dataflow.hub import Hub
from tickerd.dataflow.letters import dead_letters
from tickerd.instruments import Namespace
from tickerd.plugin import Batch, Position, Reject, Status


async def test_each_refusal_becomes_a_letter_with_a_copy_of_its_record(read, full, infy):
    hub, kite = Hub(1), Namespace("kite")
    kite.load([infy])
    batch, event = read(full(infy.token), full(2)), Batch.control(Status(state="stale"))
    hub.publish(batch, "kite", kite)
    hub.publish(event, "kite", kite)
    whole = Batch.merged([batch, event])
    rejects = [
        Reject(Position(1, 1), "odd"),
        Reject(Position(1, 3), "unwanted"),
        Reject(Position(1, 99), "gone"),
    ]
    tick, record, unknown = dead_letters("alerts", whole, rejects, now_ns=5)
    assert (tick.sink, tick.position, tick.kind, tick.instrument, tick.reason) == (
        "alerts",
        (1, 1),
        "tick",
        infy,
        "odd",
    )
    assert msgspec.json.decode(tick.payload)["symbol"] == "NSE:INFY"
    assert (record.kind, msgspec.json.decode(record.payload)["state"]) == ("status", "stale")
    assert (unknown.position, unknown.payload, unknown.first_ns) == ((1, 99), None, 5)
