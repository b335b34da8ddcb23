"""Codecs by their ids, for commands that read the journal: plugins are imported only for a codec that is not ours."""

from collections.abc import Iterator, Mapping

from tickerd.plugin import Codec
from tickerd.plugin.plain import PLAIN
from tickerd.runtime.registry import Registry
from tickerd.wire.kite import KITE


class InstalledCodecs(Mapping[str, Codec]):
    """Every codec of this environment."""

    def __init__(self, registry: Registry | None = None) -> None:
        self._registry = registry or Registry.installed()
        self._known: dict[str, Codec] = {PLAIN.id: PLAIN, KITE.id: KITE}
        self._all = False

    def __getitem__(self, key: str) -> Codec:
        if key not in self._known:
            self._import_all()
        return self._known[key]

    def __iter__(self) -> Iterator[str]:
        self._import_all()
        return iter(self._known)

    def __len__(self) -> int:
        self._import_all()
        return len(self._known)

    def _import_all(self) -> None:
        if not self._all:
            self._all = True
            for name in self._registry.names():
                self._registry.describe(name)
            self._known = {**self._registry.codecs(), **self._known}
