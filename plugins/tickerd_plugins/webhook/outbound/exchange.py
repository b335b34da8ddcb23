"""One connection and the requests on it, one after the other. h11 reads the HTTP; here are the limits.

h11 finds out that a header line is illegal in a time that grows with the square of the white space in it: 32 KiB of
it keep a processor busy for five seconds. So long gaps, and lines folded into one, never reach it.
"""

import re
from contextlib import suppress
from dataclasses import dataclass

import h11
import trio

from tickerd_plugins.webhook.outbound.connect import Link
from tickerd_plugins.webhook.outbound.errors import Unreachable
from tickerd_plugins.webhook.outbound.limits import Limits

_READ_BYTES = 1024
"""Small, so that little more is read than the limits say, and that h11 gets no long trailer in one piece."""
_LONGEST_GAP = 256
_UNFIT = re.compile(rb"[ \t\r\v\f]{%d}|\n[ \t]" % (_LONGEST_GAP + 1))
_HEAD_END = re.compile(rb"\n\r?\n")
_LONGEST_TRAILER = 512
"""Also of a line that says how long a chunk is."""
_CLOSE_WITHIN = 0.2
_BEGINNING = b"HTTP/1."
_TOO_LONG = 431
"""h11's hint when its buffer is full."""
_QUOTED = 200
"""What of h11's words goes into the log: they may repeat a whole header."""

RawHeaders = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """Names in lower case."""
    body: bytes
    """The beginning of it, as it came: never decompressed."""


class Stale(Exception):
    """A kept connection had been closed by the other side before it took the request."""


class Exchange(trio.abc.AsyncResource):
    """A connection on which requests are made; whoever holds it closes it."""

    def __init__(self, link: Link, limits: Limits) -> None:
        self._link = link
        self._limits = limits
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=limits.head)
        self._read = 0
        self._checked = 0
        """Bytes of an incomplete head that are fit for h11."""
        self._requests = 0
        self.opened_at = trio.current_time()
        self.idle_since = self.opened_at

    @property
    def reused(self) -> bool:
        """Whether an earlier request went over this connection, so that it may have ended meanwhile."""
        return self._requests > 1

    async def post(self, resource: str, headers: RawHeaders, body: bytes) -> Answer:
        """Send a request and read its answer.

        Raises:
            Stale: nothing came back on a connection that was used before.
            Unreachable: ``protocol`` or ``too_large``.
        """
        self._requests += 1
        self._read = 0
        request = h11.Request(method="POST", target=resource, headers=headers)
        parts = (request, h11.Data(data=body), h11.EndOfMessage())
        # a server may answer and hang up before it has read everything: what it said is what counts
        with suppress(trio.BrokenResourceError):
            # one write: one packet and one TLS record where there is room
            await self._link.stream.send_all(b"".join(self._http.send(part) or b"" for part in parts))
        try:
            return await self._answer()
        except h11.RemoteProtocolError as error:
            if error.error_status_hint == _TOO_LONG:
                raise Unreachable(
                    "too_large", f"the answer has more than {self._limits.head} bytes of headers"
                ) from error
            raise Unreachable("protocol", f"the answer is not HTTP: {str(error)[:_QUOTED]}") from error

    def end_request(self) -> bool:
        """Whether the connection can take another request; makes it ready for one."""
        if not (self._http.our_state is h11.DONE and self._http.their_state is h11.DONE):
            return False
        if self._http.trailing_data[0]:  # something said unasked: what else is in the pipe belongs to nobody
            return False
        self._http.start_next_cycle()
        self.idle_since = trio.current_time()
        return True

    def fresh(self, now: float) -> bool:
        """Whether a kept connection can be used: young, not idle for long, and nothing has come on it."""
        young = now - self.opened_at < self._limits.age and now - self.idle_since < self._limits.idle
        return young and not self._link.readable()

    async def aclose(self) -> None:
        """Close, with TLS's goodbye if it goes out at once."""
        with trio.move_on_after(_CLOSE_WITHIN, shield=True):
            await self._link.stream.aclose()

    async def _answer(self) -> Answer:
        response = await self._head()
        headers = tuple((name.decode("ascii"), value.decode("latin-1")) for name, value in response.headers)
        complete, body = await self._body()
        if not complete and response.status_code < 300:
            raise Unreachable(
                "too_large", f"the answer is longer than {self._limits.body} bytes; a status is enough"
            )
        return Answer(response.status_code, headers, body)

    async def _head(self) -> h11.Response:
        while True:
            event = self._next_of_head()
            if event is h11.NEED_DATA:
                if self._read > self._limits.head:  # interim answers without end
                    raise Unreachable(
                        "too_large", f"no answer within {self._limits.head} bytes of interim ones"
                    )
                await self._receive()
            elif isinstance(event, h11.Response):
                if len(event.headers) > self._limits.headers:
                    raise Unreachable("too_large", f"the answer has more than {self._limits.headers} headers")
                return event
            elif not isinstance(event, h11.InformationalResponse):
                raise AssertionError(f"h11 gave {event!r} before a response")

    def _next_of_head(self) -> object:
        held = self._http.trailing_data[0]
        end = _HEAD_END.search(held, max(0, self._checked - 3))
        if _UNFIT.search(held, max(0, self._checked - _LONGEST_GAP), end.end() if end else len(held)):
            raise Unreachable("protocol", "the answer has headers with long gaps or over several lines")
        event = self._http.next_event()
        self._checked = len(held) if event is h11.NEED_DATA else 0
        return event

    async def _body(self) -> tuple[bool, bytes]:
        """Whether the body was read to its end, and its beginning."""
        size, kept = 0, bytearray()
        most = self._read + 2 * self._limits.body  # chunks of one byte have more around them than in them
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.EndOfMessage):
                return True, bytes(kept)
            if isinstance(event, h11.Data):
                size += len(event.data)
                kept += event.data[: self._limits.kept_body - len(kept)]
            if size > self._limits.body or self._read > most:
                return False, bytes(kept)
            if event is h11.NEED_DATA:
                if len(self._http.trailing_data[0]) > _LONGEST_TRAILER:
                    return False, bytes(kept)
                await self._receive()

    async def _receive(self) -> None:
        try:
            data = await self._link.stream.receive_some(_READ_BYTES)
        except trio.BrokenResourceError as error:
            raise self._ended("the connection was reset") from error
        if not data and not self._read:
            raise self._ended("the server hung up without an answer")
        if not self._read and not data.startswith(_BEGINNING[: len(data)]):
            # h11 would wait for an empty line
            raise Unreachable("protocol", "the answer is not HTTP/1.1")
        self._read += len(data)
        self._http.receive_data(bytes(data))

    def _ended(self, how: str) -> Exception:
        if self.reused and not self._read:
            return Stale()
        return Unreachable("protocol", how if not self._read else f"{how} in the middle of its answer")
