"""What one source should be sending: the union, at the highest mode, of what everyone wants from it."""

from collections.abc import AsyncGenerator, Iterable, Mapping

import trio

from tickerd.instruments import Namespace
from tickerd.plugin import MODES, Instrument, Mode

_RANK = {mode: rank for rank, mode in enumerate(MODES)}

Key = str | int
"""An instrument as a person writes it: ``EXCHANGE:SYMBOL`` or a token."""


class Demand:
    """Reference-counted by owner: an instrument is wanted while anybody wants it.

    Owned by the host and kept over restarts of its source; `tickerd.plugin.Demand` is what the source sees.
    """

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._owners: dict[str, dict[Key, Mode]] = {}
        self._wanted: dict[int, tuple[Instrument, Mode]] = {}
        self._unresolved: tuple[str, ...] = ()
        self._changed = trio.Event()
        namespace.on_load(self._resolve)

    def close(self) -> None:
        """Stop following the instrument table."""
        self._namespace.forget(self._resolve)

    def want(self, owner: str, wants: Mapping[Key, Mode]) -> None:
        """Replace all that ``owner`` wants; an empty mapping releases it."""
        if wants:
            self._owners[owner] = dict(wants)
        else:
            self._owners.pop(owner, None)
        self._resolve()

    def wanted(self) -> dict[Instrument, Mode]:
        """See `tickerd.plugin.Demand.wanted`."""
        return dict(self._wanted.values())

    @property
    def unresolved(self) -> tuple[str, ...]:
        """Symbols that somebody wants and the table does not have (all of them until a dump is loaded)."""
        return self._unresolved

    def owners(self, key: Key) -> list[str]:
        """Who wants this."""
        return [owner for owner, wants in self._owners.items() if key in wants]

    async def changes(self) -> AsyncGenerator[Mapping[Instrument, Mode | None], None]:  # noqa: ASYNC900
        """See `tickerd.plugin.Demand.changes`."""
        sent: dict[int, tuple[Instrument, Mode]] = {}
        while True:
            changed, now = self._changed, self._wanted
            yield _difference(sent, now)
            sent = now
            await changed.wait()

    def _resolve(self) -> None:
        wanted: dict[int, tuple[Instrument, Mode]] = {}
        unresolved: dict[str, None] = {}
        for key, mode in self._merged():
            instrument = self._namespace.find(key)
            if instrument is None:
                unresolved[str(key)] = None
            elif instrument.token not in wanted or _RANK[wanted[instrument.token][1]] < _RANK[mode]:
                wanted[instrument.token] = (instrument, mode)
        self._wanted, self._unresolved = wanted, tuple(unresolved)
        self._changed.set()
        self._changed = trio.Event()

    def _merged(self) -> Iterable[tuple[Key, Mode]]:
        return (item for wants in self._owners.values() for item in wants.items())


def _difference(
    old: Mapping[int, tuple[Instrument, Mode]], new: Mapping[int, tuple[Instrument, Mode]]
) -> dict[Instrument, Mode | None]:
    """By token, so that a nameless instrument that got its name is no change."""
    change: dict[Instrument, Mode | None] = {old[token][0]: None for token in old.keys() - new.keys()}
    for token, (instrument, mode) in new.items():
        if token not in old or old[token][1] != mode:
            change[instrument] = mode
    return change
