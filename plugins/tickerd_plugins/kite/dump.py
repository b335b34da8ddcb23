"""Downloads the instrument dump, in a process of its own: ``python -m tickerd_plugins.kite.dump``.

Reads a request as JSON from standard input (never from the command line, which others can see) and writes
what `rows.pack` makes to standard output: the rows, or why there are none. A process of its own, because the
official client blocks, and because parsing a hundred thousand rows would stall the feed.
"""

import gc
import os
import re
import resource
import ssl
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import date
from email.utils import parsedate_to_datetime
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from tickerd.plugin.listing import Listing
from tickerd.wire.day import day_of
from tickerd_plugins.kite.manners import retry_after
from tickerd_plugins.kite.rows import NAMESPACE, Header, Row, pack

MOST_SKIPPED = 0.01
"""A dump with a larger share of unusable rows is refused."""
COLUMNS = (
    "instrument_token", "exchange_token", "tradingsymbol", "name", "last_price", "expiry", "strike", "tick_size",
    "lot_size", "instrument_type", "segment", "exchange",
)  # fmt: skip
_LONGEST_FIELD = 128
_DERIVATIVES = frozenset(("FUT", "CE", "PE"))
_UNDERLYING = re.compile(r"([A-Z][A-Z&-]*)\d\d")
_CONTENT_TYPE = re.compile(r"Unknown Content-Type \(([\w/;=. +-]{1,60})")


class Request(msgspec.Struct, kw_only=True):
    """What to fetch."""

    api_key: str
    access_token: str | None = None
    root: str
    timeout: float = 30.0
    """Seconds without a byte."""
    ca_file: str | None = None
    max_bytes: int = 64 * 2**20
    """Of the answer."""
    previous: str | None = None
    """The copy of the last dump, to be compared with."""
    now_ns: int = 0
    """The time, in nanoseconds since 1970 UTC."""
    memory: int = 2**30
    """Address space of this process, in bytes: an answer that unpacks into more ends it."""


class UnusableError(ValueError):
    """The dump was fetched but cannot be used; the text says why."""


class Heard:
    """What the heads of the broker's answers say."""

    def __init__(self) -> None:
        self.too_often = False
        self.retry_after: float | None = None
        self.host_ahead_s: float | None = None

    def note(self, response: Any, *_: Any, **__: Any) -> None:
        """A hook of requests: a head has come, its body not yet."""
        self.host_ahead_s = ahead_s(response.headers.get("date"), time.time())  # noqa: TID251 - the host's clock is the question
        self.too_often = response.status_code == 429
        self.retry_after = retry_after(response.headers.get("retry-after")) if self.too_often else None


def ahead_s(date_header: str | None, now_s: float) -> float | None:
    """How far a clock is ahead of the ``Date`` of an answer; None where it has none."""
    try:
        said = parsedate_to_datetime(date_header or "")
    except ValueError:
        return None
    return now_s - said.timestamp() if said.tzinfo is not None else None


def fetch(request: Request, heard: Heard | None = None) -> list[dict[str, Any]]:
    """The dump as the official client gives it."""
    kite = client(request)
    if heard is not None:
        kite.reqsession.hooks["response"].append(heard.note)
    kite.reqsession.hooks["response"].append(_limit(request.max_bytes))
    rows: list[dict[str, Any]] = kite.instruments()
    return rows


def client(request: Request) -> Any:
    """The official client, without its ticker (which would import and install Twisted's reactor)."""
    stub = ModuleType("kiteconnect.ticker")
    stub.KiteTicker = None  # type: ignore[attr-defined]
    sys.modules.setdefault("kiteconnect.ticker", stub)
    from kiteconnect import KiteConnect  # noqa: PLC0415 - only after the stub is in place

    dates = import_module("dateutil.parser")
    if not hasattr(dates.parse, "cache_info"):
        # the client has each of 100,000 expiries parsed, which are a few dozen days: three quarters of its time
        dates.parse = lru_cache(maxsize=1000)(dates.parse)  # type: ignore[attr-defined]
    kite = KiteConnect(request.api_key, request.access_token, root=request.root, timeout=request.timeout)
    if request.ca_file:
        kite.reqsession.mount("https://", _trusting(request.ca_file))
    return kite


