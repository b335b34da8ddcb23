"""`tickerd login`: where a source is logged in today, and handing over what comes back from there."""

import os
import select
import sys
import threading
import webbrowser
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

import click

from tickerd.cli.client import ApiError, Client, segment
from tickerd.cli.reach import Where, anywhere

WAIT_S = 600.0
"""As long as an address to log in at is good for."""
LOOK_S = 1.0
_ANSWER_S = 35.0
_LONGEST = 4096


@dataclass(frozen=True)
class Standing:
    """What the daemon says of a source's login."""

    url: str | None = None
    user: str | None = None
    expires_ns: int | None = None
    logins: int = 0


class Daemon(Protocol):
    """A running daemon, by whichever way it is reached. Every method may raise `click.ClickException`."""

    def status(self) -> Standing:
        """How the login stands."""
        ...

    def begin(self) -> Standing:
        """With an address to log in at."""
        ...

    def finish(self, name: str, text: str) -> Standing:
        """Hand over ``redirected`` or ``access_token``."""
        ...


@click.command()
@click.argument("source")
@click.option("--open", "browse", is_flag=True, help="Open the address in a browser on this machine.")
@click.option(
    "--access-token-file",
    "token_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Hand over the token in this file, and each other one that is written to it, until Ctrl-C.",
)
@click.option("--no-wait", is_flag=True, help="Print the address (or hand over the token) and end.")
@anywhere
def login(
    where: Where, *, source: str, browse: bool, token_file: Path | None, no_wait: bool, as_json: bool
) -> None:
    """Log a SOURCE in: print where, then wait for its callback, or for the address that you paste.

    It reaches the daemon by its control API, or by files in its state directory where it has none.
    Nothing is restarted: the source uses the login within seconds.

    \b
    Examples:
      tickerd login kite                          over the control API's socket
      tickerd login kite --open -c tickerd.yaml   without a control API
      tickerd login kite --access-token-file /run/kite/token
    """
    place = where.place()
    daemon: Daemon = _ByApi(place, source) if isinstance(place, Client) else _ByState(place, source)
    say = _Say(source, as_json=as_json)
    if token_file is not None:
        _hand_over(daemon, token_file, say, once=no_wait)
        return
    begun = daemon.begin()
    if begun.url is None:
        raise click.ClickException("the daemon gave no address to log in at")
    say.address(begun.url)
    if browse and not webbrowser.open(begun.url):
        click.echo("no browser to open it in", err=True)
    if not no_wait:
        say.done(_await(daemon, begun, say))


class _ByApi:
    """Over the control API."""

    def __init__(self, client: Client, source: str) -> None:
        self._client = client
        self._path = f"/v1/sources/{segment(source)}/login"

    def status(self) -> Standing:
        return _standing(self._client.get(self._path))

    def begin(self) -> Standing:
        return _standing(self._client.post(self._path, {}))

    def finish(self, name: str, text: str) -> Standing:
        body = {name: text}
        return _standing(self._client.ask("POST", self._path, body, timeout_s=_ANSWER_S))


def _standing(answer: Mapping[str, Any]) -> Standing:
    return Standing(answer.get("url"), answer.get("user"), answer.get("expires_ns"), answer.get("logins", 0))


class _ByState:
    """By files in the state directory."""

    def __init__(self, directory: Path, source: str) -> None:
        self._directory = directory
        self._source = source

    def status(self) -> Standing:
        return self._ask("status")

    def begin(self) -> Standing:
        return self._ask("begin")

    def finish(self, name: str, text: str) -> Standing:
        from tickerd.plugin.login import LoginRefused
        from tickerd.runtime.logins import given

        try:
            params = given(text) if name == "redirected" else {name: text}
        except LoginRefused as error:
            raise click.ClickException(str(error)) from None
        return self._ask("finish", params)

    def _ask(self, verb: Any, params: Mapping[str, str] | None = None) -> Standing:
        from tickerd.state import mailbox

        question = mailbox.Question(source=self._source, verb=verb, given=dict(params or {}), uid=os.getuid())
        try:
            found = mailbox.ask(self._directory, question, _ANSWER_S if params else 5.0)
        except mailbox.NoAnswer as error:
            raise click.ClickException(str(error)) from None
        if found.error is not None:
            raise click.ClickException(found.error)
        return Standing(found.url, found.user, found.expires_ns, found.logins)


