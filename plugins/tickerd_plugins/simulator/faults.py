"""What can be made to go wrong, as values: from the command line, from HTTP, or from a test."""

import json
import math
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, get_args

import msgspec

from tickerd.wire.kite import frame

MalformedKind = Literal[
    "truncated", "zero-packets", "wrong-length", "unknown-length", "trailing-bytes", "65535-packets", "empty",
    "huge-text", "not-json",
]  # fmt: skip
TextKind = Literal["order", "error", "message", "unknown"]
HUGE_TEXT = 4 * 2**20


class Fault(msgspec.Struct, kw_only=True, tag_field="fault", forbid_unknown_fields=True):
    """Base of all faults."""


class Targeted(Fault):
    """A fault of the connections that are open now, or of one of them."""

    connection: int | None = None
    """Its number, as the state shows it; None is all of them."""


class Mute(Targeted, tag="mute"):
    """Send no frame and no heartbeat; without ``connection`` it holds for new connections too."""

    seconds: Annotated[float, msgspec.Meta(ge=0)] | None = None

    def until(self, now: float) -> float:
        """When it ends, on the clock that shows ``now``."""
        return math.inf if self.seconds is None else now + self.seconds


class MuteInstrument(Fault, tag="mute-instrument"):
    """Send no packet of one instrument, given by token or symbol, until cleared."""

    instrument: int | str


class Drop(Targeted, tag="drop"):
    """Reset the TCP connection."""

    mid_frame: bool = False
    """Send the first half of a frame before that."""


class Close(Targeted, tag="close"):
    """Close cleanly, with a close frame."""

    code: Annotated[int, msgspec.Meta(ge=1000, le=4999)] = 1000
    reason: str = ""


class HalfOpen(Targeted, tag="half-open"):
    """Read and write no more, keep the socket: the other side has gone without a word."""


class Slow(Targeted, tag="slow"):
    """Send so many bytes a second; without ``connection`` it holds for new connections too, until cleared."""

    bytes_per_second: Annotated[float, msgspec.Meta(gt=0)] = 100.0


class Malformed(Targeted, tag="malformed"):
    """Send one frame that is not as it should be."""

    kind: MalformedKind = "truncated"


class Reject(Fault, tag="reject"):
    """Refuse WebSocket upgrades with this HTTP status: the next ``count``, or all until cleared."""

    status: Annotated[int, msgspec.Meta(ge=400, le=599)] = 403
    count: Annotated[int, msgspec.Meta(ge=1)] | None = None


class Expire(Fault, tag="expire"):
    """Make the access token invalid, until somebody logs in again (or it is cleared)."""

    cut: bool = False
    """Close the open connections too."""


class LoginElsewhere(Fault, tag="login-elsewhere"):
    """Somebody logs in from elsewhere: the access token is refused, another one that nobody is told is valid."""

    cut: bool = False
    """Close the open connections too."""


class NoMarketData(Fault, tag="no-market-data"):
    """The app's plan has no market data: upgrades are refused with 403, everything else works; until cleared."""


class ChangeSecret(Fault, tag="change-secret"):
    """The app gets another API secret, so that logins fail by their checksum; until cleared."""


class Text(Targeted, tag="text"):
    """Send a text frame."""

    kind: TextKind = "message"
    data: Any = None


class Clear(Fault, tag="clear"):
    """Lift every fault that lasts."""


AnyFault = (
    Mute | MuteInstrument | Drop | Close | HalfOpen | Slow | Malformed | Reject | Expire
    | LoginElsewhere | NoMarketData | ChangeSecret | Text | Clear
)  # fmt: skip


class Timed(NamedTuple):
    """A fault that happens so many seconds after the start."""

    fault: AnyFault
    at: float


_decode: Callable[[bytes | str], AnyFault] = msgspec.json.Decoder(AnyFault).decode


def _fault(name: str, **fields: Any) -> AnyFault:
    """Checked as JSON would be."""
    fault: AnyFault = msgspec.convert({"fault": name, **fields}, AnyFault)
    return fault


