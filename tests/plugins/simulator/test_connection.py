"""What a WebSocket client of the simulator sees: subscriptions, snapshots, heartbeats, faults."""

import json
import time
from pathlib import Path

import pytest
import trio
from trio_websocket import ConnectionClosed

from tickerd.plugin import Stamp
from tickerd.wire.kite import KITE, row, text
from tickerd_plugins.simulator import Simulator, SimulatorOptions, open_simulator, read_numbered
from tickerd_plugins.simulator.faults import Drop, Malformed, Mute, Text

INFY, NIFTY, RELIANCE = 408065, 256265, 738561
STAMP = Stamp(None, None, None, 0, 0, 0, 0)


async def test_subscribing_brings_a_snapshot_in_quote_mode(sim: Simulator, connect) -> None:
    async with connect(sim) as client:
        await client.subscribe(INFY, NIFTY)
        snapshot = await client.ticks()
        assert list(snapshot.tokens) == [INFY, NIFTY]
        assert [len(packet) for packet in snapshot.packets] == [44, 28]
        assert snapshot.faults == {}


@pytest.mark.parametrize(("mode", "lengths"), [("ltp", [8, 8]), ("quote", [44, 28]), ("full", [184, 32])])
async def test_a_mode_for_something_new_subscribes_to_it(
    sim: Simulator, connect, mode: str, lengths: list[int]
) -> None:
    async with connect(sim) as client:
        await client.set_mode(mode, INFY, NIFTY)
        assert [len(packet) for packet in (await client.ticks()).packets] == lengths
        sim.tick("NSE:NIFTY 50")
        assert [len(packet) for packet in (await client.ticks()).packets] == lengths[1:]


async def test_a_changed_mode_brings_a_snapshot_and_a_repeated_one_nothing(sim: Simulator, connect) -> None:
    async with connect(sim) as client:
        await client.subscribe(INFY)
        assert len((await client.ticks()).packets[0]) == 44
        await client.set_mode("full", INFY)
        assert len((await client.ticks()).packets[0]) == 184
        await client.set_mode("full", INFY)
        await client.subscribe(INFY)
        await client.subscribe(RELIANCE)
        snapshot = await client.ticks()
        assert list(snapshot.tokens) == [RELIANCE]


async def test_only_changes_follow_the_snapshot(sim: Simulator, connect) -> None:
    async with connect(sim) as client:
        await client.set_mode("full", INFY, RELIANCE)
        await client.ticks()
        sim.tick(INFY)
        tick = await client.ticks()
        assert list(tick.tokens) == [INFY]
        line = sim.line(INFY)
        assert line is not None
        assert tick.packets[0] == line.snapshot("full")
        when = row(tick.packets[0], STAMP).exchange_timestamp
        assert when is not None
        assert abs(when - time.time()) < 5


async def test_what_is_unsubscribed_is_sent_no_more(sim: Simulator, connect) -> None:
    async with connect(sim) as client:
        await client.set_mode("full", INFY, RELIANCE)
        await client.ticks()
        await client.unsubscribe(INFY, 12345)
        await sim.until(lambda sim: sim.state()["watched"] == 1)
        sim.tick(INFY)
        sim.tick(RELIANCE)
        assert list((await client.ticks()).tokens) == [RELIANCE]


async def test_nothing_of_a_connection_is_left_when_it_has_gone(sim: Simulator, connect) -> None:
    async with connect(sim) as client:
        await client.subscribe(INFY)
        await client.ticks()
        assert sim.state()["watched"] == 1
    with trio.fail_after(5):
        await sim.until(lambda sim: not sim.connections)
    assert sim.state()["watched"] == 0


async def test_tokens_that_are_strings_are_silently_ignored(sim: Simulator, connect) -> None:
    async with connect(sim) as client:
        await client.ws.send_message(json.dumps({"a": "subscribe", "v": [str(INFY), RELIANCE]}))
        assert list((await client.ticks()).tokens) == [RELIANCE]
        assert list(sim.connections[1].modes) == [RELIANCE]


