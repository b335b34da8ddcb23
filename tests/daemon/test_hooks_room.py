"""The hooks listener as the daemon holds it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from tickerd.config.access import HooksSettings
from tickerd.daemon.hooks_room import HooksRoom
from tickerd.dataflow.hub import Hub
from tickerd.plugin import AnyRecord, Clock, LoggedIn, Report
from tickerd.runtime.listeners import Listeners
from tickerd.runtime.logins import Logins


class FakeSource:
    """Logs in, and takes reports."""

    expires: int | None = None

    def url(self, state: str) -> str:
        """See `tickerd.plugin.Login`."""
        return state

    async def exchange(self, params: Mapping[str, str]) -> LoggedIn:
        """See `tickerd.plugin.Login`."""
        return LoggedIn("AB1234")

    async def verify(self, body: bytes, headers: Mapping[str, str]) -> Sequence[AnyRecord]:
        """See `tickerd.plugin.Inbound`."""
        return [Report(id="1", kind="x", data=body.decode())] if body else []


class FakeFeed:
    """What of the feed is needed."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.source: object = FakeSource()
        self.house = SimpleNamespace(hub=Hub(1), listeners=Listeners(), clock=self.clock)
        self.logins = Logins(lambda _: self.source, lambda: ["kite"], self.clock)
        self.renewals: list[Any] = []

    def running_source(self, name: str) -> object | None:
        """See `tickerd.daemon.feed.Feed`."""
        return self.source if name == "kite" else None


@pytest.fixture
async def feed() -> FakeFeed:
    return FakeFeed()


async def ask(path: Path, request: str, host: str = "localhost") -> str:
    head, _, body = request.partition("\n")
    lines = (
        f"{head} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
    )
    async with await trio.open_unix_socket(str(path)) as stream:
        await stream.send_all(lines.encode())
        with trio.fail_after(5):
            answer = b"".join([bytes(data) async for data in stream])
    return answer.partition(b" ")[2][:3].decode()


async def test_callbacks_and_reports_reach_the_running_source(feed: FakeFeed, tmp_path: Path) -> None:
    path = tmp_path / "hooks.sock"
    room = HooksRoom(feed, HooksSettings(listen=f"unix:{path}"))  # type: ignore[arg-type]
    kite = feed.logins.of("kite")
    assert kite is not None
    _, subscription = feed.house.hub.subscribe("test", "drop_oldest", 2**20)
    async with trio.open_nursery() as nursery:
        await nursery.start(room.run)
        assert await ask(path, f"GET /login/kite/callback?state={kite.begin().url}") == "200"
        assert kite.logins == 1
        assert await ask(path, "POST /hooks/kite/x\nhello") == "200"
        (record,) = (await subscription.receive()).records
        assert (record.source, record.data) == ("kite", "hello")
        assert record.ts_recv > 0
        assert await ask(path, "POST /hooks/kite/x") == "200", "genuine, and nothing new"
        assert await ask(path, "POST /hooks/other/x\nhello") == "404"
        feed.source = object()
        assert await ask(path, "POST /hooks/kite/x\nhello") == "404"
        await room.stop()
    await feed.house.listeners.aclose()
    subscription.close()


async def test_a_reload_changes_the_names_it_answers_to(feed: FakeFeed, tmp_path: Path) -> None:
    path = tmp_path / "hooks.sock"
    settings = HooksSettings(listen=f"unix:{path}")
    room = HooksRoom(feed, settings)  # type: ignore[arg-type]
    (renew,) = feed.renewals
    async with trio.open_nursery() as nursery:
        await nursery.start(room.run)
        assert await ask(path, "POST /hooks/kite\nx", host="ticks.example.com") == "404"
        renewed = settings.model_copy(update={"hosts": ("ticks.example.com",)})
        renew(SimpleNamespace(settings=SimpleNamespace(hooks=renewed)))
        assert await ask(path, "POST /hooks/kite\nx", host="ticks.example.com") == "200"
        renew(SimpleNamespace(settings=SimpleNamespace(hooks=None)))
        assert await ask(path, "POST /hooks/kite\nx", host="ticks.example.com") == "200"
        await room.stop()
    await feed.house.listeners.aclose()
