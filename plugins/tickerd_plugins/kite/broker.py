"""The few REST calls that a source needs, by the official client in a thread, and their errors in words."""

import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from importlib import import_module
from threading import Lock
from types import ModuleType
from typing import Any, Literal, NamedTuple, TypeVar

import trio

from tickerd.plugin import Mode
from tickerd_plugins.kite.manners import Kind, TooMany, retry_after, shared
from tickerd_plugins.kite.options import KiteOptions

CALL_S = 10.0
"""Limit for one call, answer included."""
_SILENT_S = 7.0
_importing = Lock()

T = TypeVar("T")
Verdict = Literal["good", "dead", "unknown"]
Cause = Literal["auth", "permission", "rate_limited", "input", "order", "broker", "unreachable", "unknown"]
"""What the broker's error types come to."""
_CAUSES: Mapping[str, Cause] = {
    "TokenException": "auth",
    "UserException": "auth",
    "TwoFAException": "auth",
    "PermissionException": "permission",
    "InputException": "input",
    "OrderException": "order",
    "MarginException": "order",
    "HoldingException": "order",
    "DataException": "broker",
    "GeneralException": "broker",
    "NetworkException": "broker",
    "ConnectionError": "unreachable",
    "ConnectTimeout": "unreachable",
    "ReadTimeout": "unreachable",
    "SSLError": "unreachable",
    "ProxyError": "unreachable",
}


class Refused(Exception):
    """The broker, or we, will not do it; the text says why and what to do, without a secret in it.

    Args:
        cause: see `Cause`.
    """

    def __init__(self, text: str, cause: Cause = "unknown") -> None:
        super().__init__(text)
        self.cause: Cause = cause


class Exchanged(NamedTuple):
    """What a login gave."""

    access_token: str
    user_id: str

    def __repr__(self) -> str:
        return f"Exchanged(user_id={self.user_id!r})"


