"""The WebSocket face of the simulator: handshakes, refusals, and a guard around every connection."""

import itertools
from urllib.parse import unquote

import structlog
import trio
from trio_websocket import ConnectionClosed, WebSocketRequest, wrap_server_stream

from tickerd_plugins.simulator.connection import Connection
from tickerd_plugins.simulator.simulator import Simulator
from tickerd_plugins.simulator.tap import Tap

HANDSHAKE_S = 5.0
CLOSE_S = 2.0
MAX_MESSAGE = 2**20
_REASONS = {403: b"Forbidden", 404: b"Not Found", 429: b"Too Many Requests"}

log = structlog.get_logger("tickerd.simulator")


class WebSocketFace:
    """Handles the streams that the listener accepts."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._numbers = itertools.count(1)

    async def handle(self, stream: trio.SocketStream) -> None:
        """Serve one stream to its end. Raises nothing but cancellation, so no client ends the server."""
        tap = Tap(stream)
        try:
            await self._serve(tap)
        except* (
            ConnectionClosed,
            OSError,
            trio.BrokenResourceError,
            trio.ClosedResourceError,
            trio.BusyResourceError,
        ):
            pass
        except* Exception:  # whatever it was, the others go on
            self._simulator.shared.counters["connection_errors"] += 1
            log.exception("simulator connection failed")
        finally:
            await trio.aclose_forcefully(tap)

    async def _serve(self, tap: Tap) -> None:
        async with trio.open_nursery() as nursery:
            request: WebSocketRequest | None = None
            with trio.move_on_after(HANDSHAKE_S):
                request = await wrap_server_stream(
                    nursery, tap, max_message_size=MAX_MESSAGE, receive_buffer_size=2**16
                )
            if request is not None:
                await self._answer(request, tap)
            nursery.cancel_scope.cancel()

    async def _answer(self, request: WebSocketRequest, tap: Tap) -> None:
        path, _, query = request.path.partition("?")
        api_key, token = _credentials(query)
        status = self._refusal(path, api_key, token)
        counters = self._simulator.shared.counters
        if status is not None:
            counters[f"rejected_{status}"] += 1
            self._simulator.shared.notify()
            with trio.move_on_after(CLOSE_S):
                await request.reject(status, body=_REASONS.get(status, b"Error"))
                await tap.send_eof()
            return
        counters["accepted"] += 1
        number = next(self._numbers)
        with trio.fail_after(HANDSHAKE_S):
            ws = await request.accept()
        connection = Connection(number, api_key, ws, tap, self._simulator.shared)
        tap.limit(self._simulator.shared.rate)
        self._simulator.connections[number] = connection
        self._simulator.shared.notify()
        try:
            await connection.run()
        finally:
            del self._simulator.connections[number]
            self._simulator.shared.notify()

    def _refusal(self, path: str, api_key: str, access_token: str) -> int | None:
        """The HTTP status that refuses this upgrade, if any."""
        fault = self._simulator.shared.rejection()
        if fault is not None:
            return fault
        if path != "/":
            return 404
        account = self._simulator.account
        if not account.allows(api_key, access_token) or not account.has_market_data:
            return 403
        # a half-open connection is one whose client has gone, so it does not count
        mine = sum(c.api_key == api_key and not c.parked for c in self._simulator.connections.values())
        return 429 if mine >= self._simulator.options.max_connections else None


def _credentials(query: str) -> tuple[str, str]:
    """API key and access token. Clients paste them unescaped, so a plus sign is a plus sign."""
    pairs = dict(part.partition("=")[::2] for part in query.split("&"))
    return unquote(pairs.get("api_key", "")), unquote(pairs.get("access_token", ""))
