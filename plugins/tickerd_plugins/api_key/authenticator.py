"""Asks tickerd's own keys whose a credential is."""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator

from tickerd.plugin import AuthContext, Authenticator, Options, Principal, Request, Scope, option


def _distinct(value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value))


class ApiKeyOptions(Options):
    """Where a key may stand, and what it is good for here."""

    accept: Annotated[tuple[Literal["header", "message", "query"], ...], AfterValidator(_distinct)] = option(
        ("header", "message"),
        doc="Where a key may stand: `header` (`Authorization: Bearer …`), `message` (a stream's first), `query`.",
        reload="live",
        min_length=1,
    )
    scopes: Annotated[tuple[Scope, ...], AfterValidator(_distinct)] | None = option(
        None, doc="The most that a key may do here, whatever else it was granted.", reload="live"
    )


class ApiKey(Authenticator):
    """`tickerd.plugin.Authenticator`."""

    Options: ClassVar[type[Options]] = ApiKeyOptions

    def __init__(self, options: ApiKeyOptions, ctx: AuthContext) -> None:
        self._accept = frozenset(options.accept)
        self._scopes = options.scopes
        self._keys = ctx.keys

    async def check(self, request: Request) -> Principal | None:
        """See `tickerd.plugin.Authenticator`."""
        credential = request.credential
        if credential is None or credential.origin not in self._accept:
            return None
        principal = self._keys.verify(credential.text, request.peer)
        if principal is None or self._scopes is None:
            return principal
        return principal.narrowed(self._scopes)
