"""Talks to the control API for commands: over the Unix socket by default, elsewhere with ``--url`` and a key."""

import functools
import http.client
import json
import socket
import ssl
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import click
from click.core import ParameterSource

from tickerd.observe.clean import escape, shorten

SOCKET = "/run/tickerd.sock"
TIMEOUT_S = 10.0
MOST_BYTES = 64 * 2**20
_LONGEST = 2000
_PAGE = 1000
_UCRED = struct.Struct("iII")
"""``struct ucred``: pid, uid, gid."""

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

    def every(self, path: str, *, most: int | None = None, **query: Any) -> Iterator[Any]:
        """The items of a list, page by page, at most so many.

        Raises:
            ApiError: no answer, or a problem.
        """
        after, left = query.pop("after", None), most
        while left is None or left > 0:
            limit = _PAGE if left is None else min(left, _PAGE)
            page = self.get(path, after=after, limit=limit, **query)
            yield from page["items"]
            left = None if left is None else left - len(page["items"])
            after = page["next"]
            if after is None:
                return

    def post(self, path: str, body: Any = None) -> Any:
        """The JSON that a POST of JSON is answered with.

        Raises:
            ApiError: no answer, or a problem.
        """
        return self.ask("POST", path, body)

    def delete(self, path: str) -> Any:
        """The JSON that a DELETE is answered with.

        Raises:
            ApiError: no answer, or a problem.
        """
        return self.ask("DELETE", path)

    def lines(self, path: str, **query: Any) -> Iterator[bytes]:
        """The lines of an answer that may have no end, without those that are empty.

        Raises:
            ApiError: no answer, a problem, or it broke off.
        """
        given = [(name, value) for name, value in query.items() if value is not None]
        target = path + (f"?{urlencode(given, doseq=True)}" if given else "")
        with closing(self._connect()) as connection:
            try:
                connection.request("GET", target, headers=self._headers("application/x-ndjson"))
                answer = connection.getresponse()
                if answer.status >= 400:
                    self._understood(answer.status, answer.read(MOST_BYTES))
                while line := answer.readline(MOST_BYTES):
                    if line := line.strip():
                        yield line
            except (OSError, http.client.HTTPException) as error:
                raise self._silent(error) from None

    def process(self) -> int | None:
        """Who listens at a Unix socket, by its process id; None where that cannot be told."""
        if self._parts.scheme != "unix":
            return None
        try:
            with closing(self._connect()) as connection:
                connection.connect()
                data = connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        except OSError:
            return None
        return int(_UCRED.unpack(data)[0])

    def _headers(self, accept: str) -> dict[str, str]:
        headers = {"Accept": accept, "Connection": "close"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        return headers

    def ask(self, method: str, target: str, body: Any = None, *, timeout_s: float | None = None) -> Any:
        """Any request.

        Raises:
            ApiError: no answer, or a problem.
        """
        headers, data = self._headers("application/json"), None
        if isinstance(body, bytes):
            data, headers["Content-Type"] = body, "application/yaml"
        elif body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        connection = self._connect(timeout_s)
        try:
            connection.request(method, target, body=data, headers=headers)
            answer = connection.getresponse()
            text = answer.read(MOST_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise self._silent(error, timeout_s) from None
        finally:
            connection.close()
        return self._understood(answer.status, text)

    def _connect(self, timeout_s: float | None = None) -> http.client.HTTPConnection:
        parts, timeout = self._parts, timeout_s or self._timeout_s
        if parts.scheme == "unix":
            return UnixConnection(parts.path, timeout=timeout)
        assert parts.hostname is not None
        if parts.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout, context=context)
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)

    def _silent(self, error: Exception, seconds: float | None = None) -> ApiError:
        if isinstance(error, FileNotFoundError | ConnectionRefusedError):
            hint = "is it running, and listening there? (--socket or --url says where)"
            return ApiError(f"no tickerd answers at {self.address}: {hint}")
        if isinstance(error, PermissionError):
            return ApiError(f"you may not open {self.address}: its group may, such as tickerd-api")
        if isinstance(error, TimeoutError):
            return ApiError(f"{self.address} did not answer within {seconds or self._timeout_s:g} s")
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


def options(command: Command) -> Command:
    """Adds those that say which daemon to ask: the command gets ``file``, ``path``, ``url`` and ``key``."""
    for decorate in (
        click.option(
            "--key",
            envvar="TICKERD_KEY",
            metavar="KEY",
            help="An API key; TICKERD_KEY keeps it out of the process list.",
        ),
        click.option(
            "--url",
            envvar="TICKERD_URL",
            metavar="URL",
            help="The control API elsewhere: http://HOST:PORT, https://HOST:PORT or unix:/PATH.",
        ),
        click.option(
            "--socket",
            "path",
            default=SOCKET,
            show_default=True,
            envvar="TICKERD_SOCKET",
            metavar="PATH",
            help="The Unix socket of the control API.",
        ),
        click.option(
            "-c",
            "--config",
            "file",
            type=click.Path(path_type=Path),
            help="The YAML file, which says where the control API listens.",
        ),
    ):
        command = decorate(command)
    return command


def api(command: Command) -> Command:
    """Gives a command the options that say which daemon to ask, and hands it a `Client` as first argument."""

    @options
    @functools.wraps(command)
    def wrapped(path: str, url: str | None, key: str | None, file: Path | None, **arguments: Any) -> None:
        command(client_of(path=path, url=url, key=key, file=file), **arguments)

    return wrapped


def client_of(*, path: str, url: str | None, key: str | None, file: Path | None) -> Client:
    """The client that the options mean. What stands on the command line goes before what is in the environment."""
    context = click.get_current_context()
    given = {
        name
        for name in ("url", "path", "file")
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
    if len(given) > 1:
        raise click.UsageError("give one of --url, --socket and -c")
    if file is not None:
        from tickerd.cli.address import listening

        found = listening(file)
        if not found:
            raise click.ClickException(f"{file}: its control API listens nowhere")
        return Client(found[0].address, key)
    return Client(f"unix:{path}" if url is None or given == {"path"} else url, key)