@pytest.mark.parametrize(
    "message", ["", "hello", "[]", '{"a": "dance", "v": []}', '{"a": "mode", "v": ["tiny", [1]]}', b"\1"]
)
async def test_a_message_that_asks_nothing_is_ignored(sim: Simulator, connect, message: str | bytes) -> None:
    async with connect(sim) as client:
        await client.ws.send_message(message)
        await client.subscribe(INFY)
        assert list((await client.ticks()).tokens) == [INFY]
    assert sim.counters["bad_requests"] == 1


async def test_an_unknown_token_counts_but_never_ticks(sim: Simulator, connect) -> None:
    async with connect(sim) as client:
        await client.subscribe(1, INFY)
        assert list((await client.ticks()).tokens) == [INFY]
        assert sim.state()["connections"][0]["subscriptions"] == 2


async def test_the_surplus_over_the_limit_is_an_error_and_the_connection_lives_on(connect) -> None:
    async with open_simulator(SimulatorOptions(max_tokens=3, heartbeat=3600)) as sim, connect(sim) as client:
        tokens = sim.universe.tokens[:5]
        await client.subscribe(*tokens)
        error = await client.text()
        assert error["type"] == "error"
        assert "2 left out" in error["data"]
        assert list((await client.ticks()).tokens) == tokens[:3]
        await client.set_mode("full", tokens[0], tokens[4])
        assert "1 left out" in (await client.text())["data"]
        assert len((await client.ticks()).packets[0]) == 32


async def test_the_default_limit_is_the_brokers(sim: Simulator, connect) -> None:
    async with connect(sim) as client:
        await client.subscribe(*range(3_001))
        assert "3000" in (await client.text())["data"]
        assert len(sim.connections[1].modes) == 3_000


async def test_a_heartbeat_comes_when_there_is_nothing_else(connect) -> None:
    async with open_simulator(SimulatorOptions(heartbeat=0.05)) as sim, connect(sim) as client:
        assert await client.message() == b"\0"
        assert await client.message() == b"\0"
    assert sim.counters["heartbeats"] >= 2


async def test_no_heartbeat_comes_between_ticks(sim: Simulator, connect) -> None:
    async with connect(sim) as client:
        await client.subscribe(INFY)
        await client.ticks()
        connection = sim.connections[1]
        connection.heartbeat()
        sim.tick()
        connection.heartbeat()
        assert list((await client.ticks()).tokens) == [INFY]
        connection.heartbeat()
        assert await client.message() == b"\0"


async def test_a_frame_holds_no_more_packets_than_asked_for(connect) -> None:
    async with open_simulator(SimulatorOptions(frame=4, heartbeat=3600)) as sim, connect(sim) as client:
        await client.subscribe(*sim.universe.tokens[:10])
        assert [len((await client.ticks()).tokens) for _ in range(3)] == [4, 4, 2]


async def test_each_client_is_sent_its_own_modes(sim: Simulator, connect) -> None:
    async with connect(sim) as one, connect(sim) as two:
        await one.set_mode("full", INFY)
        await two.set_mode("quote", INFY)
        await one.ticks()
        await two.ticks()
        sim.tick(INFY)
        full, quote = (await one.ticks()).packets[0], (await two.ticks()).packets[0]
        assert full[:44] == quote


async def test_a_client_that_does_not_read_is_dropped_and_the_others_go_on(
    connect, connect_raw, masked
) -> None:
    options = SimulatorOptions(send_buffer=2**20, heartbeat=3600)
    async with open_simulator(options) as sim, connect_raw(sim) as bad, connect(sim) as good:
        await good.set_mode("full", INFY)
        await good.ticks()
        for start in range(0, 3_000, 1_000):
            await bad.send_all(masked(text.set_mode("full", sim.universe.tokens[start : start + 1_000])))
        await sim.until(lambda sim: len(sim.connections[1].modes) == 3_000)
        with trio.fail_after(20):
            while len(sim.connections) == 2:
                sim.tick()
                await good.ticks()
        assert sim.counters["dropped_slow_clients"] == 1
        sim.tick(INFY)
        assert list((await good.ticks()).tokens) == [INFY]


