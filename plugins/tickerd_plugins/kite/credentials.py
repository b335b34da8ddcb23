"""Today's access token: where it comes from, waiting for a new one, and what the broker said of it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import trio

from tickerd_plugins.kite import expiry
from tickerd_plugins.kite.options import KiteOptions
from tickerd_plugins.kite.saved import SavedLogin

POLL = 2.0
"""Seconds between two looks at the token file."""
_LONGEST = 4096

Origin = Literal["login", "file", "option"]


class Token(NamedTuple):
    """An access token and what is known of it. It does not print."""

    text: str
    origin: Origin
    since_ns: int | None = None
    """When it was made: by the login, or by the file's age; None is not known."""
    user_id: str = ""

    @property
    def expires_ns(self) -> int | None:
        """When it ends, where that is known."""
        return None if self.since_ns is None else expiry.ends(self.since_ns)

    def __repr__(self) -> str:
        return f"Token(origin={self.origin!r}, since_ns={self.since_ns})"


class Credentials:
    """Reads the access token anew each time it is asked for; of a file and a login the newer one counts.

    Args:
        options: where it stands.
        hide: called with each token, so that it never shows in a log.
        now_ns: the time; a login whose day is over by it is not used any more.
        source: the source's name, for the command that a person is told to run.
    """

    def __init__(
        self,
        options: KiteOptions,
        hide: Callable[[str], None],
        now_ns: Callable[[], int] = lambda: 0,
        source: str = "NAME",
    ) -> None:
        self._hide = hide
        self._now_ns = now_ns
        self._fixed = options.access_token
        self._file = options.access_token_file
        self._login: SavedLogin | None = None
        self._proven = ("", 0)
        self._news = trio.Event()
        self._can_log_in = options.api_secret is not None
        self._command = f"tickerd login {source}"
        self.problem = ""
        """Why the last reading gave no token, and the next step."""
        self.latest: Token | None = None
        """What the last reading gave; a login that has ended meanwhile stays."""

    @property
    def next_step(self) -> str:
        """What a person does to get a token, as the end of a sentence."""
        if self._can_log_in:
            return f"log in again with: {self._command}"
        if self._file is not None:
            return "log in again and write today's access token to access_token_file"
        return "log in again and put today's token in place"

    def accept(self, token: str) -> None:
        """The broker has taken this token just now, so it lives until the next 6 AM, whatever its file says."""
        self._proven = (token, self._now_ns())

    def was_accepted(self, token: str) -> bool:
        """Whether it is the last token that the broker has taken."""
        return token == self._proven[0]

    def log_in(self, login: SavedLogin) -> None:
        """Use this login from now on; whoever waits for a token wakes up."""
        self._hide(login.access_token)
        self._login = login
        self.wake()

    def wake(self) -> None:
        """Have everybody who waits for another token look again now."""
        self._news.set()
        self._news = trio.Event()

    async def access_token(self) -> str | None:
        """The token, or None; then ``problem`` says why."""
        token = await self.read()
        return None if token is None else token.text

    async def read(self) -> Token | None:
        """The token with what is known of it, or None; then ``problem`` says why."""
        login, ended = self._from_login()
        other, missing = await self._from_file() if self._file is not None else self._from_option()
        if other is not None and not (
            other.text.isascii() and other.text.isprintable() and " " not in other.text
        ):
            other, missing = (
                None,
                "the access token holds spaces, line ends or other characters no token has",
            )
        if login is not None and other is not None:
            other = other if (other.since_ns or 0) > (login.since_ns or 0) else login
        token = other or login
        self.problem = "" if token else ended or missing
        if token:
            self._hide(token.text)
        if token or not ended:
            self.latest = token
        return token

    def _from_login(self) -> tuple[Token | None, str]:
        if self._login is None:
            return None, ""
        token = Token(self._login.access_token, "login", self._login.since_ns, self._login.user_id)
        assert token.expires_ns is not None
        if token.expires_ns > self._now_ns():
            return token, ""
        return None, f"the login has ended at {expiry.in_india(token.expires_ns)}: {self.next_step}"

    def _from_option(self) -> tuple[Token | None, str]:
        text = self._fixed.get_secret_value().strip() if self._fixed is not None else ""
        if self._can_log_in:
            missing = f"no access token: log in with: {self._command}"
        else:
            missing = "no access token: set access_token_file (or access_token) and put today's token there"
        return (Token(text, "option") if text else None), missing

    async def _from_file(self) -> tuple[Token | None, str]:
        assert self._file is not None
        name = repr(str(self._file))
        try:
            text, since_ns = await trio.to_thread.run_sync(_read, self._file)
        except FileNotFoundError:
            return None, f"no access_token_file {name}: write today's access token to it"
        except (OSError, UnicodeDecodeError) as error:
            words = (getattr(error, "strerror", None) or "not UTF-8 text").lower()
            return None, f"cannot read access_token_file {name}: {words}"
        missing = f"access_token_file {name} is empty: write today's access token to it"
        if self.was_accepted(text):
            since_ns = max(since_ns, self._proven[1])
        return (Token(text, "file", since_ns) if text else None), missing

    async def changed(self, old: str | None) -> str:
        """Wait until there is a token other than ``old``, and return it; a fixed one never changes."""
        while True:
            news = self._news
            token = await self.access_token()
            if token is not None and token != old:
                return token
            with trio.move_on_after(POLL if self._file is not None else float("inf")):
                await news.wait()


def _read(path: Path) -> tuple[str, int]:
    """The text of a file, and when it was written."""
    with path.open(encoding="utf-8") as file:
        return file.read(_LONGEST).strip(), os.fstat(file.fileno()).st_mtime_ns