class Broker:
    """Asks one thing of each class at a time, in a thread that is left behind when it takes too long."""

    def __init__(self, options: KiteOptions) -> None:
        self._options = options
        self._manners = shared(options.api_key)
        # a login does not wait for quotes
        self._limiters: Mapping[Kind, trio.CapacityLimiter] = {
            "quote": trio.CapacityLimiter(1),
            "other": trio.CapacityLimiter(1),
        }
        self.sent_from: str | None = None
        """The address of this machine that the last call left from; behind NAT the broker sees another one."""
        self.on_date: Callable[[float], None] = lambda _: None
        """Called with the time that each answer gives, in seconds since 1970 UTC."""

    async def exchange(self, request_token: str, api_secret: str) -> Exchanged:
        """The access token for a request token.

        Raises:
            Refused: there is none.
        """

        def call(client: Any) -> Exchanged:
            given = client.generate_session(request_token, api_secret)
            return Exchanged(_text(given, "access_token"), _text(given, "user_id"))

        return await self._ask(call, _not_exchanged)

    async def user_of(self, access_token: str) -> str:
        """Whose token this is.

        Raises:
            Refused: the broker does not know it, or cannot be asked.
        """
        return await self._ask(
            lambda client: _text(client.profile(), "user_id"), _not_known, access_token=access_token
        )

    async def verdict(self, access_token: str) -> Verdict:
        """Whether the broker takes this token for anything but market data."""
        try:
            await self._ask(lambda client: client.profile(), _keep, access_token=access_token)
        except _Error as error:
            return "dead" if error.kind == "TokenException" else "unknown"
        except Refused:
            return "unknown"
        return "good"

    async def order_states(self, order_id: str, access_token: str) -> list[dict[str, Any]]:
        """All states of an order, oldest first.

        Raises:
            Refused: they cannot be had now.
        """
        states: list[dict[str, Any]] = await self._ask(
            lambda client: client.order_history(order_id), _no_answer, access_token=access_token
        )
        return states

    async def orders(self, access_token: str) -> list[dict[str, Any]]:
        """The newest state of each order of the day.

        Raises:
            Refused: they cannot be had now.
        """
        rows: list[dict[str, Any]] = await self._ask(
            lambda client: _rows(client.orders()), _no_answer, access_token=access_token
        )
        return rows

    async def quotes(self, symbols: Sequence[str], mode: Mode, access_token: str) -> dict[str, Any]:
        """What is known of these symbols, by symbol; those that the broker does not know are not in it.

        Args:
            symbols: ``EXCHANGE:TRADINGSYMBOL``, as `quotes.calls` makes them.
            mode: ``ltp`` asks for the last price, ``quote`` and ``full`` for everything.
            access_token: of the login.

        Raises:
            Refused: they cannot be had now.
        """

        def call(client: Any) -> dict[str, Any]:
            given = (client.ltp if mode == "ltp" else client.quote)(*symbols)
            if not isinstance(given, dict):
                raise TypeError("no quotes in the answer")
            return given

        return await self._ask(call, _no_answer, access_token=access_token, kind="quote")

    async def turn(self, kind: Kind = "other") -> None:
        """Wait until a REST call of this class may be made.

        Raises:
            Refused: that takes too long.
        """
        try:
            await self._manners.turn(kind, CALL_S)
        except TooMany as error:
            raise Refused(
                f"the broker is not asked again for {error.wait_s:.0f} s, so that it does not refuse; try then",
                "rate_limited",
            ) from None

    def hold(self, seconds: float | None, kind: Kind = "other") -> None:
        """The broker says that it is asked too often (HTTP 429), and perhaps for how long to wait."""
        self._manners.hold(kind, seconds)

    async def _ask(
        self,
        call: Callable[[Any], T],
        refused: Callable[["_Error"], Exception],
        access_token: str | None = None,
        kind: Kind = "other",
    ) -> T:
        await self.turn(kind)
        found: list[T] = []
        heard = _Heard()
        try:
            with trio.move_on_after(CALL_S):
                found.append(
                    await trio.to_thread.run_sync(
                        self._called, call, access_token, heard,
                        abandon_on_cancel=True, limiter=self._limiters[kind],
                    )
                )  # fmt: skip
        except _Error as error:
            if error.code == 429:
                self.hold(error.retry_after, kind)
            raise refused(error) from None
        finally:
            self.sent_from = heard.sent_from or self.sent_from
            if heard.date_s is not None:
                self.on_date(heard.date_s)
        if not found:
            raise Refused(f"the broker did not answer within {CALL_S:g} s; try again", "unreachable")
        return found[0]

    def _called(self, call: Callable[[Any], T], access_token: str | None, heard: "_Heard") -> T:
        """In a thread. Errors of the official client come out as `_Error`, without the request in their texts."""
        try:
            client = self._client(access_token)
            client.reqsession.hooks["response"].append(heard.note)
            with client.reqsession:
                return call(client)
        except Exception as error:  # noqa: BLE001 - requests', urllib3's and the client's own; all mean no answer
            code, wait = getattr(error, "code", None), None
            if heard.status == 429:  # whatever its body says, or is
                code, wait = 429, heard.retry_after
            raise _Error(type(error).__name__, str(error), code, wait) from None

    def _client(self, access_token: str | None) -> Any:
        options = self._options
        client = official()(options.api_key, access_token, root=options.rest_url, timeout=_SILENT_S)
        if options.ca_file is not None:
            client.reqsession.mount("https://", _trusting(str(options.ca_file)))
        return client


