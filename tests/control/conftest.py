"""Servers on loopback and on Unix sockets, and a client that sends bytes as they are."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest
import structlog
import structlog.testing
import trio

from tickerd.control.access_protocol import Charge
from tickerd.control.app import Application
from tickerd.control.broadcast import Broadcast
from tickerd.control.desk import Desk
from tickerd.control.facade import ConfigShown, PluginShown, WantedShown
from tickerd.control.figures import ApiFigures
from tickerd.control.limits import Limits
from tickerd.control.reception import Reach
from tickerd.control.route import Route
from tickerd.control.routes import ROUTES
from tickerd.control.server import Door, Figures, Server
from tickerd.control.steering import (
    Accepted,
    Examined,
    NewWebhook,
    Refused,
    Reloaded,
    SubscriptionsChanged,
    WebhookMade,
    WebhookShown,
    WebhookTested,
)
from tickerd.control.tickets import Tickets
from tickerd.dataflow.hub import Hub
from tickerd.dataflow.subscription import Filter, Subscription
from tickerd.observe.health import Thresholds
from tickerd.observe.picture import JournalPicture, Picture, SinkPicture, SourcePicture, Totals
from tickerd.plugin import Clock, Instrument, LoggedIn, Tick
from tickerd.plugin.auth import Listener as PluginListener
from tickerd.plugin.auth import Principal, Request
from tickerd.plugin.ratelimit import Decision, Rate
from tickerd.plugin.scopes import ALL_SCOPES
from tickerd.runtime.logins import Logins, SourceLogin
from tickerd.runtime.verdict import Verdict
from tickerd.state import Database
from tickerd.state.keyring import Keyring

App = Callable[[Any, Any, Any], Awaitable[None]]


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """A small ASGI application: answers once the body has come, and says how long it was."""
    length = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        length += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    body = f"{scope['method']} {scope['path']} {length}".encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


class Running:
    """A server that runs, and how to talk to it."""

    def __init__(
        self,
        app: App,
        server: Server,
        listener: trio.SocketListener,
        path: Path | None,
        nursery: trio.Nursery,
    ) -> None:
        self.app = app
        self.server = server
        self.listener = listener
        self.path = path
        self.nursery = nursery

    async def connect(self) -> trio.SocketStream:
        """A raw connection."""
        if self.path is not None:
            return await trio.open_unix_socket(str(self.path))
        return await trio.open_tcp_stream(*self.listener.socket.getsockname()[:2])

    async def ask(self, data: bytes, *, seconds: float = 5.0) -> bytes:
        """Send bytes and read until the server closes."""
        async with await self.connect() as stream:
            with trio.fail_after(seconds):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_send, stream, data)
                    answer = await read_all(stream)
                    nursery.cancel_scope.cancel()
        return answer

    async def is_alive(self) -> bool:
        """Whether it still answers."""
        return (await self.ask(b"GET /alive HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).startswith(
            b"HTTP/1.1 200"
        )


async def _send(stream: trio.SocketStream, data: bytes) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        await stream.send_all(data)


async def read_all(stream: trio.SocketStream) -> bytes:
    """Everything up to the end; a reset is an end."""
    received = b""
    with suppress(trio.BrokenResourceError):
        async for data in stream:
            received += data
    return received


Serve = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """``async with serve(app, limits, unix=True) as running``."""

    @asynccontextmanager
    async def serving(
        app: App = hello,
        limits: Limits | None = None,
        *,
        unix: bool = False,
        tls: ssl.SSLContext | None = None,
        figures: Figures | None = None,
    ) -> AsyncIterator[Running]:
        path = tmp_path / "api.sock" if unix else None
        if path is not None:
            listening = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
            await listening.bind(str(path))
            listening.listen(1024)
            listener = trio.SocketListener(listening)
        else:
            listener = (await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=1024))[0]
        server = Server(app, limits, figures)
        async with listener, trio.open_nursery() as nursery:
            await nursery.start(server.run, [Door("unix:api" if unix else "127.0.0.1:0", listener, tls)])
            yield Running(app, server, listener, path, nursery)
            server.stop()

    return serving


@pytest.fixture
def break_server(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """``break_server(2)``: the next two times that a server is run it ends with an error before it is ready."""
    run = Server.run

    def break_server(times: int) -> None:
        failures = iter(range(times))

        async def failing(self: Server, doors: Sequence[Door], *, task_status: Any) -> None:
            if next(failures, None) is not None:
                raise ExceptionGroup("x", [RuntimeError("listener is gone")])
            await run(self, doors, task_status=task_status)

        monkeypatch.setattr(Server, "run", failing)

    return break_server


# -- the application -------------------------------------------------------------------------------------

TABLE = {
    instrument.symbol: instrument
    for instrument in (
        Instrument("kite", 408065, "NSE", "INFY", name="INFOSYS", segment="NSE", instrument_type="EQ"),
        Instrument("kite", 738561, "NSE", "RELIANCE", name="RELIANCE INDUSTRIES", instrument_type="EQ"),
        Instrument("kite", 256265, "NSE", "NIFTY 50", name="NIFTY 50", segment="INDICES"),
        Instrument("kite", 500209, "BSE", "INFY", name="INFOSYS", instrument_type="EQ"),
        Instrument("kite", 9, "NFO", "INFY26NOVFUT", name="INFY", instrument_type="FUT", expiry="2026-11-26"),
    )
}


class FakeLogin:
    """A source that anybody can log in."""

    expires: int | None = None

    def url(self, state: str) -> str:
        """See `tickerd.plugin.Login`."""
        return f"https://broker.example/login?state={state}"

    async def exchange(self, params: Any) -> LoggedIn:
        """See `tickerd.plugin.Login`."""
        return LoggedIn("AB1234")


class FakeFacade:
    """A daemon that stands still; tests put into it what they need."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.events = Broadcast(epoch=7)
        self.shown = Picture(
            version="0.1.0",
            epoch=7,
            now_ns=1_790_000_000_000_000_000,
            uptime_s=12.5,
            ready=True,
            sources=(
                SourcePicture(
                    name="kite",
                    use="kite",
                    state="running",
                    reported="connected",
                    totals=Totals(ticks=10, bytes=1840),
                    last_tick_age_s=0.2,
                    wanted=2,
                    market="open",
                ),
            ),
            sinks=(SinkPicture(name="archive", use="file", state="running", written=9, dropped={"slow": 1}),),
            journal=JournalPicture(state="writing"),
        )
        self.ticks: dict[str, Any] = {}
        self.logins = Logins(lambda _: FakeLogin(), lambda: ["kite"], self.clock)
        self.thresholds = Thresholds()

    def picture(self) -> Picture:
        """See `Facade`."""
        return self.shown

    def tables(self) -> list[dict[str, Instrument]]:
        """See `Facade`."""
        return [TABLE]

    def find(self, key: str | int) -> Instrument | None:
        """See `Facade`."""
        if isinstance(key, int):
            return next((one for one in TABLE.values() if one.token == key), None)
        return TABLE.get(key)

    def latest(self, instrument: Instrument) -> Tick | None:
        """See `Facade`."""
        return self.ticks.get(instrument.symbol)

    def wanted(self) -> list[tuple[str, str]]:
        """See `Facade`."""
        return [("kite", "NSE:INFY"), ("kite", "BSE:INFY"), ("demo", "NSE:A")]

    def want(self, source: str, instrument: str) -> WantedShown | None:
        """See `Facade`."""
        return WantedShown(instrument=instrument, source=source, mode="full", owners=("yaml",))

    def login(self, source: str) -> SourceLogin | None:
        """See `Facade`."""
        return self.logins.of(source)

    def plugins(self) -> list[PluginShown]:
        """See `Facade`."""
        return [PluginShown(name="kite", distribution="tickerd", version="0.1.0", loaded=True)]

    def config(self) -> ConfigShown:
        """See `Facade`."""
        return ConfigShown(
            file="t.yaml", generation=1, applied_ns=5, values={"sources": {"kite": {"api_key": "***"}}}
        )


