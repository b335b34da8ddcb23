"""The optional protocol of a source that gets its instruments from a dump, and can get it again."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Refreshing(Protocol):
    """A source that implements it is asked by ``tickerd instruments refresh`` while it runs."""

    def refresh_instruments(self) -> None:
        """Get the dump again soon. Returns at once; the source says how it went, and spaces such requests out."""
        ...
