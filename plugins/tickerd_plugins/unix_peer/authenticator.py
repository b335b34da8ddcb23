"""Takes the file mode of a socket for the decision who may come in; the kernel names the user for the audit trail."""

from typing import Annotated, ClassVar

from pydantic import Field

from tickerd.plugin import AuthContext, Authenticator, Options, Principal, Request, option

UNMAPPED = 65534
"""What the kernel shows for users that this process's user namespace does not map."""
_FORWARDED = frozenset({"forwarded", "x-forwarded-for", "x-real-ip", "via"})


class UnixPeerOptions(Options):
    """Who is let in."""

    uids: tuple[Annotated[int, Field(ge=0, lt=2**32 - 1)], ...] | None = option(
        None, doc="Only these user ids; by default everybody who can open the socket.", reload="live"
    )


class UnixPeer(Authenticator):
    """`tickerd.plugin.Authenticator`."""

    Options: ClassVar[type[Options]] = UnixPeerOptions

    def __init__(self, options: UnixPeerOptions, ctx: AuthContext) -> None:
        self._uids = options.uids

    async def check(self, request: Request) -> Principal | None:
        """See `tickerd.plugin.Authenticator`. Whoever shows a credential is judged by that alone."""
        if not request.is_local or request.uid is None or request.credential is not None:
            return None
        if not request.listener.scopes or not _FORWARDED.isdisjoint(request.headers):
            return None  # of a proxy's clients the kernel knows nothing: it would lend them the proxy's own rights
        if self._uids is not None and request.uid not in self._uids:
            return None
        who = "unmapped" if request.uid == UNMAPPED else request.uid
        return Principal(id=f"uid {who}", scopes=request.listener.scopes)