class FakeWebhooks:
    """Endpoints that send nothing."""

    def __init__(self) -> None:
        self.shown = {
            "alerts": WebhookShown(
                name="alerts", origin="https://example.com", registered="yaml", state="running"
            )
        }

    def every(self) -> list[WebhookShown]:
        """See `Webhooks`."""
        return list(self.shown.values())

    async def register(self, new: NewWebhook, by: Any, *, caller: Any) -> WebhookMade:
        """See `Webhooks`."""
        if new.name in self.shown:
            raise Refused("conflict", f"there is a sink {new.name!r} already")
        made = WebhookShown(
            name=new.name,
            origin="https://x.example",
            registered="runtime",
            state="starting",
            created_by=by.who,
        )
        self.shown[new.name] = made
        return WebhookMade(webhook=made, secret="whsec_abc")

    async def rotate_secret(self, name: str, by: Any, *, overlap_s: float) -> WebhookMade:
        """See `Webhooks`."""
        if self.shown[name].registered == "yaml":
            raise Refused("conflict", f"{name!r} is of the YAML: change it there")
        return WebhookMade(webhook=self.shown[name], secret=f"whsec_{overlap_s:g}")

    async def test(self, name: str, by: Any, *, caller: Any) -> WebhookTested:
        """See `Webhooks`."""
        return WebhookTested(ok=False, status=500, detail="answered 500", took_s=0.1)

    async def remove(self, name: str, by: Any) -> None:
        """See `Webhooks`."""
        del self.shown[name]


