"""What clients of the stream protocol may ask: one object a frame, taken apart and checked here. Pure."""

from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta

from tickerd.plugin import MODES, Mode
from tickerd_plugins.websocket.encoding import Encoding

Id = Annotated[int, Meta(ge=-(2**53), le=2**53)] | Annotated[str, Meta(max_length=36)] | None
Token = Annotated[int, Meta(ge=0, lt=2**32)]
Text = Annotated[str, Meta(min_length=1, max_length=100)]
Position = Annotated[int, Meta(ge=0, lt=2**53)]
INTERVALS_MS = (0, 50, 100, 250, 500, 1000)
DEFAULT_INTERVAL_MS = 100
DEFAULT_MODE = "quote"


class Asked(msgspec.Struct, tag_field="op", forbid_unknown_fields=True, kw_only=True):
    """What every request has."""

    id: Id = None


class Auth(Asked, tag="auth", kw_only=True):
    """Who the client is."""

    key: Annotated[str, Meta(max_length=512)] | None = None
    ticket: Annotated[str, Meta(max_length=512)] | None = None
    client: Annotated[str, Meta(max_length=64)] = ""
    version: Annotated[str, Meta(max_length=16)] = ""


class Items(Asked, kw_only=True):
    """Instruments, each by token or by symbol; a symbol with ``*`` or ``?`` is a pattern."""

    tokens: list[Token] = []
    symbols: list[Text] = []

    @property
    def keys(self) -> list[int | str]:
        """All of them, each once, in order."""
        return list(dict.fromkeys([*self.tokens, *self.symbols]))


class Subscribe(Items, tag="sub", kw_only=True):
    """Send these from now on."""

    mode: str = DEFAULT_MODE
    interval_ms: int = DEFAULT_INTERVAL_MS
    delivery: Literal["conflate", "stream"] = "conflate"
    snapshot: bool = True


class Resume(Items, tag="resume", kw_only=True):
    """Send every tick of these that came after a position, and from now on."""

    epoch: Position
    seq: Position
    mode: str = DEFAULT_MODE
    interval_ms: int = DEFAULT_INTERVAL_MS


class Unsubscribe(Items, tag="unsub", kw_only=True):
    """Do not send these any more."""

    all: bool = False


class List(Asked, tag="list", kw_only=True):
    """Say what is subscribed."""


class Ping(Asked, tag="ping", kw_only=True):
    """Answer."""

    t: Annotated[str, Meta(max_length=64)] | Annotated[int, Meta(ge=-(2**53), le=2**53)] | float | None = None


Request = Auth | Subscribe | Resume | Unsubscribe | List | Ping
Live = Subscribe | Resume


class Bad(ValueError):
    """A request that cannot be done.

    Args:
        code: a word of the protocol.
        text: for a person.
    """

    def __init__(self, code: str, text: str, *, id: Any = None) -> None:  # noqa: A002
        super().__init__(text)
        self.code = code
        self.text = text
        self.id = id


_decoders: dict[bool, Any] = {
    False: msgspec.json.Decoder(Request).decode,
    True: msgspec.msgpack.Decoder(Request).decode,
}


class WrongType(Exception):
    """Text came where the encoding is binary, or the other way round."""


def read(message: str | bytes, encoding: Encoding) -> Request:
    """What a frame asks.

    Raises:
        Bad: it asks nothing that is known.
        WrongType: the frame is not of the kind that the encoding uses.
    """
    if isinstance(message, bytes) != encoding.binary:
        raise WrongType
    try:
        return cast("Request", _decoders[encoding.binary](message))
    except (msgspec.MsgspecError, RecursionError, UnicodeError, ValueError) as error:
        text = str(error) if isinstance(error, msgspec.ValidationError) else "not a message of this encoding"
        raise Bad("bad_request", text[:200]) from None


def mode_of(request: Live) -> Mode:
    """The mode that is asked for.

    Raises:
        Bad: there is no such mode.
    """
    for mode in MODES:
        if request.mode == mode:
            return mode
    raise Bad("bad_mode", f"there are the modes {', '.join(MODES)}", id=request.id)


def interval_of(request: Live) -> float:
    """In seconds.

    Raises:
        Bad: there is no such interval.
    """
    if request.interval_ms not in INTERVALS_MS:
        text = f"there are the intervals {', '.join(map(str, INTERVALS_MS))}"
        raise Bad("bad_request", text, id=request.id)
    return request.interval_ms / 1000
