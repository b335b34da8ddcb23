"""What happens to each request before its route and after: who calls, whether it may, what is logged and counted."""

import math
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import structlog
import trio
from quart import Request as HttpRequest
from quart import Response

from tickerd.control.access_protocol import Access, Charge
from tickerd.control.figures import ApiFigures
from tickerd.control.forwarded import HEADER as FORWARDED
from tickerd.control.forwarded import caller_address
from tickerd.control.origins import Origins
from tickerd.control.peer import Peer
from tickerd.control.problem import Problem
from tickerd.control.route import Route
from tickerd.observe.clean import shorten
from tickerd.plugin.auth import Credential, Listener, Principal, Request
from tickerd.plugin.hosts import Hosts

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_JITTER = 0.1
"""Part of a waiting time that is added at random, so that not all come back at once."""
_LONGEST_PATH = 500
_LONGEST_AGENT = 200
_SECURITY = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Who can reach the API, and under which names."""

    listeners: Sequence[Listener]
    """Those that the server's doors are called by."""
    hosts: Sequence[str] = ()
    origins: Sequence[str] = ()
    trusted_proxies: Sequence[IPv4Network | IPv6Network] = ()


@dataclass(kw_only=True)
class Exchange:
    """One request and what has been found out of it."""

    id: str
    began: float
    peer: Peer
    caller: Request
    route: Route | None
    principal: Principal | None = None
    charge: Charge | None = None
    origin: str | None = None
    """Of a page elsewhere that the YAML lists."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """For the answer."""

    @property
    def origin_text(self) -> str:
        """Where it came from, for the audit trail."""
        return self.caller.peer or self.peer.door


class Reception:
    """Every request passes through here, also those for which there is no route."""

    def __init__(self, access: Access, reach: Reach, figures: ApiFigures) -> None:
        self._access = access
        self._figures = figures
        self._log = structlog.get_logger().bind()
        self.renew(reach)

    def renew(self, reach: Reach) -> None:
        """Go by these from now on."""
        self._listeners = {listener.address: listener for listener in reach.listeners}
        self._hosts = Hosts([listener.address for listener in reach.listeners], reach.hosts)
        self._origins = Origins(reach.origins)
        self._proxies = tuple(reach.trusted_proxies)

    def open(self, http: HttpRequest, route: Route | None) -> Exchange:
        """Take down what is known of a request."""
        peer: Peer = http.scope["state"]["peer"]
        given = http.headers.get("X-Request-Id", "")
        return Exchange(
            id=given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8),
            began=trio.current_time(),
            peer=peer,
            caller=self._caller(http, peer),
            route=route,
        )

    def _caller(self, http: HttpRequest, peer: Peer) -> Request:
        # repeated headers are one list, as HTTP has it
        headers: dict[str, str] = {}
        for name, value in http.headers.items():
            lower = name.lower()
            headers[lower] = f"{headers[lower]},{value}" if lower in headers else value
        headers.pop("remote-addr", None)  # Quart's own, not the client's
        scheme, _, text = headers.get("authorization", "").partition(" ")
        bearer = scheme.lower() == "bearer" and text.strip()
        return Request(
            listener=self._listeners.get(peer.door) or Listener(address=peer.door, scopes=frozenset()),
            transport="http",
            headers=headers,
            credential=Credential(text.strip(), "header") if bearer else None,
            peer=caller_address(peer, headers.get(FORWARDED), self._proxies),
            uid=peer.uid,
        )

    async def enter(self, exchange: Exchange, http: HttpRequest) -> None:
        """Find out who calls, and whether the request is meant for us.

        Raises:
            Problem: it goes no further.
        """
        if (refusal := self._access.blocked(exchange.caller)) is not None:
            raise self._too_often(exchange, refusal, "addresses")
        showed = "authorization" in exchange.caller.headers
        exchange.principal = await self._access.authenticate(exchange.caller)
        is_probe = exchange.route is not None and exchange.route.is_probe
        if showed and exchange.principal is None and not is_probe:
            self._figures.auth_failed("wrong")
            raise unauthenticated("the credential in the Authorization header is not valid")
        self._check_host(exchange, http, exempt=is_probe or (showed and exchange.principal is not None))

    def _check_host(self, exchange: Exchange, http: HttpRequest, *, exempt: bool) -> None:
        # nobody is led to a Unix socket by a name
        host = http.headers.get("Host", "")
        own = exchange.peer.transport == "unix" or self._hosts.accept(host)
        if not own and not exempt:
            self._figures.auth_failed("host")
            raise Problem(421, "this name is not one of ours: add it to control.hosts", code="wrong-host")
        origin = http.headers.get("Origin")
        if origin is None:
            return
        if not self._origins.accept(origin, http.scheme, host if own else None):
            self._figures.auth_failed("origin")
            raise Problem(403, "this web page may not call: add it to control.origins", code="wrong-origin")
        if self._origins.names(origin):
            exchange.origin = origin

    def admit(self, exchange: Exchange, route: Route) -> None:
        """Let the caller through to a route.

        Raises:
            Problem: who calls is not known, or may not do this, or does it too often.
        """
        principal = exchange.principal
        if route.scope is not None:
            if principal is None:
                self._figures.auth_failed("missing")
                raise unauthenticated("show a key: Authorization: Bearer tkd_…")
            if not self._access.authorize(principal, route.scope):
                self._figures.auth_failed("scope")
                raise Problem(403, f"this needs the scope {route.scope!r}", code="scope-missing")
        if principal is not None:
            charge = exchange.charge = self._access.hit(route.rate, exchange.caller, principal, route.cost)
            if not charge.decision.allowed:
                raise self._too_often(exchange, charge, route.rate)

    def _too_often(self, exchange: Exchange, charge: Charge, rate_class: str) -> Problem:
        exchange.charge = charge
        self._figures.limited(rate_class)
        wait = max(1, math.ceil(charge.decision.retry_after_s))
        wait += secrets.randbelow(math.ceil(wait * _JITTER) + 1)
        return Problem(
            429,
            f"more than {charge.rate} of the class {rate_class!r}; try again in {wait} s",
            code="quota-exceeded",
            headers={"Retry-After": str(wait), **rate_headers(rate_class, charge)},
            extra={"retry_after": wait, "violated-policies": [rate_class]},
        )

    def preflight(self, exchange: Exchange, http: HttpRequest) -> Response | None:
        """The answer to a browser that asks whether a page may call, where the YAML lists the page."""
        if http.method != "OPTIONS" or exchange.origin is None:
            return None
        headers = {
            "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE",
            "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, X-Request-Id",
            "Access-Control-Max-Age": "600",
        }
        return Response(b"", status=204, headers=headers)

    def leave(self, exchange: Exchange, http: HttpRequest, response: Any) -> None:
        """Complete the headers of an answer, count it and log it."""
        headers = response.headers
        headers["X-Request-Id"] = exchange.id
        for name, value in _SECURITY.items():
            headers.setdefault(name, value)
        if exchange.origin is not None:
            headers["Access-Control-Allow-Origin"] = exchange.origin
            headers["Access-Control-Expose-Headers"] = (
                "Idempotency-Replayed, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id"
            )
            headers.add("Vary", "Origin")
        if exchange.charge is not None and exchange.route is not None and "RateLimit" not in headers:
            for name, value in rate_headers(exchange.route.rate, exchange.charge).items():
                headers[name] = value
        seconds = trio.current_time() - exchange.began
        self._figures.answered(http.method, exchange.route, response.status_code, seconds)
        self._log_request(exchange, http, response.status_code, seconds)

    def _log_request(self, exchange: Exchange, http: HttpRequest, status: int, seconds: float) -> None:
        """Without the query string: it is where people put secrets by mistake."""
        route = exchange.route
        is_noise = route is not None and (route.is_probe or route.is_scrape) and status < 400
        log = self._log.debug if is_noise else self._log.info
        log(
            "request",
            method=http.method,
            path=shorten(http.path, _LONGEST_PATH),
            status=status,
            ms=round(seconds * 1000, 1),
            caller=exchange.principal.id if exchange.principal else None,
            peer=exchange.caller.peer or exchange.peer.name,
            request_id=exchange.id,
            agent=http.headers.get("User-Agent", "")[:_LONGEST_AGENT],
        )


def rate_headers(rate_class: str, charge: Charge) -> dict[str, str]:
    """The fields of draft-ietf-httpapi-ratelimit-headers."""
    rate, decision = charge
    return {
        "RateLimit-Policy": f'"{rate_class}";q={rate.count};w={rate.period_s}',
        "RateLimit": f'"{rate_class}";r={max(0, decision.remaining)};t={math.ceil(max(0.0, decision.reset_s))}',
    }


def unauthenticated(detail: str) -> Problem:
    """401. The connection is closed with it, so that guessing costs a connection each."""
    headers = {"WWW-Authenticate": 'Bearer realm="tickerd"', "Connection": "close"}
    return Problem(401, detail, headers=headers)