class FakeSteering:
    """Remembers what was asked for; answers what tests have put into it."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.webhooks: FakeWebhooks | None = FakeWebhooks()
        self.examined = Examined(plan={"changes": False, "steps": []})
        self.reloaded = Reloaded(
            plan={"changes": True},
            verdict=Verdict(applied=True, generation=2, kept=("sink.archive",)),
            generation=2,
        )
        self.refusal: Refused | None = None
        self.wait: trio.Event | None = None
        self.hub = Hub(7)

    async def _ask(self, *what: Any) -> None:
        self.asked.append(what)
        if self.wait is not None:
            await self.wait.wait()
        if self.refusal is not None:
            raise self.refusal

    async def validate(self, document: bytes) -> Examined:
        """See `Steering`."""
        await self._ask("validate", document)
        return self.examined

    async def reload(self, by: Any, *, dry_run: bool = False) -> Reloaded:
        """See `Steering`."""
        await self._ask("reload", by, dry_run)
        return self.reloaded

    async def subscribe(
        self, owner: str, wants: Any, by: Any, *, caller: Any, source: str | None = None
    ) -> SubscriptionsChanged:
        """See `Steering`."""
        await self._ask("subscribe", owner, dict(wants), by, source)
        accepted = tuple(Accepted(instrument=key, source="kite", mode=mode) for key, mode in wants.items())
        return SubscriptionsChanged(owner=owner, accepted=accepted, rejected=())

    async def unsubscribe(
        self, owner: str, instruments: Any, by: Any, *, source: str | None = None
    ) -> SubscriptionsChanged:
        """See `Steering`."""
        await self._ask("unsubscribe", owner, instruments, by, source)
        return SubscriptionsChanged(owner=owner, accepted=(), rejected=())

    async def pause(self, sink: str, by: Any) -> None:
        """See `Steering`."""
        await self._ask("pause", sink, by)

    async def resume(self, sink: str, by: Any) -> None:
        """See `Steering`."""
        await self._ask("resume", sink, by)

    async def flush(self, sink: str, by: Any) -> None:
        """See `Steering`."""
        await self._ask("flush", sink, by)

    async def reset_breaker(self, sink: str, by: Any) -> None:
        """See `Steering`."""
        await self._ask("reset_breaker", sink, by)

    async def refresh_instruments(self, source: str | None, by: Any) -> tuple[str, ...]:
        """See `Steering`."""
        await self._ask("refresh_instruments", source, by)
        return ("kite",) if source is None else (source,)

    @contextmanager
    def tap(self, name: str, wanted: Filter, buffer: int) -> Iterator[Subscription]:
        """See `Steering`."""
        _, subscription = self.hub.subscribe(name, "drop_oldest", buffer, wanted)
        try:
            yield subscription
        finally:
            subscription.close()


class FakeAccess:
    """Keys by their text; limits that tests set."""

    def __init__(self) -> None:
        self.keys: dict[str, Principal] = {
            "all": Principal(id="key all", scopes=ALL_SCOPES),
            "none": Principal(id="key none", scopes=frozenset()),
            "nse": Principal(id="key nse", scopes=frozenset({"ticks:read:NSE"})),
        }
        self.left: dict[str, int] = {}
        self.requests: list[Request] = []
        self.hits: list[tuple[str, str | None]] = []

    def blocked(self, request: Request) -> Charge | None:
        """See `Access`."""
        charge = self._charge("addresses")
        return None if charge.decision.allowed or request.is_local else charge

    async def authenticate(self, request: Request) -> Principal | None:
        """See `Access`."""
        self.requests.append(request)
        if request.credential is not None:
            return self.keys.get(request.credential.text)
        if request.is_local:
            return Principal(id=f"uid {request.uid}", scopes=request.listener.scopes)
        return None

    def authorize(self, principal: Principal, scope: str) -> bool:
        """See `Access`."""
        return principal.may(scope)

    def hit(
        self, rate_class: str, request: Request, principal: Principal | None = None, cost: int = 1
    ) -> Charge:
        """See `Access`."""
        self.hits.append((rate_class, principal.id if principal else None))
        self.left[rate_class] = self.left.get(rate_class, 1000) - cost
        return self._charge(rate_class)

    def _charge(self, rate_class: str) -> Charge:
        left = self.left.get(rate_class, 1000)
        return Charge(Rate(10, 60), Decision(left >= 0, max(left, 0), 12.2, 0.0 if left >= 0 else 6.0))


@dataclass
class Answer:
    """A parsed answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return msgspec.json.decode(self.body)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From the bytes of one answer on a connection that was closed after it."""
        head, _, body = data.partition(b"\r\n\r\n")
        line, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (one.split(": ", 1) for one in lines)}
        if headers.get("transfer-encoding") == "chunked":
            body = _dechunked(body)
        return cls(int(line.split()[1]), headers, body)


class Api:
    """An application that runs, and how to ask it."""

    def __init__(self, facade: FakeFacade, access: FakeAccess, desk: Desk, application: Application) -> None:
        self.facade = facade
        self.access = access
        self.desk = desk
        self.steering: Any = desk.steering
        self.application = application
        self.running: Running

    async def raw(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        """One request on a connection of its own; header names with ``_`` for ``-``."""
        lines = {"Host": "localhost", "Connection": "close"}
        if body:
            lines |= {"Content-Length": str(len(body)), "Content-Type": "application/json"}
        lines |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        data = await self.running.ask(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + body)
        return Answer.parse(data)

    async def get(self, target: str, key: str | None = "all", **headers: str) -> Answer:
        """A GET with a key."""
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        return await self.raw("GET", target, **headers)

    async def post(self, target: str, body: Any, key: str | None = "all", **headers: str) -> Answer:
        """A POST of JSON with a key."""
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        return await self.raw("POST", target, msgspec.json.encode(body), **headers)

    async def delete(self, target: str, key: str | None = "all", **headers: str) -> Answer:
        """A DELETE with a key."""
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        return await self.raw("DELETE", target, **headers)


def _dechunked(data: bytes) -> bytes:
    whole = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        whole += data[: int(size, 16)]
        data = data[int(size, 16) + 2 :]
    return whole


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A state file and keys that are real, and a daemon that is not."""
    clock = Clock()
    async with Database(tmp_path / "state") as db, trio.open_nursery() as nursery:
        keys = Keyring(db, clock, tmp_path / "state")
        await nursery.start(keys.run)
        yield Desk(steering=FakeSteering(), db=db, keys=keys, tickets=Tickets(clock))
        nursery.cancel_scope.cancel()