def _trusting(ca_file: str) -> Any:
    """A transport that trusts one more file of certificates; the usual ones are added by requests."""
    from requests.adapters import HTTPAdapter  # noqa: PLC0415 - slow to import; only where it is needed

    context = ssl.create_default_context(cafile=ca_file)

    class Trusting(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> Any:
            return super().init_poolmanager(*args, **kwargs, ssl_context=context)

    return Trusting()


def _limit(max_bytes: int) -> Any:
    """A hook that refuses an answer by its announced size, before its body is read."""

    def check(response: Any, *_: Any, **__: Any) -> None:
        length = response.headers.get("content-length", "0")
        if length.isdecimal() and int(length) > max_bytes:
            response.close()
            raise UnusableError(f"the dump is larger than {max_bytes} bytes")

    return check


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_FIELD or not value.isprintable():
        raise UnusableError("bad field")
    return value.strip()


def _row(raw: Mapping[str, Any]) -> Row:
    """One row of the dump, checked.

    Raises:
        UnusableError: it is not one.
    """
    token, expiry = raw["instrument_token"], raw["expiry"]
    exchange, symbol = _text(raw["exchange"]), _text(raw["tradingsymbol"])
    if not 0 < token < 2**32 or not exchange or not symbol:
        raise UnusableError("bad field")
    kind = _text(raw["instrument_type"])
    return (
        token, exchange, symbol, _text(raw["name"]) or _underlying(symbol, kind), _text(raw["segment"]), kind,
        expiry.isoformat() if isinstance(expiry, date) else _text(expiry),
        raw["strike"], raw["lot_size"], raw["tick_size"],
    )  # fmt: skip


def _underlying(symbol: str, kind: str) -> str:
    """The name of a derivative that the dump leaves empty: what its symbol begins with, up to the year."""
    found = _UNDERLYING.match(symbol) if kind in _DERIVATIVES else None
    return found[1] if found else ""


def compare(header: Header, old: Listing, new: Listing, today: str) -> None:
    """Note in the header what is another than in the copy."""
    before = dict(zip(old.symbols(), map(old.token, range(len(old))), strict=True))
    after = dict(zip(new.symbols(), map(new.token, range(len(new))), strict=True))
    gone = [row for row, symbol in enumerate(before) if symbol not in after]
    over = sum("" < old.value("expiry", row) < today for row in gone)
    header.lost, header.expired = len(gone) - over, over
    header.compared = len(before) - over
    header.added = len(after.keys() - before.keys())
    header.changed = sum(before.get(symbol, token) != token for symbol, token in after.items())


def _compare_with_copy(header: Header, request: Request, new: Listing) -> None:
    if request.previous is None:
        return
    try:
        old = Listing.unpack(Path(request.previous).read_bytes())
    except (OSError, ValueError):
        return  # the daemon has said what is wrong with it when it read it
    if old.about.get("root") == request.root:
        compare(header, old, new, day_of(request.now_ns).isoformat())


def table(raw: Iterable[Mapping[str, Any]]) -> tuple[list[Row], int]:
    """Check a dump row by row; the rows, and how many were left out.

    Raises:
        UnusableError: there are none, the last one is cut off, or too many are bad.
    """
    rows: dict[tuple[str, str], Row] = {}
    total, cut = 0, False
    for total, fields in enumerate(raw, 1):  # noqa: B007 - its last value is the count
        try:
            row = _row(fields)
        except UnusableError:
            cut = True
            continue
        cut = False
        rows.setdefault((row[1], row[2]), row)
    if not total:
        raise UnusableError("the dump holds no rows")
    if cut:
        raise UnusableError(f"the dump is cut off in row {total}")
    skipped = total - len(rows)
    if skipped > total * MOST_SKIPPED:
        raise UnusableError(f"{skipped} of {total} rows cannot be used")
    return list(rows.values()), skipped


def explain(error: BaseException) -> Header:
    """An error of the download in words, without what the server sent except a short message."""
    kind = type(error).__name__
    if isinstance(error, UnusableError):
        return Header(error=str(error))
    if isinstance(error, MemoryError):
        return Header(error="the dump is too large for the memory that a download may use")
    if kind == "DataException" and str(error).startswith(("Unknown Content-Type", "Couldn't parse")):
        found = _CONTENT_TYPE.match(str(error))
        what = f"content type {found[1]}" if found else "not what was announced"
        return Header(error=f"the answer is not an instrument dump ({what})")
    code = getattr(error, "code", None)
    if isinstance(code, int) and kind.endswith("Exception"):
        words = "".join(c if c.isprintable() else " " for c in str(error))[:200]
        return Header(error=f"HTTP {code}, {kind}: {words}", auth=code == 403)
    if isinstance(error, KeyError | TypeError | ValueError) and not isinstance(error, OSError):
        is_column = isinstance(error, KeyError) and error.args[0] in COLUMNS[1:]
        what = f"has no column {error.args[0]!r}" if is_column else "is not an instrument dump, or is cut off"
        return Header(error=f"the answer {what}")
    return Header(error=_network(error, kind))


def _network(error: BaseException, kind: str) -> str:
    """What requests' exceptions mean; their own texts are long and show internals."""
    text = str(error)
    if kind == "SSLError":
        found = re.search(r"certificate verify failed: ([\w ,'.-]{1,80})", text)
        return (
            f"tls: certificate verify failed: {found[1].strip().lower()}"
            if found
            else "tls: handshake failed"
        )
    if "Timeout" in kind or "timed out" in text:
        return "no answer in time"
    if "NameResolutionError" in text or "getaddrinfo" in text:
        return "dns: cannot look up the host of rest_url"
    if "IncompleteRead" in text:
        return "the dump is cut off"
    if "refused" in text:
        return "cannot reach rest_url: connection refused"
    return f"the download failed ({kind})"


def answer(request: Request) -> bytes:
    """Fetch and check; what goes to standard output. Never raises."""
    secrets = [s for s in (request.access_token, request.api_key) if s and len(s) > 3]  # shorter: no secret
    heard = Heard()
    try:
        rows, skipped = table(fetch(request, heard))
        listing = Listing.of_rows(NAMESPACE, rows)
        header = Header(skipped=skipped, host_ahead_s=heard.host_ahead_s)
        _compare_with_copy(header, request, listing)
    except Exception as error:  # noqa: BLE001 - the process boundary: every error becomes words
        header = explain(error)
        header.too_often, header.retry_after = heard.too_often, heard.retry_after
        for secret in secrets:
            header.error = header.error.replace(secret, "…")
        return pack(header)
    return pack(header, listing, {"root": request.root, "fetched_ns": request.now_ns})


def main() -> None:
    """Read the request, write the answer."""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    resource.setrlimit(resource.RLIMIT_AS, (request.memory, request.memory))
    with suppress(PermissionError):  # a hardened service may not
        os.nice(10)  # the feed comes first
    gc.disable()  # a million objects that live to the end
    sys.stdout.buffer.write(answer(request))


if __name__ == "__main__":
    main()
