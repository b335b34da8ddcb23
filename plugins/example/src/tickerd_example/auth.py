"""An authenticator: callers show a token that stands in a file, in a header of their own."""

import hmac
from pathlib import Path
from typing import ClassVar

import trio
from tickerd.plugin import AuthContext, Authenticator, Options, Principal, Rejected, Request, Scope, option


class TokenOptions(Options):
    """What YAML can say beside ``use``."""

    file: Path = option(
        doc="The file with the token. It is read at each call, so that a new token needs no reload."
    )
    header: str = option("x-example-token", doc="The header that holds it.", pattern=r"^[a-z0-9-]+$")
    scopes: tuple[Scope, ...] = option(("status:read",), doc="What may be done with it.")


class TokenFile(Authenticator):
    """One token for everybody, such as a proxy in front of us adds to each request."""

    Options: ClassVar[type[Options]] = TokenOptions

    def __init__(self, options: TokenOptions, ctx: AuthContext) -> None:
        self._options = options
        self._ctx = ctx

    async def check(self, request: Request) -> Principal | None:
        """See `tickerd.plugin.Authenticator`: None where our header is missing, an error if it is wrong."""
        shown = request.headers.get(self._options.header)
        if shown is None:
            return None
        token = (await trio.Path(self._options.file).read_text("utf-8")).strip()
        self._ctx.hide(token)
        if not token or not hmac.compare_digest(shown.encode(), token.encode()):
            raise Rejected("wrong token")
        return Principal(id=f"token {self._ctx.name}", scopes=frozenset(self._options.scopes))
