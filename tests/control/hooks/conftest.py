"""A hooks listener on loopback, and a daemon behind it that remembers what it is asked."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
import trio

from tickerd.control.hooks import Doorway, HooksCompartment, HooksReach
from tickerd.control.server import Door
from tickerd.plugin import AnyRecord, LoggedIn, LoginRefused, Report
from tickerd.runtime.logins import NotOurs


class FakeLogin:
    """Waits for the state ``STATE``."""

    def __init__(self) -> None:
        self.called: list[tuple[dict[str, str], str]] = []
        self.error: Exception | None = None
        self.hold: trio.Event | None = None
        self.done = trio.Event()

    async def callback(self, params: Mapping[str, str], origin: str) -> LoggedIn:
        """See `tickerd.runtime.logins.SourceLogin`."""
        self.called.append((dict(params), origin))
        if self.hold is not None:
            await self.hold.wait()
        await trio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        if params["state"] != "STATE":
            raise NotOurs("kite")
        self.done.set()
        return LoggedIn("AB1234")


class FakeInbound:
    """Takes the body ``genuine``."""

    def __init__(self) -> None:
        self.seen: list[tuple[bytes, dict[str, str]]] = []
        self.error: Exception | None = None

    async def verify(self, body: bytes, headers: Mapping[str, str]) -> Sequence[AnyRecord]:
        """See `tickerd.plugin.Inbound`."""
        self.seen.append((body, dict(headers)))
        await trio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        return [Report(id="1", kind="x", data=body.decode())]


class Hooks:
    """One that runs, and what stands behind it."""

    def __init__(self) -> None:
        self.login = FakeLogin()
        self.inbound = FakeInbound()
        self.published: list[tuple[str, Sequence[AnyRecord]]] = []
        self.compartment: HooksCompartment
        self.address: tuple[str, int]

    async def raw(self, data: bytes) -> bytes:
        """Send bytes, read until the end."""
        async with await trio.open_tcp_stream(*self.address) as stream:
            await stream.send_all(data)
            with trio.fail_after(5):
                return b"".join([bytes(part) async for part in stream])

    async def ask(
        self, method: str, target: str, body: bytes = b"", host: str = "localhost", **headers: str
    ) -> tuple[int, dict[str, str], str]:
        """Status, headers and text of the answer."""
        lines = {"Host": host, "Connection": "close"} | {k.replace("_", "-"): v for k, v in headers.items()}
        if body:
            lines["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        answer = await self.raw(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + body)
        first, _, text = answer.partition(b"\r\n\r\n")
        status, *rest = first.decode().split("\r\n")
        found = {name.lower(): value for name, value in (line.split(": ", 1) for line in rest)}
        found.pop("date", None)
        return int(status.split()[1]), found, text.decode()


@pytest.fixture
def open_hooks() -> Callable[..., AbstractAsyncContextManager[Hooks]]:
    """``async with open_hooks(hosts=…) as hooks``."""

    @asynccontextmanager
    async def opening(**reach: Any) -> AsyncIterator[Hooks]:
        hooks = Hooks()
        doorway = Doorway(
            login=lambda unit: hooks.login if unit == "kite" else None,
            inbound=lambda unit: hooks.inbound if unit == "kite" else None,
            publish=lambda unit, records: hooks.published.append((unit, records)),
        )
        listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
        hooks.address = listener.socket.getsockname()[:2]
        where = HooksReach(listening=["127.0.0.1:0"], **reach)
        hooks.compartment = HooksCompartment(doorway, where, draw=lambda: 0.0)
        async with listener, trio.open_nursery() as nursery:
            await nursery.start(hooks.compartment.run, [Door("127.0.0.1:0", listener)])
            yield hooks
            hooks.compartment.stop()

    return opening


@pytest.fixture
async def hooks(open_hooks: Callable[..., AbstractAsyncContextManager[Hooks]]) -> AsyncIterator[Hooks]:
    """One that answers to its own names."""
    async with open_hooks() as opened:
        yield opened


@pytest.fixture
def refused() -> type[LoginRefused]:
    """The exception."""
    return LoginRefused
