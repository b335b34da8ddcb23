"""The api_key authenticator: callers show one of tickerd's own API keys."""

from tickerd.plugin import hookimpl
from tickerd_plugins.api_key.authenticator import ApiKey

TICKERD_API = 0

__all__ = ["TICKERD_API", "ApiKey", "tickerd_authenticators"]


@hookimpl
def tickerd_authenticators() -> type[ApiKey]:
    """The authenticator type of this plugin."""
    return ApiKey