def from_json(body: bytes | str) -> AnyFault:
    """A fault as HTTP brings it.

    Raises:
        ValueError: it is none, with what is wrong.
    """
    try:
        return _decode(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not a fault: {error}") from None


def _reject(arg: str) -> AnyFault:
    status, _, count = arg.partition(":")
    return _fault("reject", status=int(status), count=int(count) if count else None)


def _text(arg: str) -> AnyFault:
    kind, _, data = arg.partition(":")
    try:
        value = json.loads(data) if data else None
    except ValueError:
        value = data
    return _fault("text", kind=kind, data=value)


def _drop(arg: str) -> AnyFault:
    if arg != "mid-frame":
        raise ValueError("expected drop or drop=mid-frame")
    return Drop(mid_frame=True)


def _elsewhere(arg: str) -> AnyFault:
    if arg != "cut":
        raise ValueError("expected login-elsewhere or login-elsewhere=cut")
    return LoginElsewhere(cut=True)


def _expire(arg: str) -> AnyFault:
    if arg != "cut":
        raise ValueError("expected expire or expire=cut")
    return Expire(cut=True)


_WITH_ARGUMENT: dict[str, Callable[[str], AnyFault]] = {
    "mute": lambda arg: _fault("mute", seconds=float(arg)),
    "mute-instrument": lambda arg: MuteInstrument(instrument=int(arg) if arg.isdecimal() else arg),
    "drop": _drop,
    "close": lambda arg: _fault("close", code=int(arg)),
    "slow": lambda arg: _fault("slow", bytes_per_second=float(arg)),
    "malformed": lambda arg: _fault("malformed", kind=arg),
    "reject": _reject,
    "expire": _expire,
    "login-elsewhere": _elsewhere,
    "text": _text,
}
_PLAIN: dict[str, AnyFault] = {
    "mute": Mute(), "drop": Drop(), "close": Close(), "half-open": HalfOpen(), "slow": Slow(),
    "malformed": Malformed(), "reject": Reject(), "expire": Expire(), "text": Text(), "clear": Clear(),
    "login-elsewhere": LoginElsewhere(), "no-market-data": NoMarketData(), "change-secret": ChangeSecret(),
}  # fmt: skip
NAMES = tuple(sorted(_WITH_ARGUMENT.keys() | _PLAIN.keys()))
MALFORMED_KINDS: tuple[str, ...] = get_args(MalformedKind)


def parse(text: str) -> AnyFault:
    """A fault as the command line writes it, ``NAME`` or ``NAME=ARG``.

    Raises:
        ValueError: it is none, with what is wrong.
    """
    name, equals, arg = text.partition("=")
    if name not in NAMES:
        raise ValueError(f"unknown fault {name!r}; there are {', '.join(NAMES)}")
    if not equals:
        if name not in _PLAIN:
            raise ValueError(f"fault {name!r} needs an argument: {name}=…")
        return _PLAIN[name]
    if name not in _WITH_ARGUMENT:
        raise ValueError(f"fault {name!r} takes no argument")
    try:
        return _WITH_ARGUMENT[name](arg)
    except ValueError as error:  # msgspec's ValidationError is one
        raise ValueError(f"fault {name!r} cannot take {arg!r}: {error}") from None


def parse_timed(text: str) -> Timed:
    """``NAME[=ARG]@SECONDS``.

    Raises:
        ValueError: it is not, with what is wrong.
    """
    fault, at, seconds = text.rpartition("@")
    if not at:
        raise ValueError(f"say when: {text}@SECONDS")
    try:
        when = float(seconds)
    except ValueError:
        raise ValueError(f"not a number of seconds: {seconds!r}") from None
    if not 0 <= when < math.inf:
        raise ValueError(f"not a time after the start: {seconds!r}")
    return Timed(parse(fault), when)


def malformed_frame(kind: MalformedKind, packet: bytes) -> bytes | str:
    """The frame of that kind, text if it is a str. Where it can, it begins with the good packet."""
    one = frame.join([packet])[2:]
    kinds: dict[MalformedKind, Callable[[], bytes | str]] = {
        "truncated": lambda: b"\0\2" + one + one[: len(one) // 2],
        "zero-packets": lambda: b"\0\0",
        "wrong-length": lambda: b"\0\2" + one + b"\0\xb8" + packet[:44],
        "unknown-length": lambda: b"\0\3" + one + b"\0\x0a" + packet[:8] + b"\0\0" + one,
        "trailing-bytes": lambda: b"\0\1" + one + b"\xde\xad\xbe\xef\0",
        "65535-packets": lambda: frame.join([packet[:8]] * 65_535),
        "empty": lambda: b"",
        "huge-text": lambda: '{"type":"message","data":"' + "x" * HUGE_TEXT + '"}',
        "not-json": lambda: '{"type": "order", "data": {',
    }
    return kinds[kind]()


def text_frame(kind: TextKind, data: Any) -> str:
    """A text frame as the broker sends it; without data, an example."""
    if data is None:
        data = _EXAMPLES[kind]
    name = "instruments_meta" if kind == "unknown" else kind
    return json.dumps({"type": name, "data": data}, separators=(",", ":"))


_EXAMPLES: dict[TextKind, Any] = {
    "order": {
        "order_id": "2600114000000000001",
        "status": "COMPLETE",
        "tradingsymbol": "INFY",
        "exchange": "NSE",
    },
    "error": "Some error of the broker",
    "message": "A notice of the broker",
    "unknown": {"count": 12_000, "etag": 'W/"simulated"'},
}
