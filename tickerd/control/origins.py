"""Which web pages may call the API. Pure: a browser sends Origin with every request that a page makes across sites."""

from collections.abc import Iterable


class Origins:
    """The web pages that may call.

    Args:
        named: from the YAML: ``https://NAME[:PORT]``.
    """

    def __init__(self, named: Iterable[str] = ()) -> None:
        self._named = frozenset(name.lower().rstrip("/") for name in named)

    def names(self, origin: str) -> bool:
        """Whether the YAML lists it: such a page is given what browsers ask for across sites."""
        return origin.lower() in self._named

    def accept(self, origin: str, scheme: str, host: str | None) -> bool:
        """Whether a request with this Origin header may pass.

        Args:
            scheme: of the request, ``http`` or ``https``.
            host: the Host header where it was accepted: our own pages may call us.
        """
        return self.names(origin) or (host is not None and origin.lower() == f"{scheme}://{host.lower()}")
