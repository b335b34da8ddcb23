"""The few REST calls that a login needs, by the official client in a thread, and their errors in words."""

import sys
from collections.abc import Callable
from importlib import import_module
from threading import Lock
from types import ModuleType
from typing import Any, Literal, NamedTuple, TypeVar

import trio

from tickerd_plugins.kite.options import KiteOptions

CALL_S = 10.0
"""Limit for one call, answer included."""
_SILENT_S = 7.0
_importing = Lock()

T = TypeVar("T")
Verdict = Literal["good", "dead", "unknown"]


class Refused(Exception):
    """The broker, or we, will not do it; the text says why and what to do, without a secret in it."""


class Exchanged(NamedTuple):
    """What a login gave."""

    access_token: str
    user_id: str

    def __repr__(self) -> str:
        return f"Exchanged(user_id={self.user_id!r})"


class Broker:
    """Asks one thing at a time, in a thread that is left behind when it takes too long."""

    def __init__(self, options: KiteOptions) -> None:
        self._options = options
        self._limiter = trio.CapacityLimiter(1)

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

    async def _ask(
        self,
        call: Callable[[Any], T],
        refused: Callable[["_Error"], Exception],
        access_token: str | None = None,
    ) -> T:
        found: list[T] = []
        try:
            with trio.move_on_after(CALL_S):
                found.append(
                    await trio.to_thread.run_sync(
                        self._called, call, access_token, abandon_on_cancel=True, limiter=self._limiter
                    )
                )
        except _Error as error:
            raise refused(error) from None
        if not found:
            raise Refused(f"the broker did not answer within {CALL_S:g} s; try again")
        return found[0]

    def _called(self, call: Callable[[Any], T], access_token: str | None) -> T:
        """In a thread. Errors of the official client come out as `_Error`, without the request in their texts."""
        try:
            client = self._client(access_token)
            with client.reqsession:
                return call(client)
        except Exception as error:  # noqa: BLE001 - requests', urllib3's and the client's own; all mean no answer
            raise _Error(type(error).__name__, str(error), getattr(error, "code", None)) from None

    def _client(self, access_token: str | None) -> Any:
        options = self._options
        client = official()(options.api_key, access_token, root=options.rest_url, timeout=_SILENT_S)
        if options.ca_file is not None:
            client.reqsession.mount("https://", _trusting(str(options.ca_file)))
        return client


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

    def __init__(self, kind: str, text: str, code: int | None) -> None:
        super().__init__(kind)
        self.kind = kind
        self.text = text.lower()
        self.code = code


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
    if error.code == 429:
        return Refused("the broker says that we ask too often (HTTP 429); try again in a minute")
    code = f", HTTP {error.code}" if error.code else ""
    return Refused(f"the broker gave no usable answer ({error.kind}{code}); try again")


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
