"""The tap: a little of the stream, for whoever may see it."""

import json
from typing import Any

import pytest
import trio

from tickerd.instruments import InstrumentTable
from tickerd.plugin import Batch, Gap, Principal, Row

SYMBOLS = {408065: "NSE:INFY", 738561: "NSE:RELIANCE", 500209: "BSE:INFY"}


@pytest.fixture
def publish(api: Any) -> Any:
    """Publishes ticks of these tokens."""
    namespace = InstrumentTable().namespace("kite")
    namespace.load([api.facade.find(token) for token in SYMBOLS])

    def publish(*tokens: int) -> None:
        rows = [Row(instrument_token=token, last_price=100.0 + token % 7, mode="ltp") for token in tokens]
        api.steering.hub.publish(Batch.of(rows), "kite", namespace)

    return publish


async def opened(api: Any, query: str = "", key: str = "all", **headers: str) -> Any:
    lines = {"Host": "localhost", "Authorization": f"Bearer {key}", **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    stream = await api.running.connect()
    await stream.send_all(f"GET /v1/tap{query} HTTP/1.1\r\n{head}\r\n".encode())
    return stream


async def until(stream: Any, text: bytes) -> bytes:
    received = b""
    with trio.fail_after(5):
        while text not in received:
            data = await stream.receive_some()
            assert data, received
            received += data
    return received


def objects(received: bytes) -> list[Any]:
    return [
        json.loads(line) for line in received.split(b"\r\n") for line in line.splitlines() if line[:1] == b"{"
    ]


async def test_ticks_and_records_pass_a_line_each(api: Any, publish: Any) -> None:
    async with await opened(api) as stream:
        assert b"application/x-ndjson" in await until(stream, b"\r\n\n\r\n")
        publish(408065, 738561)
        api.steering.hub.publish_records(Gap(source="kite", reason="test", since_ns=1))
        received = objects(await until(stream, b'"reason":"test"'))
    assert [one.get("symbol") for one in received[:2]] == ["NSE:INFY", "NSE:RELIANCE"]
    assert received[2]["record"] == "gap"


async def test_browsers_get_events(api: Any, publish: Any) -> None:
    async with await opened(api, Accept="text/event-stream") as stream:
        assert b"text/event-stream" in await until(stream, b": alive\n\n")
        publish(408065)
        assert b'data: {"' in await until(stream, b"NSE:INFY")


async def test_only_what_was_asked_for_is_shown(api: Any, publish: Any) -> None:
    async with await opened(api, "?i=NSE:INFY&i=500209") as stream:
        await until(stream, b"\r\n\n\r\n")
        api.steering.hub.publish_records(Gap(source="kite", reason="test", since_ns=1))
        publish(408065, 738561, 500209)
        received = objects(await until(stream, b"BSE:INFY"))
    assert [one["symbol"] for one in received] == ["NSE:INFY", "BSE:INFY"]


async def test_it_ends_after_as_many_as_were_asked_for(api: Any, publish: Any) -> None:
    async with await opened(api, "?limit=3", Connection="close") as stream:
        await until(stream, b"\r\n\n\r\n")
        publish(*list(SYMBOLS) * 2)
        received = objects(await until(stream, b"0\r\n\r\n"))
    assert len(received) == 3
    await trio.testing.wait_all_tasks_blocked()
    assert api.steering.hub._subscriptions == ()


async def test_a_key_that_is_narrowed_sees_its_exchange_and_no_records(api: Any, publish: Any) -> None:
    scopes = frozenset({"history:read", "ticks:read:BSE"})
    api.access.keys["bse"] = Principal(id="key bse", scopes=scopes)
    async with await opened(api, key="bse") as stream:
        await until(stream, b"\r\n\n\r\n")
        api.steering.hub.publish_records(Gap(source="kite", reason="test", since_ns=1))
        publish(*SYMBOLS)
        received = objects(await until(stream, b"BSE:INFY"))
    assert [one["symbol"] for one in received] == ["BSE:INFY"]
    assert (await api.get("/v1/tap?i=NSE:INFY", key="bse")).status == 403


async def test_an_instrument_that_there_is_not_is_told(api: Any) -> None:
    answer = await api.get("/v1/tap?i=NSE:INFI")
    assert (answer.status, answer.json["detail"]) == (
        404,
        "no instrument 'NSE:INFI' (did you mean 'NSE:INFY'?)",
    )
    for query in ("?limit=0", "?limit=x", "?i=", "?more=1"):
        assert (await api.get(f"/v1/tap{query}")).status == 400


async def test_there_are_only_so_many(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tickerd.control.routes.tap.MOST_TAPS", 1)
    async with await opened(api) as stream:
        await until(stream, b"\r\n\n\r\n")
        answer = await api.get("/v1/tap")
        assert (answer.status, answer.headers["retry-after"]) == (503, "10")
    with trio.fail_after(3):
        while (await api.raw("HEAD", "/v1/tap", Authorization="Bearer all")).status != 200:
            await trio.sleep(0.01)


async def test_one_that_cannot_keep_up_is_told_how_much_it_missed(
    api: Any, publish: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tickerd.control.routes.tap.BUFFER", 2000)
    async with await opened(api) as stream:
        await until(stream, b"\r\n\n\r\n")
        for _ in range(200):
            publish(*SYMBOLS)
        received = objects(await until(stream, b'"slow_consumer"'))
    gap = next(one for one in received if one.get("record") == "gap")
    assert gap["lost"] > 500


async def test_it_takes_no_more_than_so_many_a_second(
    api: Any, publish: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tickerd.control.routes.tap.MOST_PER_S", 300)
    async with await opened(api, "?limit=192", Connection="close") as stream:
        await until(stream, b"\r\n\n\r\n")
        began = trio.current_time()
        for _ in range(10):
            publish(*[408065] * 64)
        await until(stream, b"0\r\n\r\n")
    assert trio.current_time() - began > 0.35


async def test_it_ends_with_the_key_with_the_server_and_with_the_feed(api: Any, publish: Any) -> None:
    async with await opened(api, Connection="close") as stream:
        await until(stream, b"\r\n\n\r\n")
        api.access.keys["all"].validity.end("revoked")
        await until(stream, b"0\r\n\r\n")
    api.access.keys["all"] = Principal(id="key all", scopes=frozenset({"history:read"}))
    async with await opened(api, Connection="close") as stream:
        await until(stream, b"\r\n\n\r\n")
        api.steering.hub.close()
        await until(stream, b"0\r\n\r\n")
    async with await opened(api, Connection="close") as stream:
        await until(stream, b"\r\n\n\r\n")
        api.running.server.stop()
        await until(stream, b"0\r\n\r\n")