async def test_running_numbers_are_logged_once_they_are_out(connect, tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    async with open_simulator(SimulatorOptions(numbered=path, heartbeat=3600)) as sim, connect(sim) as client:
        seen: list[tuple[int, int]] = []
        await client.set_mode("full", INFY, NIFTY, RELIANCE)
        for _ in range(5):
            for packet in (await client.ticks()).packets:
                tick = row(packet, STAMP)
                if tick.volume_traded is not None:
                    seen.append((tick.volume_traded, tick.instrument_token))
            sim.tick()
        await client.ticks()
    logged = list(read_numbered(path))
    assert [pair for sent in logged for pair in sent.numbers()][: len(seen)] == seen
    assert [number for number, _ in seen] == list(range(1, 11))
    assert {sent.connection for sent in logged} == {1}
    assert sorted(sent.ts_ns for sent in logged) == [sent.ts_ns for sent in logged]


# -- faults --------------------------------------------------------------------------------------------------


async def test_a_muted_connection_is_sent_nothing_until_it_is_cleared(sim: Simulator, connect) -> None:
    async with connect(sim) as client:
        await client.subscribe(INFY)
        await client.ticks()
        sim.inject("mute")
        sim.tick(INFY)
        sim.connections[1].heartbeat()
        sim.inject("text=message:unheard")
        assert sim.state()["connections"][0]["muted"]
        sim.clear()
        sim.inject("text=message:heard")
        assert (await client.text())["data"] == "heard"


async def test_a_mute_holds_for_new_connections_and_ends_by_itself(sim: Simulator, connect) -> None:
    sim.inject(Mute(seconds=1))
    async with connect(sim) as client:
        assert sim.connections[1].muted
        with trio.fail_after(10):
            while sim.connections[1].muted:
                await trio.sleep(0.05)
        await client.subscribe(INFY)
        assert list((await client.ticks()).tokens) == [INFY]


async def test_one_connection_can_be_muted_alone(sim: Simulator, connect) -> None:
    async with connect(sim) as one, connect(sim) as two:
        await one.subscribe(INFY)
        await one.ticks()
        await two.subscribe(INFY)
        await two.ticks()
        sim.inject(Mute(connection=1))
        sim.tick(INFY)
        await two.ticks()
        assert [c.counters["packets"] for c in sim.connections.values()] == [1, 2]


async def test_one_instrument_can_be_muted(sim: Simulator, connect) -> None:
    async with connect(sim) as client:
        sim.inject("mute-instrument=NSE:INFY")
        await client.set_mode("full", INFY, RELIANCE)
        assert list((await client.ticks()).tokens) == [RELIANCE]
        sim.tick()
        assert list((await client.ticks()).tokens) == [RELIANCE]
        sim.clear()
        sim.tick(INFY)
        assert list((await client.ticks()).tokens) == [INFY]


async def test_a_drop_is_a_reset(sim: Simulator, connect_raw) -> None:
    async with connect_raw(sim) as stream:
        sim.inject("drop")
        with trio.fail_after(5), pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        with trio.fail_after(5):
            await sim.until(lambda sim: not sim.connections)


async def test_a_drop_can_tear_a_frame(sim: Simulator, connect_raw) -> None:
    async with connect_raw(sim) as stream:
        sim.inject(Drop(mid_frame=True))
        data = b""
        with trio.fail_after(5):
            try:
                while True:
                    data += await stream.receive_some()
            except trio.BrokenResourceError:
                pass
    announced = int.from_bytes(data[2:10], "big")
    assert data[:2] == b"\x82\x7f"
    assert announced // 2 < len(data) - 10 < announced


async def test_a_close_has_its_code_and_reason(sim: Simulator, connect) -> None:
    async with connect(sim) as client:
        sim.inject("close=4001")
        with pytest.raises(ConnectionClosed) as caught:
            await client.message()
        assert caught.value.reason.code == 4001


async def test_a_half_open_connection_says_nothing_and_hears_nothing(sim: Simulator, connect) -> None:
    async with connect(sim) as client:
        await client.subscribe(INFY)
        await client.ticks()
        sim.inject("half-open")
        await client.subscribe(RELIANCE)
        sim.tick(INFY)
        with trio.move_on_after(0.1) as silence:
            await client.ws.ping()
        assert silence.cancelled_caught
        assert list(sim.connections[1].modes) == [INFY]
        assert sim.state()["connections"][0]["half_open"]
        sim.clear()
        assert list((await client.ticks()).tokens) == [RELIANCE]


async def test_a_half_open_connection_leaves_room_for_the_next(sim: Simulator, connect) -> None:
    async with connect(sim), connect(sim), connect(sim):
        sim.inject("half-open")
        async with connect(sim) as client:
            await client.subscribe(INFY)
            assert list((await client.ticks()).tokens) == [INFY]
        sim.clear()


async def test_a_slow_connection_gets_its_bytes_late(sim: Simulator, connect) -> None:
    async with connect(sim) as client:
        sim.inject("slow=200")
        start = trio.current_time()
        await client.set_mode("full", INFY)
        await client.ticks()
        assert 0.5 < trio.current_time() - start < 3
        sim.clear()
        sim.tick(INFY)
        await client.ticks()


async def test_slowness_holds_for_new_connections(sim: Simulator, connect) -> None:
    sim.inject("slow=100000")
    async with connect(sim) as client:
        await client.subscribe(INFY)
        await client.ticks()
        assert sim.state()["connections"][0]["bytes_per_second"] == 100_000


async def test_a_slow_connection_loses_frames_rather_than_its_life(connect) -> None:
    async with (
        open_simulator(SimulatorOptions(send_buffer=10_000, heartbeat=3600)) as sim,
        connect(sim) as client,
    ):
        await client.set_mode("full", *sim.universe.tokens[:100])
        await client.ticks()
        sim.inject("slow=1")
        for _ in range(10):
            sim.tick()
        assert sim.counters["frames_lost_to_slow"] > 5
        assert len(sim.connections) == 1
        sim.clear()
        assert len((await client.ticks()).tokens) == 100


@pytest.mark.parametrize(
    ("kind", "faults"),
    [
        ("truncated", {"truncated": 1}),
        ("zero-packets", {"no_packets": 1}),
        ("wrong-length", {"truncated": 1}),
        ("unknown-length", {"unknown_length": 1}),
        ("trailing-bytes", {"trailing_bytes": 1}),
        ("empty", {"empty": 1}),
        ("65535-packets", {}),
    ],
)
async def test_malformed_frames_arrive_as_they_are(
    sim: Simulator, connect, kind, faults: dict[str, int]
) -> None:
    async with connect(sim) as client:
        await client.set_mode("full", RELIANCE)
        await client.ticks()
        sim.inject(Malformed(kind=kind))
        message = await client.message()
        assert isinstance(message, bytes)
        found = KITE.split(message)
        assert found.faults == faults
        assert set(found.tokens) <= {RELIANCE}
        sim.tick(RELIANCE)
        assert list((await client.ticks()).tokens) == [RELIANCE]


async def test_malformed_texts_arrive_as_they_are(sim: Simulator, connect) -> None:
    async with connect(sim) as client:
        sim.inject("malformed=not-json")
        assert await client.message() == '{"type": "order", "data": {'
        sim.inject("malformed=huge-text")
        assert len(await client.message()) > 4 * 2**20
        sim.inject("malformed=trailing-bytes")
        assert list((await client.ticks()).tokens) == [INFY]


async def test_text_frames_arrive_in_their_shapes(sim: Simulator, connect) -> None:
    async with connect(sim) as client:
        for kind in ("order", "error", "message"):
            sim.inject(f"text={kind}")
            assert (await client.text())["type"] == kind
        sim.inject(Text(kind="error", data="Bad thing", connection=1))
        assert await client.text() == {"type": "error", "data": "Bad thing"}
