"""The unix_peer authenticator: whoever may open a Unix socket may do what that socket is for."""

from tickerd.plugin import hookimpl
from tickerd_plugins.unix_peer.authenticator import UnixPeer

TICKERD_API = 0

__all__ = ["TICKERD_API", "UnixPeer", "tickerd_authenticators"]


@hookimpl
def tickerd_authenticators() -> type[UnixPeer]:
    """The authenticator type of this plugin."""
    return UnixPeer
