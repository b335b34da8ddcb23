"""Talks to the control API for commands: over the Unix socket by default, elsewhere with ``--url`` and a key."""

import functools
import http.client
import json
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import click

from tickerd.observe.clean import escape, shorten

SOCKET = "/run/tickerd.sock"
TIMEOUT_S = 10.0
MOST_BYTES = 64 * 2**20
_LONGEST = 2000

Command = Callable[..., None]


class ApiError(click.ClickException):
    """The daemon does not answer, or answers with a problem.

    Args:
        message: for people.
        status: of HTTP; None when there was no answer.
        problem: the body of the answer, where it is one.
    """

    def __init__(
        self, message: str, status: int | None = None, problem: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(escape(shorten(message, _LONGEST)))
        self.status = status
        self.problem = dict(problem or {})


class Client:
    """One daemon's control API. Each request has a connection of its own.

    Args:
        address: ``unix:/PATH``, ``http://HOST:PORT`` or ``https://HOST:PORT``.
        key: an API key; Unix sockets need none.
    """

    def __init__(self, address: str, key: str | None = None, *, timeout_s: float = TIMEOUT_S) -> None:
        self.address = address
        self._key = key
        self._timeout_s = timeout_s
        parts = urlsplit(address)
        if parts.scheme not in ("unix", "http", "https") or (parts.scheme != "unix" and not parts.hostname):
            raise click.BadParameter("write it as http://HOST:PORT or https://HOST:PORT", param_hint="--url")
        self._parts = parts
        if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
            raise click.BadParameter("this is no API key", param_hint="--key")

    def get(self, path: str, **query: Any) -> Any:
        """The JSON that a GET is answered with; parameters that are None are left out.

        Raises:
            ApiError: no answer, or a problem.
        """
        given = [(name, value) for name, value in query.items() if value is not None]
        return self.ask("GET", path + (f"?{urlencode(given, doseq=True)}" if given else ""))

    def post(self, path: str, body: Any = None) -> Any:
        """The JSON that a POST of JSON is answered with.

        Raises:
            ApiError: no answer, or a problem.
        """
        return self.ask("POST", path, body)

    def ask(self, method: str, target: str, body: Any = None) -> Any:
        """Any request.

        Raises:
            ApiError: no answer, or a problem.
        """
        headers = {"Accept": "application/json", "Connection": "close"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        connection = self._connect()
        try:
            connection.request(method, target, body=data, headers=headers)
            answer = connection.getresponse()
            text = answer.read(MOST_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise self._silent(error) from None
        finally:
            connection.close()
        return self._understood(answer.status, text)

    def _connect(self) -> http.client.HTTPConnection:
        parts = self._parts
        if parts.scheme == "unix":
            return UnixConnection(parts.path, timeout=self._timeout_s)
        assert parts.hostname is not None
        if parts.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=self._timeout_s, context=context
            )
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=self._timeout_s)

    def _silent(self, error: Exception) -> ApiError:
        if isinstance(error, FileNotFoundError | ConnectionRefusedError):
            hint = "is it running, and listening there? (--socket or --url says where)"
            return ApiError(f"no tickerd answers at {self.address}: {hint}")
        if isinstance(error, PermissionError):
            return ApiError(f"you may not open {self.address}: its group may, such as tickerd-api")
        if isinstance(error, TimeoutError):
            return ApiError(f"{self.address} did not answer within {self._timeout_s:g} s")
        return ApiError(f"{self.address}: {str(error) or type(error).__name__}")

    def _understood(self, status: int, text: bytes) -> Any:
        try:
            answer = json.loads(text) if text else None
        except ValueError:
            raise ApiError(f"{self.address} is no tickerd: it does not answer with JSON", status) from None
        if status < 400 or (isinstance(answer, dict) and "status" in answer and "type" not in answer):
            return answer  # a verdict of 503 is an answer too
        problem = answer if isinstance(answer, dict) else {}
        title, detail = problem.get("title", f"status {status}"), problem.get("detail")
        raise ApiError(f"{title}: {detail}" if detail else str(title), status, problem)


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, *, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Open the socket."""
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        opened.settimeout(self.timeout)
        try:
            opened.connect(self._path)
        except OSError:
            opened.close()
            raise
        self.sock = opened


def segment(text: str) -> str:
    """A name as one segment of a path."""
    return quote(text, safe=":")


def api(command: Command) -> Command:
    """Gives a command the options that say which daemon to ask, and hands it a `Client` as first argument."""

    @click.option(
        "--socket",
        "path",
        default=SOCKET,
        show_default=True,
        envvar="TICKERD_SOCKET",
        metavar="PATH",
        help="The Unix socket of the control API.",
    )
    @click.option("--url", envvar="TICKERD_URL", metavar="URL", help="The control API over TCP, instead.")
    @click.option(
        "--key",
        envvar="TICKERD_KEY",
        metavar="KEY",
        help="An API key; TICKERD_KEY keeps it out of the process list.",
    )
    @functools.wraps(command)
    def wrapped(path: str, url: str | None, key: str | None, **arguments: Any) -> None:
        command(Client(url or f"unix:{path}", key), **arguments)

    return wrapped
