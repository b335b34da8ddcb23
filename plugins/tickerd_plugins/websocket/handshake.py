"""From the first byte of a connection to its upgrade, or to the HTTP answer that refuses it."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from urllib.parse import unquote

import trio
from websockets.datastructures import Headers
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.headers import parse_subprotocol
from websockets.http11 import Request as Head
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from tickerd.plugin import Hosts, Principal, Request
from tickerd_plugins.websocket.face import Admitted, Asking, Face, Refused
from tickerd_plugins.websocket.limits import Networks, forwarded, is_trusted
from tickerd_plugins.websocket.transport import Parts, Transport

HEAD_BYTES = 16_384
TOO_MANY_S = 5
"""After which somebody with too many connections may try again."""
SILENT = logging.getLogger("tickerd_plugins.websocket.silent")
"""The protocol library would log addresses, which may hold credentials."""
SILENT.setLevel(logging.CRITICAL + 1)
SILENT.propagate = False

Upgraded = tuple[Face, Admitted]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What every upgrade request must meet."""

    hosts: Hosts
    origins: Collection[str]
    trusted_proxies: Networks
    faces: Sequence[Face]


def new_protocol(*, compress: bool) -> ServerProtocol:
    """The state of one connection's protocol."""
    factory = ServerPerMessageDeflateFactory(
        server_no_context_takeover=True,
        client_no_context_takeover=True,
        compress_settings={"level": 1},
    )
    return ServerProtocol(extensions=[factory] if compress else None, max_size=0, logger=SILENT)


async def upgrade(
    transport: Transport,
    protocol: ServerProtocol,
    request: Request,
    rules: Rules,
    located: Callable[[Request], None],
    claimed: Callable[[Principal], bool],
    *,
    tls: bool,
) -> Upgraded | None:
    """Read a request and grant it; None when it was refused, and answered. The caller sets a limit.

    Args:
        transport: nothing has been read of it yet.
        protocol: from `new_protocol`.
        request: what is known of the caller; gets the headers.
        rules: what is asked of the request.
        located: called when it is known where the caller sits; may raise `Refused`.
        claimed: called when it is known who calls; whether he may have one more connection.
        tls: whether it came in over TLS.

    Raises:
        OSError: the connection broke.
    """
    try:
        head = await _read_head(transport, protocol)
        if head is None:
            return None
        face, asking = _examine(protocol, head, request, rules, tls=tls)
        located(asking.request)
        admitted = await _admit(face, asking, claimed)
    except Refused as refused:
        await answer(transport, refused)
        return None
    response = protocol.accept(head)
    if admitted.subprotocol is not None:
        response.headers["Sec-WebSocket-Protocol"] = admitted.subprotocol
        protocol.subprotocol = Subprotocol(admitted.subprotocol)
    protocol.max_message_size = face.max_message
    protocol.send_response(response)
    await write_all(transport, transport.seal(protocol.data_to_send()))
    return face, admitted


async def _admit(face: Face, asking: Asking, claimed: Callable[[Principal], bool]) -> Admitted:
    admitted = await face.admit(asking)
    if admitted.principal is not None and not admitted.told_later and not claimed(admitted.principal):
        raise Refused(429, "limit: per_key", retry_after=TOO_MANY_S)
    return admitted


async def _read_head(transport: Transport, protocol: ServerProtocol) -> Head | None:
    size = 0
    while True:
        data = await transport.read()
        if not data:
            return None
        size += len(data)
        protocol.receive_data(data)
        events = protocol.events_received()
        written = [part for part in protocol.data_to_send() if part]
        if protocol.handshake_exc is not None:
            if written:  # the library has an answer of its own: a line or the whole head is too long
                await write_all(transport, transport.seal(written))
                return None
            raise Refused(400, "no valid HTTP request")
        if size > HEAD_BYTES:
            raise Refused(431, "the request is too long")
        if events:
            if (
                len(events) > 1
                or protocol.eof_sent
                or protocol.reader.buffer
                or not isinstance(events[0], Head)
            ):
                raise Refused(400, "something follows the request")
            return events[0]


def _examine(
    protocol: ServerProtocol, head: Head, request: Request, rules: Rules, *, tls: bool
) -> tuple[Face, Asking]:
    response = protocol.accept(head)  # asked twice: the second time it is meant
    if response.status_code != 101:
        raise Refused(response.status_code, (response.body or b"").decode(errors="replace").strip())
    headers = _plain(head.headers)
    if len(head.headers.get_all("Host")) != 1 or not rules.hosts.accept(headers["host"]):
        raise Refused(403, "origin_or_host_denied: this host is not on the list 'hosts'")
    origin = headers.get("origin")
    if origin is not None and origin.lower() not in rules.origins:
        raise Refused(403, "origin_or_host_denied: this origin is not on the list 'origins'")
    path, _, query = head.path.partition("?")
    path = unquote(path)
    face = next((face for face in rules.faces if face.answers(path)), None)
    if face is None:
        raise Refused(404, "nothing is served here")
    offered = [
        one for value in head.headers.get_all("Sec-WebSocket-Protocol") for one in parse_subprotocol(value)
    ]
    asking = Asking(
        path=path,
        query=query,
        subprotocols=tuple(offered),
        request=replace(request, headers=headers, peer=_peer(request, headers, rules.trusted_proxies)),
        tls=tls,
    )
    return face, asking


def _peer(request: Request, headers: Mapping[str, str], proxies: Networks) -> str | None:
    said = headers.get("x-forwarded-for")
    if request.peer is None or said is None or not is_trusted(request.peer, proxies):
        return request.peer
    return forwarded(request.peer, said, proxies)


def _plain(headers: Headers) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers.raw_items():
        key = name.lower()
        found[key] = f"{found[key]}, {value}" if key in found else value
    return found


async def answer(transport: Transport, refused: Refused) -> None:
    """Say so over HTTP, and nothing more."""
    body = refused.text.encode() + b"\n"
    lines = [
        f"HTTP/1.1 {refused.status} {HTTPStatus(refused.status).phrase}",
        "Connection: close",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}",
    ]
    if refused.retry_after is not None:
        lines.append(f"Retry-After: {refused.retry_after}")
    lines += {401: ["WWW-Authenticate: Bearer"], 405: ["Allow: GET"], 426: ["Upgrade: websocket"]}.get(
        refused.status, []
    )
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    await write_all(transport, transport.seal((head + body,)))


async def write_all(transport: Transport, sealed: Parts) -> None:
    """Write it, waiting where the socket takes no more."""
    await trio.lowlevel.checkpoint()
    rest = transport.push(sealed)
    while rest:
        await transport.writable()
        rest = transport.push(rest)