@pytest.fixture
def open_api(serve: Serve, desk: Desk) -> Callable[..., AbstractAsyncContextManager[Api]]:
    """``async with open_api(hosts=…, routes=…) as api``: over TCP, or over a Unix socket that may do everything."""

    @asynccontextmanager
    async def opening(
        routes: Sequence[Route] = ROUTES,
        limits: Limits | None = None,
        *,
        unix: bool = False,
        scopes: frozenset[str] = ALL_SCOPES,
        **reach: Any,
    ) -> AsyncIterator[Api]:
        facade, access = FakeFacade(), FakeAccess()
        door = "unix:api" if unix else "127.0.0.1:0"
        listener = PluginListener(address=door, auth=("keys",), scopes=scopes)
        server_figures = Figures()
        there = Reach(listeners=[listener], **reach)
        application = Application(
            routes, facade, access, there, ApiFigures(server_figures), limits, desk=desk
        )
        api = Api(facade, access, desk, application)
        async with trio.open_nursery() as nursery:
            await nursery.start(application.run)
            async with serve(application.quart, limits, unix=unix, figures=server_figures) as api.running:
                yield api
            nursery.cancel_scope.cancel()

    return opening


@pytest.fixture
async def api(open_api: Callable[..., AbstractAsyncContextManager[Api]]) -> AsyncIterator[Api]:
    """One over TCP with all routes."""
    async with open_api() as opened:
        yield opened


@pytest.fixture
def log_output() -> Iterator[list[dict[str, Any]]]:
    """What is logged during the test, as dicts."""
    with structlog.testing.capture_logs() as lines:
        yield lines