def _await(daemon: Daemon, begun: Standing, say: "_Say") -> Standing:
    """Until somebody has logged in, by the callback or by what is pasted here."""
    say.hint("log in there; then wait, or paste the address that the browser ended up at:")
    lines: Callable[[], str | None] = _Lines(_stdin())
    for _ in range(round(WAIT_S / LOOK_S)):
        text = lines()
        if text is not None and text.strip():
            return daemon.finish("redirected", text.strip())
        standing = daemon.status()
        if standing.logins > begun.logins:
            return standing
    raise click.ClickException(f"nobody has logged in within {WAIT_S / 60:g} minutes; begin again")


def _stdin() -> Any:
    return sys.stdin


class _Lines:
    """What is typed or piped in, looked at for a second at a time; nothing more after its end."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._is_open = True

    def __call__(self) -> str | None:
        if not self._is_open or not self._has_file():
            threading.Event().wait(LOOK_S)
            return None
        ready, _, _ = select.select([self._stream], [], [], LOOK_S)
        if not ready:
            return None
        line: str = self._stream.readline(_LONGEST)
        self._is_open = bool(line)
        return line or None

    def _has_file(self) -> bool:
        try:
            return bool(self._stream.fileno() >= 0)
        except (OSError, ValueError):
            return False


def _hand_over(daemon: Daemon, path: Path, say: "_Say", *, once: bool) -> None:
    """The token in a file, now and (unless once) whenever it is another; a refused one is told and waited out."""
    handed: str | None = None
    while True:
        text = _token(path, required=once)
        if text and text != handed:
            handed = text
            try:
                say.done(daemon.finish("access_token", text))
            except click.ClickException as error:
                if once or not _is_refusal(error):
                    raise
                error.show()
        if once:
            return
        threading.Event().wait(LOOK_S)


def _is_refusal(error: click.ClickException) -> bool:
    """Whether it is the token that is wrong, so that another one may be right."""
    return not isinstance(error, ApiError) or error.status == 422


def _token(path: Path, *, required: bool) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LONGEST).strip()
    except (OSError, UnicodeDecodeError) as error:
        if not required and isinstance(error, FileNotFoundError):
            return ""
        raise click.ClickException(
            f"{path}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}"
        ) from None
    if required and not text:
        _empty(path)
    return text


def _empty(path: Path) -> NoReturn:
    raise click.ClickException(f"{path} is empty; it shall hold an access token and nothing else")


class _Say:
    """What is printed: sentences for people, or a line of JSON for each thing."""

    def __init__(self, source: str, *, as_json: bool) -> None:
        self._source = source
        self._as_json = as_json

    def address(self, url: str) -> None:
        self._json({"url": url}) if self._as_json else click.echo(url)

    def hint(self, text: str) -> None:
        if not self._as_json:
            click.echo(text, err=True)

    def done(self, standing: Standing) -> None:
        if self._as_json:
            self._json({"user": standing.user, "expires_ns": standing.expires_ns})
            return
        from tickerd.observe.clean import escape

        until = ""
        if standing.expires_ns is not None:
            from tickerd.cli.keytable import moment

            until = f", until {moment(standing.expires_ns)}"
        click.echo(f"{self._source} is logged in as {escape(standing.user or '?')}{until}")

    def _json(self, what: Mapping[str, Any]) -> None:
        import json

        click.echo(json.dumps({"source": self._source, **what}))
