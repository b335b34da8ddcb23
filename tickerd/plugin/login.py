"""The optional protocol of a source whose broker wants a person to log in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


class LoginRefused(Exception):
    """A login that did not succeed; the text says why and what to do, and holds no secret: people see it."""


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A login that is in force."""

    user: str
    """Who logged in, as the broker calls him."""
    expires_ns: int | None = None
    """When it ends, nanoseconds since 1970 UTC; None is not known."""


@runtime_checkable
class Login(Protocol):
    """A source that implements it is offered by ``tickerd login`` and gets its callback while it runs.

    The host makes the ``state``, keeps it for ten minutes, and hands the parameters of a callback on only when
    they hold one that it made and that was not used before.
    """

    @property
    def expires(self) -> int | None:
        """When the login in force ends, nanoseconds since 1970 UTC; None: there is none, or nobody knows."""
        ...

    def url(self, state: str) -> str:
        """Where a person logs in; ``state`` comes back with the callback. Neither waits nor does I/O."""
        ...

    async def exchange(self, params: Mapping[str, str]) -> LoggedIn:
        """Turn what the broker sent along with the person into a login, keep it, and use it from now on.

        Args:
            params: the query of the address that the person was sent to; or ``pasted`` alone, a text that was
                no address; or ``access_token`` alone, which another program got and somebody hands over.

        Raises:
            LoginRefused: it is none, or that of somebody else.
        """
        ...
