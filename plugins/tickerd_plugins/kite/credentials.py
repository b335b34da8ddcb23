"""Today's access token: where it comes from, and waiting for a new one."""

from collections.abc import Callable

import trio

from tickerd_plugins.kite.options import KiteOptions

POLL = 2.0
"""Seconds between two looks at the token file."""
_LONGEST = 4096


class Credentials:
    """Reads the access token anew each time it is asked for.

    Args:
        options: where it stands.
        hide: called with each token, so that it never shows in a log.
    """

    def __init__(self, options: KiteOptions, hide: Callable[[str], None]) -> None:
        self._hide = hide
        self._fixed = options.access_token
        self._file = options.access_token_file
        self.problem = ""
        """Why the last reading gave no token, and the next step."""

    async def access_token(self) -> str | None:
        """The token, or None; then ``problem`` says why."""
        if self._file is None:
            token = self._fixed.get_secret_value().strip() if self._fixed is not None else ""
            missing = "no access token: set access_token_file (or access_token) and put today's token there"
        else:
            try:
                async with await trio.open_file(self._file, encoding="utf-8") as file:
                    token = (await file.read(_LONGEST)).strip()
                missing = f"access_token_file {str(self._file)!r} is empty: write today's access token to it"
            except FileNotFoundError:
                token, missing = (
                    "",
                    f"no access_token_file {str(self._file)!r}: write today's access token to it",
                )
            except (OSError, UnicodeDecodeError) as error:
                words = (getattr(error, "strerror", None) or "not UTF-8 text").lower()
                token, missing = "", f"cannot read access_token_file {str(self._file)!r}: {words}"
        if token and not (token.isascii() and token.isprintable() and " " not in token):
            token, missing = "", "the access token holds spaces, line ends or other characters no token has"
        self.problem = "" if token else missing
        if token:
            self._hide(token)
        return token or None

    async def changed(self, old: str | None) -> str:
        """Wait until there is a token other than ``old``, and return it; a fixed one never changes."""
        while True:
            if self._file is None and (self._fixed is None or old is not None):
                await trio.sleep_forever()
            token = await self.access_token()
            if token is not None and token != old:
                return token
            await trio.sleep(POLL)