class _Heard:
    """What the head of an answer says beside its body."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.retry_after: float | None = None
        self.date_s: float | None = None
        self.sent_from: str | None = None

    def note(self, answer: Any, *_: Any, **__: Any) -> None:
        """A hook of requests: the head has come, and the socket is still there."""
        self.status = answer.status_code
        self.retry_after = retry_after(answer.headers.get("retry-after"))
        with suppress(ValueError):
            date = parsedate_to_datetime(answer.headers.get("date") or "")
            self.date_s = date.timestamp() if date.tzinfo is not None else None
        self.sent_from = _sent_from(answer) or self.sent_from


def _sent_from(answer: Any) -> str | None:
    """The local address of the socket that an answer is read from; None when it is closed already."""
    with (
        suppress(OSError, ValueError, AttributeError),
        socket.socket(fileno=os.dup(answer.raw.fileno())) as copy,
    ):
        return str(copy.getsockname()[0])
    return None


def _trusting(ca_file: str) -> Any:
    """A transport that trusts one more file of certificates: the client itself always asks for the usual ones."""
    import ssl  # noqa: PLC0415 - with requests, only where they are needed

    from requests.adapters import HTTPAdapter  # noqa: PLC0415

    context = ssl.create_default_context(cafile=ca_file)

    class Trusting(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> Any:
            return super().init_poolmanager(*args, **kwargs, ssl_context=context)

    return Trusting()


class _Error(Exception):
    """What the official client raised, as values."""

    def __init__(self, kind: str, text: str, code: int | None, retry_after: float | None) -> None:
        super().__init__(kind)
        self.retry_after = retry_after
        self.kind = kind
        self.text = text.lower()
        self.code = code

    @property
    def cause(self) -> Cause:
        """What it comes to."""
        return "rate_limited" if self.code == 429 else _CAUSES.get(self.kind, "unknown")


def _keep(error: _Error) -> Exception:
    return error


def _not_exchanged(error: _Error) -> Exception:
    if error.kind == "TokenException" and "checksum" in error.text:
        return Refused(
            "the broker says that api_secret is not that of this app: has it been made anew? "
            "copy it from developers.kite.trade into the configuration"
        )
    if error.kind in ("TokenException", "InputException") and "api_key" in error.text:
        return Refused("the broker does not know this api_key: compare it with developers.kite.trade")
    if error.kind in ("TokenException", "InputException"):
        return Refused(
            "the broker does not take this request token: it works once and for a few minutes; log in again"
        )
    return _no_answer(error)


def _not_known(error: _Error) -> Exception:
    if error.kind == "TokenException":
        return Refused(
            "the broker does not know this access token: it has ended, or belongs to another api_key"
        )
    return _no_answer(error)


def _no_answer(error: _Error) -> Exception:
    if error.cause == "rate_limited":
        wait = "in a minute" if error.retry_after is None else f"in {error.retry_after:.0f} s"
        return Refused(f"the broker says that we ask too often (HTTP 429); try again {wait}", error.cause)
    code = f", HTTP {error.code}" if error.code else ""
    if error.cause == "auth":
        return Refused(
            f"the broker does not take the login any more ({error.kind}{code}): log in", error.cause
        )
    if error.cause == "permission":
        return Refused(
            f"the app may not do this ({error.kind}{code}): look at it on developers.kite.trade", error.cause
        )
    return Refused(f"the broker gave no usable answer ({error.kind}{code}); try again", error.cause)


def _rows(given: Any) -> list[dict[str, Any]]:
    if not isinstance(given, list) or not all(isinstance(row, dict) for row in given):
        raise ValueError("no list of orders in the answer")
    return given


def _text(given: Any, name: str) -> str:
    value = given.get(name) if isinstance(given, dict) else None
    if (
        not isinstance(value, str)
        or not (value.isascii() and value.isprintable())
        or not 0 < len(value) < 1024
    ):
        raise ValueError(f"no {name} in the answer")
    return value


def official() -> Any:
    """The class ``KiteConnect``, imported without its ticker, which would bring Twisted and its reactor along.

    Whoever else asks the package for ``KiteTicker`` still gets it.
    """
    with _importing:
        if "kiteconnect" not in sys.modules:
            _import_without_ticker()
        return sys.modules["kiteconnect"].KiteConnect


def _import_without_ticker() -> None:
    stub = ModuleType("kiteconnect.ticker")
    stub.KiteTicker = None  # type: ignore[attr-defined]
    sys.modules["kiteconnect.ticker"] = stub
    package: Any = import_module("kiteconnect")
    del sys.modules["kiteconnect.ticker"]
    for name in ("KiteTicker", "ticker"):
        vars(package).pop(name, None)

    def later(name: str) -> Any:
        if name == "KiteTicker":
            return import_module("kiteconnect.ticker").KiteTicker
        raise AttributeError(f"module 'kiteconnect' has no attribute {name!r}")

    package.__getattr__ = later
