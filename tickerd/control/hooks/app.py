"""The application of the hooks listener.

Strangers reach it. Whatever is not a callback that we wait for or a report that is genuine gets the same answer,
so that nobody learns which units there are. Query strings, bodies and headers are never logged.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Protocol

import structlog
import trio
from quart import Request, Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from tickerd.control.changes import Changes
from tickerd.control.forwarded import HEADER as FORWARDED
from tickerd.control.forwarded import caller_address
from tickerd.control.hooks.limiter import Knocks
from tickerd.control.peer import Peer, network
from tickerd.control.problem import Problem
from tickerd.control.syntax import SYNTAX
from tickerd.plugin import AnyRecord, Hosts, Rejected, Retry
from tickerd.plugin.inbound import MAX_BODY, Inbound
from tickerd.plugin.login import LoggedIn, LoginRefused
from tickerd.plugin.ratelimit import Rate
from tickerd.runtime.logins import NotOurs

NOTHING = "nothing here, or nothing any more: for a login begin again with tickerd login\n"
CALLBACKS = Rate(20, 60)
"""Of one address."""
REPORTS = Rate(600, 60)
"""Of one address."""
LOGIN_S = 30.0
VERIFY_S = 10.0
BODY_S = 10.0
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Content-Type": "text/plain; charset=utf-8",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class CallbackLogin(Protocol):
    """The part of `tickerd.runtime.logins.SourceLogin` that is needed."""

    async def callback(self, params: Mapping[str, str], origin: str) -> LoggedIn:
        """See there."""
        ...


@dataclass(frozen=True, kw_only=True)
class Doorway:
    """What the daemon hands in. None of these waits."""

    login: Callable[[str], CallbackLogin | None]
    """The login of a source, None where there is none."""
    inbound: Callable[[str], Inbound | None]
    """What takes reports for a unit while it runs."""
    publish: Callable[[str, Sequence[AnyRecord]], None]
    """Publishes records as those of a unit."""


@dataclass(frozen=True, kw_only=True)
class HooksReach:
    """Who can reach it, and under which names."""

    listening: Sequence[str]
    """Addresses that the server's doors are called by."""
    hosts: Sequence[str] = ()
    trusted_proxies: Sequence[IPv4Network | IPv6Network] = ()


@dataclass
class HooksFigures:
    """What was answered, for metrics."""

    answers: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("logged_in", "login_refused", "taken", "later", "refused", "limited", "failed"), 0
        )
    )


class HooksApplication:
    """Holds the Quart application.

    Args:
        changes: finishes a login whose browser has been closed.
    """

    def __init__(self, doorway: Doorway, reach: HooksReach, changes: Changes) -> None:
        self._doorway = doorway
        self._changes = changes
        self._callbacks = Knocks(CALLBACKS)
        self._reports = Knocks(REPORTS)
        self._log = structlog.get_logger()
        self.figures = HooksFigures()
        self.renew(reach)
        with SYNTAX:
            self.quart = self._quart()

    def renew(self, reach: HooksReach) -> None:
        """Go by these from now on."""
        self._hosts = Hosts(reach.listening, reach.hosts)
        self._proxies = tuple(reach.trusted_proxies)

    def _quart(self) -> QuartTrio:
        app = QuartTrio("tickerd.hooks", static_folder=None, template_folder=None)
        app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
        app.config["BODY_TIMEOUT"] = BODY_S
        app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
        app.url_map.merge_slashes = False
        for path in ("/", "/<path:path>"):
            app.add_url_rule(path, endpoint=f"any{path}", view_func=self._any, methods=list(_METHODS))
        app.register_error_handler(HTTPException, self._http_exception)
        app.register_error_handler(Exception, self._bug)
        return app

    async def _any(self, path: str = "") -> Response:
        """Every request: one way in, so that all that is refused looks alike."""
        del path  # as the router understands it, which takes two slashes for one
        match str(request.scope["path"]).split("/"):
            case ["", "login", unit, "callback"] if request.method == "GET":
                return await self._login(unit)
            case ["", "hooks", unit, *_] if request.method == "POST":
                return await self._report(unit)
        return self._nothing("refused")

    # -- logins ------------------------------------------------------------------------------------------

    async def _login(self, unit: str) -> Response:
        address = self._address(request)
        if self._callbacks.wait(network(address), trio.current_time()):
            return self._nothing("limited")
        params = {name: values[-1] for name, values in request.args.lists() if len(values) == 1}
        login = self._doorway.login(unit) if self._hosts.accept(request.headers.get("Host", "")) else None
        if login is None or "state" not in params:
            return self._nothing("refused")
        try:
            found = await self._changes.make(lambda: login.callback(params, f"hooks {address}"), LOGIN_S)
        except NotOurs:
            return self._nothing("refused")
        except LoginRefused as error:
            return self._say("login_refused", 403, f"not logged in: {error}\n")
        except Problem:  # too many at once, or no end to it
            return self._say("later", 503, "not done in time; begin again with tickerd login\n")
        return self._say("logged_in", 200, f"logged in as {found.user}; you can close this page\n")

    # -- reports -----------------------------------------------------------------------------------------

    async def _report(self, unit: str) -> Response:
        address = self._address(request)
        if self._reports.wait(network(address), trio.current_time()):
            return self._say("limited", 429, "too many requests\n", {"Retry-After": "60"})
        inbound = self._doorway.inbound(unit) if self._hosts.accept(request.headers.get("Host", "")) else None
        if inbound is None:
            return self._nothing("refused")
        body: bytes = await request.get_data(cache=False, as_text=False, parse_form_data=False)
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            with trio.fail_after(VERIFY_S):
                records = await inbound.verify(body, headers)
        except Rejected as error:
            self._log.warning("report refused", unit=unit, peer=address, reason=str(error))
            return self._nothing("refused")
        except (Retry, trio.TooSlowError):
            return self._say("later", 503, "try again\n", {"Retry-After": "5"})
        self._doorway.publish(unit, records)
        return self._say("taken", 200, "ok\n")

    # -- answers -----------------------------------------------------------------------------------------

    def _nothing(self, how: str) -> Response:
        return self._say(how, 404, NOTHING)

    def _say(self, how: str, status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
        self.figures.answers[how] += 1
        self._log.info(
            "hook answered", how=how, status=status, method=request.method, peer=self._address(request)
        )
        return Response(text, status=status, headers={**_HEADERS, **(headers or {})})

    async def _http_exception(self, error: HTTPException) -> Response:
        """What Quart itself turns away: a body that is too long or too slow closes the connection."""
        if error.code in (408, 413):
            return self._say("refused", error.code, "too long\n", {"Connection": "close"})
        return self._nothing("refused")

    async def _bug(self, error: Exception) -> Response:
        """An exception that nobody expected; its text may hold what a stranger sent."""
        number = secrets.token_hex(4)
        self._log.error("hook failed", number=number, error=type(error).__name__, exc_info=error)
        return self._say("failed", 500, f"failed; look for {number} in the log\n")

    def _address(self, http: Request) -> str:
        """Whom to hold responsible."""
        peer: Peer = http.scope["state"]["peer"]
        headers: Any = http.headers.getlist(FORWARDED)
        return caller_address(peer, ",".join(headers) or None, self._proxies) or peer.name
