"""What a request must look like before the application sees it. Pure: bytes in, a refusal or nothing out.

h11 is lenient where RFC 9112 lets a recipient be: it takes bare line feeds, folded lines, equal Content-Length
headers and both kinds of framing at once. Two programs that read such a request differently can be made to
disagree on where it ends, so that none of it passes here.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import h11

from tickerd.control.limits import Limits

METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})

_HEAD_END = re.compile(rb"\n\r?\n")
_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])")
_HEADER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\x20-\x7e\x80-\xff\t]*)")
_GAP = re.compile(rb"[ \t]{257}")
"""No client writes such a gap, and h11 takes time with the square of its length to look at one."""
_CHUNKED = re.compile(rb"\ntransfer-encoding:", re.IGNORECASE)
_LENGTH = re.compile(rb"[0-9]{1,12}")
_HOST = re.compile(rb"[A-Za-z0-9.\-_~:\[\]%]{0,255}")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})|%00|%2[fF]|%5[cC]|\\")
_DOTS = re.compile(rb"/(?:\.|%2[eE]){1,2}(?:/|$)")
_ONCE = (b"content-length", b"transfer-encoding", b"host", b"authorization", b"content-type", b"expect")
_COALESCE = 64


class Refused(h11.RemoteProtocolError):
    """A request that is answered with an error before the application sees it.

    Args:
        status: of the answer.
        detail: what is wrong; never quotes the request.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail, error_status_hint=status)
        self.status = status
        self.detail = detail


def check_head(head: bytes, limits: Limits) -> None:
    """Look at a request line and headers, without the empty line that ends them.

    Raises:
        Refused: with the status to answer.
    """
    if len(head) > limits.head_bytes:
        raise Refused(431, f"request line and headers are longer than {limits.head_bytes} bytes")
    line, *lines = head.split(b"\r\n")
    if b"\n" in head.replace(b"\r\n", b"") or b"\r" in head.replace(b"\r\n", b""):
        raise Refused(400, "a line does not end in CR LF")
    version = _check_request_line(line, limits)
    if len(lines) > limits.headers:
        raise Refused(431, f"more than {limits.headers} headers")
    _check_headers(list(_headers(lines)), version, limits)


def _check_request_line(line: bytes, limits: Limits) -> tuple[int, int]:
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise Refused(400, "the request line is not of HTTP/1.1")
    method, target, version = match[1], match[2], (int(match[3]), int(match[4]))
    if version not in ((1, 0), (1, 1)):
        raise Refused(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    if method in (b"CONNECT", b"TRACE"):
        raise Refused(405, "this method is not allowed here")
    if method not in METHODS:
        raise Refused(501, "this method is not known here")
    if len(target) > limits.target_bytes:
        raise Refused(414, f"the request target is longer than {limits.target_bytes} bytes")
    if not target.startswith(b"/"):
        raise Refused(400, "the request target is not a path")
    path = target.partition(b"?")[0]
    if b"#" in target or _BAD_ESCAPE.search(path) or _DOTS.search(path):
        raise Refused(400, "the path holds a fragment, a dot segment, or an escape that is not allowed")
    return version


def _headers(lines: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    for line in lines:
        match = _HEADER.fullmatch(line)
        if match is None or _GAP.search(line):
            raise Refused(400, "a header line is malformed")
        yield match[1].lower(), match[2].strip(b" \t")


def _check_headers(headers: list[tuple[bytes, bytes]], version: tuple[int, int], limits: Limits) -> None:
    times = Counter(name for name, _ in headers)
    if any(times[name] > 1 for name in _ONCE):
        raise Refused(400, "a header that may come once comes twice")
    if b"upgrade" in times or b"http2-settings" in times:
        raise Refused(400, "no other protocol is spoken here: leave the Upgrade header out")
    values = dict(headers)
    host = values.get(b"host")
    if host is None and version == (1, 1):
        raise Refused(400, "the Host header is missing")
    if host is not None and _HOST.fullmatch(host) is None:
        raise Refused(400, "the Host header is malformed")
    if values.get(b"expect", b"100-continue").lower() != b"100-continue":
        raise Refused(417, "nothing but 100-continue can be expected")
    _check_framing(values, version, limits)


def _check_framing(values: dict[bytes, bytes], version: tuple[int, int], limits: Limits) -> None:
    length, coding = values.get(b"content-length"), values.get(b"transfer-encoding")
    if coding is not None:
        if length is not None:
            raise Refused(400, "both Content-Length and Transfer-Encoding are given")
        if version == (1, 0):
            raise Refused(400, "Transfer-Encoding is not of HTTP/1.0")
        if coding.lower() != b"chunked":
            raise Refused(501, "no transfer coding but chunked is known here")
    if length is not None:
        if _LENGTH.fullmatch(length) is None:
            raise Refused(400, "Content-Length is not a number")
        if int(length) > limits.body_bytes:
            raise Refused(413, f"the body is longer than {limits.body_bytes} bytes")


class GatedConnection(h11.Connection):
    """h11's server side, behind the gate: heads are checked as they came in, and bodies are bounded.

    Small pieces of a body are handed on together: each event costs the server a trip through a channel.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__(h11.SERVER, max_incomplete_event_size=limits.head_bytes)
        self._limits = limits
        self._held: Any = None
        self._bytes = self._pieces = 0
        self._chunked = False
        self.refused: Refused | None = None
        """Why the last request was refused."""

    def next_event(self) -> Any:
        """See `h11.Connection.next_event`.

        Raises:
            h11.RemoteProtocolError: the request is refused.
        """
        if self._held is not None:
            event, self._held = self._held, None
            return event
        try:
            return self._next()
        except Refused as refused:
            self.refused = refused
            raise

    def _next(self) -> Any:
        if self.their_state is h11.IDLE:
            self._bytes = self._pieces = 0
            self._vet()
        if self._chunked and _GAP.search(self.trailing_data[0]):
            # h11 would look for trailers in it; a body without chunks may hold anything
            raise Refused(400, "a gap of more than 256 blanks in a chunked body")
        event = super().next_event()
        if type(event) is not h11.Data:
            return event
        parts = [self._counted(event)]
        while len(parts) < _COALESCE:
            event = super().next_event()
            if type(event) is not h11.Data:
                self._held = event
                break
            parts.append(self._counted(event))
        return h11.Data(data=b"".join(parts))

    def _vet(self) -> None:
        waiting, _ = self.trailing_data
        if waiting and not waiting[:1].isupper():
            raise Refused(400, "this is not HTTP")
        end = _HEAD_END.search(waiting)
        if end is not None:
            if not waiting[: end.end()].endswith(b"\r\n\r\n"):
                raise Refused(400, "a line does not end in CR LF")
            check_head(waiting[: end.end() - 4], self._limits)
            self._chunked = _CHUNKED.search(waiting, 0, end.end()) is not None
        elif len(waiting) > self._limits.head_bytes:
            raise Refused(431, f"request line and headers are longer than {self._limits.head_bytes} bytes")

    def _counted(self, event: h11.Data) -> bytes:
        self._pieces += 1
        self._bytes += len(event.data)
        if self._bytes > self._limits.body_bytes:
            raise Refused(413, f"the body is longer than {self._limits.body_bytes} bytes")
        if self._pieces > self._limits.chunks:
            raise Refused(400, f"the body comes in more than {self._limits.chunks} pieces")
        return bytes(event.data)
