"""The conversation of the stream protocol, as a client has it."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
import pytest
import trio

from tickerd.plugin import Batch, Decision, Instrument, Limits, Principal, Row, Validity
from tickerd.wire.kite import KITE, frame
from tickerd.wire.kite.layout import FULL_PACKET

Serve = Callable[..., AbstractAsyncContextManager[Any]]

INFY, TCS, NIFTY, GOLD = 408065, 2953217, 256265, 53556743
KEY = "key-of-alice"


def rows(*tokens: int, price: float = 100.0) -> Batch:
    return Batch.of([Row(token, mode="full", last_price=price) for token in tokens], ts_recv=5)


def packet(token: int, price: int = 10_000) -> bytes:
    return FULL_PACKET.pack(token, price, *range(1, 45))


def many(count: int) -> list[Instrument]:
    return [Instrument("kite", token, "NSE", f"S{token}") for token in range(1, count + 1)]


# -- who it is ---------------------------------------------------------------------------------------------


async def test_a_key_in_the_first_message_opens_the_stream(serve: Serve) -> None:
    async with serve() as served, served.connect() as client:
        welcome = await client.next()
        assert (welcome["t"], welcome["v"], welcome["epoch"]) == ("welcome", 1, 1)
        assert welcome["columns"]["ltp"] == [
            "instrument_token", "seq", "exchange_timestamp", "ts_recv", "flags", "last_price",
        ]  # fmt: skip
        await client.send("auth", id=7, key=KEY, client="test", version="1")
        told = await client.next()
        assert (told["t"], told["who"], told["scopes"]) == (
            "auth_ok", "key alice", ["history:read", "ticks:read"],
        )  # fmt: skip
        (request,) = [one for one in served.ctx.requests if one.credential]
        assert (request.credential.origin, request.transport, request.peer) == (
            "message", "websocket", "127.0.0.1",
        )  # fmt: skip


async def test_a_key_in_the_header_opens_it_at_once(serve: Serve) -> None:
    headers = (("Authorization", f"Bearer {KEY}"),)
    async with serve() as served, served.connect(headers=headers) as client:
        assert (await client.next())["t"] == "welcome"
        assert (await client.next())["t"] == "auth_ok"
        assert served.ctx.requests[0].credential.origin == "header"


async def test_a_wrong_key_in_the_header_is_refused_before_the_upgrade(serve: Serve) -> None:
    async with serve() as served:
        status, answer = await served.knock("/v1/stream", "Authorization: Bearer wrong")
        assert status == 401
        assert "WWW-Authenticate: Bearer" in answer


async def test_a_ticket_in_the_address_opens_it(serve: Serve) -> None:
    async with serve() as served:
        served.ctx.principals["the-ticket"] = served.ctx.principals[KEY]
        async with served.connect("/v1/stream?ticket=the-ticket") as client:
            assert (await client.until("auth_ok"))["who"] == "key alice"
            assert served.ctx.requests[0].credential.origin == "ticket"


async def test_a_page_with_a_wrong_ticket_learns_why_by_the_close_code(serve: Serve) -> None:
    async with serve() as served, served.connect("/v1/stream?ticket=wrong") as client:
        assert await client.closed() == (4501, "unauthorized")


@pytest.mark.parametrize("name", ["key", "token", "api_key"])
async def test_a_key_in_the_address_is_refused(serve: Serve, name: str) -> None:
    async with serve() as served:
        assert (await served.knock(f"/v1/stream?{name}={KEY}"))[0] == 400
        assert served.ctx.requests == []


async def test_an_address_over_its_limit_is_told_to_wait(serve: Serve) -> None:
    async with serve() as served:
        served.ctx.blocks = Decision(allowed=False, remaining=0, reset_s=60, retry_after_s=7)
        status, answer = await served.knock()
        assert status == 429
        assert "Retry-After: 8" in answer


async def test_who_shows_nothing_in_time_is_closed(serve: Serve) -> None:
    async with serve(auth_deadline="100ms") as served, served.connect() as client:
        assert await client.closed() == (4001, "auth_timeout")


async def test_a_wrong_key_is_closed(serve: Serve) -> None:
    async with serve() as served, served.connect() as client:
        await client.send("auth", key="wrong")
        assert await client.closed() == (4501, "unauthorized")
        assert [m["code"] for m in client.seen if m["t"] == "error"] == ["unauthorized"]


async def test_a_key_that_may_not_read_ticks_is_closed(serve: Serve) -> None:
    async with serve() as served, served.connect() as client:
        served.ctx.principals["other"] = Principal(id="key other", scopes=frozenset({"status:read"}))
        await client.send("auth", key="other")
        assert await client.closed() == (4502, "forbidden_scope")


async def test_before_it_is_known_a_client_may_ask_for_nothing_but_a_pong(serve: Serve) -> None:
    async with serve() as served, served.connect() as client:
        await client.send("ping", id=1, t="x")
        assert (await client.until("pong"))["echo"] == "x"
        await client.send("sub", id=2, tokens=[INFY])
        assert (await client.until("error"))["code"] == "unauthorized"
        await client.send("list", id=3)
        assert (await client.closed())[0] == 4501


async def test_before_it_is_known_a_client_may_not_send_much(serve: Serve) -> None:
    async with serve() as served, served.connect() as client:
        await client.ws.send_message("x" * 5000)
        assert (await client.closed())[0] == 1009


async def test_a_key_has_so_many_connections(serve: Serve) -> None:
    async with serve() as served:
        served.ctx.principals["few"] = Principal(
            id="key few", scopes=frozenset({"ticks:read"}), limits=Limits(connections=1)
        )
        async with served.client(key="few"), served.connect() as other:
            await other.send("auth", key="few")
            assert await other.closed() == (4504, "connection_limit")
        async with served.client(key="few"):
            pass


async def test_a_key_in_the_header_that_has_so_many_is_answered_before_the_upgrade(serve: Serve) -> None:
    async with serve(limits={"per_key": 1}) as served:
        async with served.raw():
            status, answer = await served.knock("/v1/stream", f"Authorization: Bearer {KEY}")
            assert status == 429
            assert "Retry-After: 5\r\n" in answer
            async with served.connect(f"/v1/stream?ticket={KEY}") as page:  # which could not see the status
                assert await page.closed() == (4504, "connection_limit")
        await served.alone()
        assert (await served.knock("/v1/stream", f"Authorization: Bearer {KEY}"))[0] == 101
        assert served.ctx.counts["refused_per_key"] == 2


async def test_a_revoked_key_closes_what_is_open(serve: Serve) -> None:
    async with serve() as served, served.client() as client:
        served.ctx.principals[KEY].validity.end("revoked")
        with trio.fail_after(1.5):
            assert await client.closed() == (4503, "key_revoked")


async def test_an_expired_key_closes_what_is_open(serve: Serve) -> None:
    async with serve() as served:
        soon = served.ctx.clock.now_ns() + 200_000_000
        served.ctx.principals["brief"] = Principal(
            id="key brief", scopes=frozenset({"ticks:read"}), validity=Validity(soon)
        )
        async with served.client(key="brief") as client, served.client():
            assert await client.closed() == (4002, "key_expired")
            assert len(served.server.connections) >= 1


async def test_how_the_last_connection_ended_is_told(serve: Serve) -> None:
    async with serve() as served:
        async with served.client() as client:
            await client.ws.send_message(b"not text")
            assert (await client.closed())[0] == 1003
        async with served.connect() as client:
            assert (await client.login())["previous"] == "wrong_type"


# -- subscribing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("binary", [False, True])
async def test_ack_comes_before_snapshot_before_ticks(serve: Serve, binary: bool) -> None:
    async with serve() as served, served.client(binary=binary) as client:
        served.ctx.publish(rows(INFY, TCS, price=1.0))
        await client.send("sub", id="a", tokens=[INFY], mode="ltp", interval_ms=0)
        ack, snapshot = await client.next(), await client.next()
        assert ack == {
            "t": "ack", "id": "a", "op": "sub", "epoch": 1, "seq": 2,
            "accepted": 1, "total": 1, "rejected": [], "instruments": [],
        }  # fmt: skip
        assert snapshot == {
            "t": "snapshot", "id": "a", "chunk": 1, "chunks": 1, "last": True, "epoch": 1, "seq": 2,
            "fs": 1, "n": 1, "rows": [[INFY, 1, None, 5, [], 1.0]],
        }  # fmt: skip
        served.ctx.publish(rows(TCS, INFY, price=2.0))
        assert await client.next() == {
            "t": "ticks", "fs": 2, "n": 1, "rows": [[INFY, 4, None, 5, [], 2.0]],
        }  # fmt: skip


async def test_ticks_that_are_in_the_snapshot_are_not_sent_again(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve() as served, served.client() as client:
        face, go_on = served.server._faces[0], trio.Event()
        distribute = face.distribute

        async def late(batches: Any) -> None:
            await go_on.wait()
            await distribute(batches)

        monkeypatch.setattr(face, "distribute", late)
        for price in range(20):  # on their way to the distributor while the client subscribes
            served.ctx.publish(rows(INFY, price=float(price)))
        await client.subscribe("NSE:INFY", interval_ms=0, mode="ltp", delivery="stream")
        shown = client.seen[-1]
        assert (shown["rows"][0][1], shown["seq"]) == (20, 20)
        served.ctx.publish(rows(INFY, price=99.0))
        go_on.set()
        assert [row[1] for row in (await client.until("ticks"))["rows"]] == [21]


async def test_a_real_full_packet_has_every_column_and_lower_modes_its_first_ones(serve: Serve) -> None:
    async with serve() as served, served.client() as full, served.client() as quote:
        await full.subscribe("NSE:INFY", mode="full", interval_ms=0)
        await quote.subscribe("NSE:INFY", mode="quote", interval_ms=0)
        served.ctx.publish(Batch.read(KITE, frame.join([packet(INFY)]), connection=1, ts_recv=9))
        whole, part = await full.until("ticks"), await quote.until("ticks")
        columns = full.seen[0]["columns"]
        row = dict(zip(columns["full"], whole["rows"][0], strict=True))
        assert (row["last_price"], row["depth.buy.0.quantity"], row["ts_recv"]) == (100.0, 15, 9)
        assert part["rows"][0] == whole["rows"][0][: len(columns["quote"])]


async def test_what_is_not_known_or_not_allowed_is_rejected_and_the_rest_goes_on(serve: Serve) -> None:
    async with serve() as served:
        served.ctx.principals["nse"] = Principal(
            id="key nse", scopes=frozenset({"ticks:read"}), instruments=frozenset({"NSE"})
        )
        async with served.client(key="nse") as client:
            await client.send(
                "sub", id=1, symbols=["NSE:INFY", "NSE:NONE", "MCX:GOLD24DECFUT"], tokens=[TCS, 99]
            )
            ack = await client.until("ack")
            assert (ack["accepted"], ack["total"]) == (2, 2)
            assert ack["instruments"] == [[INFY, "NSE:INFY"]]
            assert {(one["item"], one["code"]) for one in ack["rejected"]} == {
                (99, "unknown_symbol"),
                ("NSE:NONE", "unknown_symbol"),
                ("MCX:GOLD24DECFUT", "not_entitled"),
            }


async def test_a_pattern_stands_for_what_fits_it_and_may_be_seen(serve: Serve) -> None:
    async with serve() as served, served.client() as client:
        ack = await client.subscribe("NSE:*", "MCX:NO*")
        assert sorted(name for _, name in ack["instruments"]) == ["NSE:INFY", "NSE:NIFTY 50", "NSE:TCS"]
        assert [one["code"] for one in ack["rejected"]] == ["unknown_symbol"]


@pytest.mark.parametrize("pattern", ["*", "*:*", "NSE:*A*B*"])
async def test_a_pattern_that_could_cost_too_much_is_refused(serve: Serve, pattern: str) -> None:
    async with serve() as served, served.client() as client:
        await client.send("sub", id=3, symbols=[pattern])
        error = await client.until("error")
        assert (error["id"], error["code"]) == (3, "bad_request")


async def test_asking_twice_for_the_same_changes_nothing(serve: Serve) -> None:
    async with serve() as served, served.client() as client:
        await client.send("sub", id=1, tokens=[INFY, INFY, TCS])
        assert (await client.until("ack"))["accepted"] == 2
        await client.send("sub", id=2, tokens=[INFY])
        ack = await client.until("ack")
        assert (ack["accepted"], ack["total"]) == (0, 2)
        assert ack["rejected"] == [{"item": INFY, "code": "already_subscribed"}]


async def test_the_mode_and_the_interval_can_be_changed(serve: Serve) -> None:
    async with serve() as served, served.client() as client:
        await client.subscribe("NSE:INFY", "NSE:TCS", mode="ltp", interval_ms=1000)
        await client.subscribe("NSE:INFY", mode="full", interval_ms=0)
        await client.send("list", id=9)
        listed = await client.until("ack", op="list")
        assert listed["items"] == [
            [INFY, "NSE:INFY", "full", 0, "conflate"],
            [TCS, "NSE:TCS", "ltp", 1000, "conflate"],
        ]
        served.ctx.publish(rows(INFY))
        ticks = await client.until("ticks")
        assert [len(row) for row in ticks["rows"]] == [len(client.seen[0]["columns"]["full"])]
        assert served.ctx.wanted == {"NSE:INFY": "full", "NSE:TCS": "ltp"}


async def test_a_request_has_so_many_items(serve: Serve) -> None:
    async with serve() as served:
        served.ctx.instruments.load(many(3001))
        async with served.client() as client:
            await client.send("sub", id=1, tokens=list(range(1, 3002)))
            assert (await client.until("error"))["code"] == "item_limit"
            await client.send("list")
            assert (await client.until("ack"))["total"] == 0
            await client.send("sub", id=2, tokens=list(range(1, 3001)), mode="ltp")
            assert (await client.until("ack", op="sub"))["accepted"] == 3000
            assert (await client.until("snapshot"))["chunks"] == 6


async def test_a_client_has_so_many_items(serve: Serve) -> None:
    async with serve(limits={"items": 3}) as served, served.client() as client:
        await client.send("sub", id=1, tokens=[INFY, TCS, NIFTY, GOLD])
        ack = await client.until("ack")
        assert (ack["accepted"], ack["total"]) == (3, 3)
        assert ack["rejected"] == [{"item": GOLD, "code": "item_limit"}]


async def test_what_upstream_has_no_room_for_is_rejected_for_now(serve: Serve) -> None:
    async with serve() as served, served.client() as client:
        served.ctx.cannot["NSE:TCS"] = "over_capacity"
        await client.send("sub", id=1, symbols=["NSE:INFY", "NSE:TCS"])
        ack = await client.until("ack")
        assert (ack["accepted"], ack["total"]) == (1, 1)
        assert ack["rejected"] == [{"item": "NSE:TCS", "code": "over_capacity", "temporary": True}]


async def test_after_the_ack_of_an_unsubscription_nothing_of_it_comes(serve: Serve) -> None:
    async with serve() as served, served.client() as client, served.client() as other:
        for one in (client, other):
            await one.subscribe("NSE:INFY", "NSE:TCS", mode="ltp", interval_ms=50)
        await trio.sleep(0.6)  # until both are in one group
        served.ctx.publish(rows(INFY, TCS))
        await served.settled()
        await client.send("unsub", id=2, symbols=["NSE:INFY", "NSE:NONE"])
        ack = await client.until("ack", op="unsub")
        assert (ack["accepted"], ack["total"]) == (1, 1)
        assert ack["rejected"] == [{"item": "NSE:NONE", "code": "unknown_symbol"}]
        served.ctx.publish(rows(INFY, TCS, price=3.0))
        while (await client.until("ticks"))["rows"][-1][5] != 3.0:
            pass
        after = client.seen[client.seen.index(ack) :]
        assert {row[0] for message in after for row in message.get("rows", ())} == {TCS}
        assert {row[0] for row in (await other.until("ticks"))["rows"]} == {INFY, TCS}


async def test_everything_can_be_let_go_at_once(serve: Serve) -> None:
    async with serve(release_after="0s") as served, served.client() as client:
        await client.subscribe("NSE:INFY", "NSE:TCS")
        await client.send("unsub", id=2, all=True)
        assert (await client.until("ack", op="unsub"))["total"] == 0
        with trio.fail_after(2):
            while served.ctx.wanted:
                await trio.sleep(0.01)


async def test_many_instruments_are_listed_in_pages(serve: Serve) -> None:
    async with serve() as served:
        served.ctx.instruments.load(many(1500))
        async with served.client() as client:
            await client.send("sub", id=1, tokens=list(range(1, 1501)), snapshot=False)
            await client.send("list", id=2)
            pages = [await client.until("ack", op="list") for _ in range(2)]
            assert [(page["page"], page["pages"], len(page["items"])) for page in pages] == [
                (1, 2, 1000),
                (2, 2, 500),
            ]


# -- how it goes wrong -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"tokens": [INFY], "mode": "deep"}, "bad_mode"),
        ({"tokens": [INFY], "interval_ms": 7}, "bad_request"),
        ({"tokens": [INFY], "delivery": "pigeon"}, "bad_request"),
        ({}, "bad_request"),
        ({"tokens": [-1]}, "bad_request"),
        ({"tokens": ["1"]}, "bad_request"),
        ({"symbols": [""]}, "bad_request"),
        ({"tokens": [INFY], "more": 1}, "bad_request"),
    ],
)
async def test_a_request_that_makes_no_sense_is_answered(serve: Serve, members: Any, code: str) -> None:
    async with serve() as served, served.client() as client:
        await client.send("sub", id=5, **members)
        error = await client.until("error")
        assert (error["code"], error["temporary"]) == (code, False)
        await client.send("ping", id=6)
        assert (await client.until("pong"))["id"] == 6


async def test_nonsense_again_and_again_closes(serve: Serve) -> None:
    async with serve() as served, served.client() as client:
        for _ in range(5):
            await client.ws.send_message("{")
        assert await client.closed() == (4500, "bad_request")


async def test_a_frame_of_the_wrong_kind_closes(serve: Serve) -> None:
    async with serve() as served:
        async with served.client() as client:
            await client.ws.send_message(msgspec.msgpack.encode({"op": "ping"}))
            assert (await client.closed())[0] == 1003
        async with served.client(binary=True) as client:
            await client.ws.send_message(json.dumps({"op": "ping"}))
            assert (await client.closed())[0] == 1003


async def test_too_many_requests_are_slowed_down_refused_and_at_last_closed(serve: Serve) -> None:
    async with serve(limits={"control_rate": 1}) as served, served.client() as client:
        for number in range(3):  # two and a half at once
            await client.send("ping", id=number)
            await client.until("pong")
        await client.send("sub", symbols=["NSE:*"])
        error = await client.until("error")
        assert (error["code"], error["temporary"]) == ("rate_limited", True)
        assert error["retry_after_ms"] > 1000
        for _ in range(4):
            await client.send("sub", symbols=["NSE:*"])
        assert await client.closed() == (4010, "rate_limited")


async def test_what_comes_and_goes_a_thousand_times_ends_as_was_said_last(serve: Serve) -> None:
    async with serve(limits={"control_rate": 100_000}) as served, served.client() as client:
        for _ in range(100):
            await client.send("sub", tokens=[INFY], snapshot=False, interval_ms=0, mode="ltp")
            await client.send("unsub", tokens=[INFY])
        await client.send("sub", id="last", tokens=[INFY], interval_ms=0, mode="ltp")
        await client.until("ack", id="last")
        served.ctx.publish(rows(INFY))
        assert (await client.until("ticks"))["rows"][0][0] == INFY
        assert len(served.server._faces[0].groups) == 1
