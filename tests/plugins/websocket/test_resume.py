"""Coming back: every tick since a position, without a hole and without a repeat."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import trio

import tickerd_plugins.websocket.resume as resume_module
from tickerd.plugin import Batch, Gap, Position, Principal, Row

Serve = Callable[..., AbstractAsyncContextManager[Any]]

INFY, TCS = 408065, 2953217


def rows(*tokens: int, price: float = 100.0) -> Batch:
    return Batch.of([Row(token, mode="full", last_price=price) for token in tokens], ts_recv=5)


async def seqs(client: Any, until: int) -> list[int]:
    """Of all rows up to one."""
    found: list[int] = []
    with trio.fail_after(10):
        while not found or found[-1] < until:
            message = await client.next()
            assert message["t"] in ("ticks", "hb"), message
            found += [row[1] for row in message.get("rows", ())]
    return found


async def resume(client: Any, seq: int, *, epoch: int = 1, **members: Any) -> dict[str, Any]:
    await client.send(
        "resume", id=1, epoch=epoch, seq=seq, tokens=[INFY], mode="ltp", interval_ms=0, **members
    )
    return dict(await client.until("ack"))


@pytest.mark.parametrize("memory", ["0B", "8MiB"])
async def test_all_that_came_since_is_sent_and_then_what_comes(serve: Serve, memory: str) -> None:
    async with serve(stream={"resume_buffer": memory}) as served:
        for _ in range(10):
            served.ctx.publish(rows(INFY, TCS))
        await served.settled()
        async with served.client() as client:
            ack = await resume(client, 6)
            assert (ack["recovered"], ack["accepted"], ack["total"]) == (True, 1, 1)
            served.ctx.publish(rows(INFY))
            assert await seqs(client, 21) == [7, 9, 11, 13, 15, 17, 19, 21]


@pytest.mark.full
async def test_nothing_is_lost_or_repeated_while_much_is_published(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume_module, "NEAR", 200)
    monkeypatch.setattr(resume_module, "READ", 50)
    async with serve(stream={"resume_buffer": "0B"}) as served, trio.open_nursery() as nursery:
        for _ in range(2_000):
            served.ctx.published.append(rows(INFY))
            served.ctx.seq += 1
            batch = served.ctx.published[-1]
            assert batch.origin is not None
            batch.origin.epoch, batch.origin.seq, batch.origin.namespace = 1, served.ctx.seq, "kite"
            batch.last = Position(1, served.ctx.seq)

        async def publish() -> None:
            while True:
                served.ctx.publish(rows(INFY))
                await trio.sleep(0.001)

        async with served.client() as client:
            nursery.start_soon(publish)
            assert (await resume(client, 10))["recovered"]
            found = await seqs(client, 2_300)
            assert found == list(range(11, found[-1] + 1))
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("epoch", "seq", "recorded"),
    [
        (1, 99, Position(1, 0)),  # never given out
        (7, 1, Position(1, 0)),  # of a run that never was
        (1, 1, Position(1, 3)),  # deleted
        (1, 1, None),  # no journal
    ],
)
async def test_where_there_is_no_going_on_there_is_a_snapshot(
    serve: Serve, epoch: int, seq: int, recorded: Position | None
) -> None:
    async with serve(stream={"resume_buffer": "0B"}) as served:
        for price in range(5):
            served.ctx.publish(rows(INFY, price=float(price)))
        await served.settled()
        served.ctx.recorded = recorded
        async with served.client() as client:
            assert (await resume(client, seq, epoch=epoch))["recovered"] is False
            snapshot = await client.until("snapshot")
            assert snapshot["rows"] == [[INFY, 5, None, 5, [], 4.0]]
            served.ctx.publish(rows(INFY))
            assert await seqs(client, 6) == [6]


async def test_without_the_scope_there_is_no_history(serve: Serve) -> None:
    async with serve() as served:
        served.ctx.principals["plain"] = Principal(id="key plain", scopes=frozenset({"ticks:read"}))
        async with served.client(key="plain") as client:
            assert (await resume(client, 0))["recovered"] is False


async def test_a_hole_in_the_journal_is_told(serve: Serve) -> None:
    async with serve(stream={"resume_buffer": "0B"}) as served:
        for _ in range(6):
            served.ctx.publish(rows(INFY))
        served.ctx.publish(Batch.control(Gap(reason="journal_slow", lost=2, after=(1, 2), source="journal")))
        await served.settled()
        del served.ctx.published[2:4]
        async with served.client() as client:
            assert (await resume(client, 1))["recovered"]
            gap = await client.until("gap", detail="journal")
            assert (gap["reason"], gap["since"], gap["until"], gap["dropped"]) == ("server", 3, 4, 2)
            assert (await client.until("gap", detail="journal_slow"))["dropped"] == 2


async def test_who_reads_more_slowly_than_memory_forgets_goes(serve: Serve) -> None:
    async with serve(stream={"resume_buffer": "64KiB"}) as served:
        for _ in range(100):
            served.ctx.publish(rows(INFY))
        await served.settled()
        face = served.server._faces[0]
        history = face.backlog.history(Position(1, 90))
        assert history is not None
        async with served.client() as client:
            face.backlog.history = lambda after: history
            for _ in range(1000):
                face.backlog.add(served.ctx.published[-1])
            await resume(client, 90)
            assert await client.closed() == (4008, "slow_client")


async def test_what_our_own_buffer_dropped_is_not_hidden_by_memory(serve: Serve) -> None:
    async with serve() as served, served.client() as client:
        served.ctx.publish(rows(INFY))
        served.ctx.publish(Batch.control(Gap(reason="slow_consumer", lost=5, source="sink.stream")))
        served.ctx.publish(rows(INFY))
        await served.settled()
        gap = await client.until("gap")
        assert (gap["reason"], gap["dropped"]) == ("server", 5)
        face = served.server._faces[0]
        assert face.backlog.history(Position(1, 1)) is None
        assert face.backlog.history(Position(1, 2)) is not None
