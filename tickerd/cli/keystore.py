"""Where `tickerd keys` makes its changes: the running daemon, or the state directory itself."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tickerd.cli.client import Client
from tickerd.cli.place import now_ns, plain_errors

if TYPE_CHECKING:
    from tickerd.state.keys import By, Made, NewKey

Shown = Mapping[str, Any]
"""A key as `tickerd.state.keys.Key.shown` and the control API show it; one that was made has its text as ``key``."""


class KeyStore(ABC):
    """Either of the two. Every method may raise ``click.ClickException``, in the same words."""

    @abstractmethod
    def create(self, new: "NewKey") -> Shown:
        """Make one."""

    @abstractmethod
    def every(self, *, ended: bool) -> Sequence[Shown]:
        """All of them, the oldest first; also those that have ended, where asked for."""

    @abstractmethod
    def rotate(self, public: str, overlap_s: float) -> Shown:
        """Make a successor."""

    @abstractmethod
    def revoke(self, public: str) -> Shown:
        """End one."""


def key_store(place: Client | Path) -> KeyStore:
    """That of a daemon or of a state directory."""
    return DaemonKeys(place) if isinstance(place, Client) else StoredKeys(place)


class DaemonKeys(KeyStore):
    """Those of a running daemon, over its control API."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(self, new: "NewKey") -> Shown:
        """See `KeyStore`."""
        made: Shown = self._client.post("/v1/keys", new.model_dump(mode="json"))
        return made

    def every(self, *, ended: bool) -> Sequence[Shown]:
        """See `KeyStore`."""
        found = self._client.every("/v1/keys", all=str(ended).lower())
        return sorted(found, key=lambda key: (key["created_ns"], key["id"]))

    def rotate(self, public: str, overlap_s: float) -> Shown:
        """See `KeyStore`."""
        body = {"overlap": f"{overlap_s:.3f}s" if overlap_s else 0}
        made: Shown = self._client.post(f"/v1/keys/{public}/rotate", body)
        return made

    def revoke(self, public: str) -> Shown:
        """See `KeyStore`."""
        ended: Shown = self._client.delete(f"/v1/keys/{public}")
        return ended


class StoredKeys(KeyStore):
    """Those of a state directory; a daemon that runs on it takes note within a second."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def create(self, new: "NewKey") -> Shown:
        """See `KeyStore`."""
        from tickerd.state import keys

        return self._make(keys.create, new)

    def every(self, *, ended: bool) -> Sequence[Shown]:
        """See `KeyStore`."""
        from tickerd.state import keys, tools

        now = now_ns()
        with plain_errors(), tools.reading(self._directory) as connection:
            found = [key.shown(now) for key in keys.every(connection)]
        return [key for key in found if ended or key["status"] in ("active", "rotated")]

    def rotate(self, public: str, overlap_s: float) -> Shown:
        """See `KeyStore`."""
        from tickerd.state import keys

        return self._make(keys.rotate, public, overlap_s=overlap_s)

    def revoke(self, public: str) -> Shown:
        """See `KeyStore`."""
        from tickerd.state import keys, tools

        now = now_ns()
        with plain_errors(keys.KeyRefused), tools.writing(self._directory) as connection:
            return keys.revoke(connection, public, _by(), now_ns=now).shown(now)

    def _make(self, change: "Callable[..., Made]", *what: Any, **more: Any) -> Shown:
        from tickerd.state import keys, tools
        from tickerd.state.pepper import open_peppers

        now = now_ns()
        with plain_errors(keys.KeyRefused), tools.writing(self._directory) as connection:
            made = change(connection, open_peppers(self._directory), *what, _by(), now_ns=now, **more)
        return {"key": made.text.text, **made.key.shown(now)}


def _by() -> "By":
    from tickerd.state.keys import By

    return By(f"uid {os.getuid()}", "cli")
