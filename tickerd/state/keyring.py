"""API keys in the daemon's hands: verified in memory, and ended within a second wherever they were revoked."""

import hmac
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from sqlite3 import Connection
from typing import TypeVar

import structlog
import trio

from tickerd.plugin import ALL_SCOPES, Clock, Limits, Principal, Validity
from tickerd.state import keys
from tickerd.state.database import Database
from tickerd.state.errors import StateError
from tickerd.state.keys import By, Key, Made, NewKey
from tickerd.state.keytext import new_key, parse_key
from tickerd.state.pepper import Peppers, open_peppers, sync_directory, write_private

BOOTSTRAP_FILE = "bootstrap.key"
"""In the state directory: the key of the first start, for whoever can read the directory."""
LOOK_S = 0.4
"""How often it is looked whether a tool has changed keys, and whether one has expired."""
FLUSH_S = 60.0
"""How often the last uses of keys are written down; they are no finer than that."""
LEAVE_S = 2.0

_NOBODY = bytes(32)
"""Stands in for the digest of a key that does not exist: what is compared with it takes as long."""
_MINUTE_NS = 60 * 10**9

T = TypeVar("T")


@dataclass
class _Entry:
    """One key: as it is stored, and everybody who was let in by it."""

    key: Key
    principal: Principal

    def moved_to(self, key: Key) -> None:
        """The same key, with another end or a later use; those who hold its principal go on with it."""
        self.key = key
        self.principal.validity.expires_at = key.expires_ns

    def look(self, now_ns: int) -> None:
        """End those who were let in, if the key has ended."""
        status = self.key.status(now_ns)
        if status in ("revoked", "expired"):
            self.principal.validity.end("revoked" if status == "revoked" else "expired")


@dataclass
class _Index:
    """All keys by their public ids; replaced as a whole where the file says something else."""

    peppers: Peppers
    entries: dict[str, _Entry] = field(default_factory=dict)
    next_end_ns: float = math.inf
    """When the next key expires: until then there is nothing to look for."""

    def load(self, rows: Sequence[Key], now_ns: int) -> None:
        """Take over what is in the file. Who was let in by a key that is gone, or means something else, ends."""
        fresh: dict[str, _Entry] = {}
        for key in rows:
            entry = self.entries.get(key.id)
            if entry is not None and _rights(entry.key) == _rights(key):
                entry.moved_to(key)
                fresh[key.id] = entry
            else:
                fresh[key.id] = _Entry(key, _principal(key))
        for public, entry in self.entries.items():
            if fresh.get(public) is not entry:
                entry.principal.validity.end("revoked")
        self.entries = fresh
        self.next_end_ns = now_ns
        self.look(now_ns)

    def look(self, now_ns: int) -> None:
        """End whoever was let in by a key that has ended."""
        if now_ns < self.next_end_ns:
            return
        self.next_end_ns = math.inf
        for entry in self.entries.values():
            entry.look(now_ns)
            if entry.principal.validity.ended is None and entry.key.expires_ns is not None:
                self.next_end_ns = min(self.next_end_ns, entry.key.expires_ns)


class Keyring:
    """`tickerd.plugin.Keys`, and the changes of keys. `run` it before anything is verified.

    Args:
        db: the state file, open.
        clock: the daemon's.
        directory: where the pepper is, and the key of the first start.
    """

    def __init__(self, db: Database, clock: Clock, directory: Path) -> None:
        self._db = db
        self._clock = clock
        self._directory = directory
        self._index: _Index | None = None
        self._used: dict[str, int] = {}
        self._refreshing = trio.Lock()
        self._log = structlog.get_logger()
        self.checks = 0
        """Texts that were verified."""
        self.refused: Counter[str] = Counter()
        """Those that were not good, by what was wrong with them; callers are never told."""

    # -- verifying --------------------------------------------------------------------------------------

    def verify(self, text: str, peer: str | None = None) -> Principal | None:
        """See `tickerd.plugin.Keys`. Nobody is verified before `run` has started."""
        self.checks += 1
        entry, fault = self._judge(text, peer)
        if entry is None:
            self.refused[fault] += 1
            return None
        now_ns = self._clock.now_ns()
        self._used[entry.key.id] = now_ns - now_ns % _MINUTE_NS
        return entry.principal

    def _judge(self, text: str, peer: str | None) -> tuple[_Entry | None, str]:
        given, index = parse_key(text), self._index
        if given is None or index is None:
            return None, "malformed" if given is None else "not_ready"
        entry = index.entries.get(given.id)
        # One digest and one comparison, whether or not there is such a key
        pepper, expected = (None, _NOBODY) if entry is None else (entry.key.pepper, entry.key.digest)
        right = hmac.compare_digest(index.peppers.digest(given.text, pepper), expected)
        if entry is None or not right:
            return None, "unknown" if entry is None else "wrong"
        entry.look(self._clock.now_ns())
        if (ended := entry.principal.validity.ended) is not None:
            return None, ended
        if not _is_within(peer, entry.key):
            return None, "network"
        return entry, ""

    # -- changing ---------------------------------------------------------------------------------------

    async def every(self) -> Sequence[Key]:
        """All keys, the oldest first, as they are stored."""
        await self._flush()
        return await self._db.read(keys.every)

    async def create(self, new: NewKey, by: By) -> Made:
        """Make a key; see `keys.create`."""
        peppers = self._peppers()
        return await self._change(lambda file, now: keys.create(file, peppers, new, by, now_ns=now))

    async def rotate(self, public: str, by: By, *, overlap_s: float = keys.OVERLAP_S) -> Made:
        """Make a key's successor; see `keys.rotate`."""
        peppers = self._peppers()
        return await self._change(
            lambda file, now: keys.rotate(file, peppers, public, by, overlap_s=overlap_s, now_ns=now)
        )

    async def revoke(self, public: str, by: By) -> Key:
        """End a key, and all who were let in by it; see `keys.revoke`."""
        return await self._change(lambda file, now: keys.revoke(file, public, by, now_ns=now))

    async def bootstrap(self) -> Path | None:
        """At the very first start, make a key that may do everything; the file that holds it, or None.

        The file has mode 0600 and is written before the key is stored: one that was left over counts for nothing.
        """
        if await self._db.read(keys.every):
            return None
        peppers, text, path = self._peppers(), new_key("boot"), self._directory / BOOTSTRAP_FILE
        await trio.to_thread.run_sync(_write_anew, path, f"{text.text}\n")
        scopes = sorted(ALL_SCOPES)
        made = await self._change(lambda file, now: keys.first(file, peppers, text, scopes, now_ns=now))
        return path if made else None

    def _peppers(self) -> Peppers:
        if self._index is None:
            raise trio.ClosedResourceError("the keys are not loaded")
        return self._index.peppers

    async def _change(self, work: Callable[[Connection, int], T]) -> T:
        """In one transaction that outlives a power cut; what it changed is in force when this returns."""
        result = await self._db.run_synced(work, self._clock.now_ns())
        await self._refresh()
        return result

    # -- following the file -----------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Load the keys, then follow what is made of them, until cancelled.

        Raises:
            StateError: the pepper or the state file cannot be used at the start; later that is logged and passes.
        """
        seen = await self._db.changes()
        await self._refresh()
        task_status.started()
        try:
            await self._follow(seen)
        finally:
            with trio.move_on_after(LEAVE_S, shield=True):
                await self._quietly(self._flush)

    async def _follow(self, seen: int) -> None:
        flush_at = trio.current_time() + FLUSH_S
        while True:
            await trio.sleep(LOOK_S)
            if self._index is not None:
                self._index.look(self._clock.now_ns())
            now = await self._quietly(self._db.changes)
            if now is not None and now != seen and await self._quietly(self._refresh):
                seen = now
            if trio.current_time() >= flush_at:
                flush_at = trio.current_time() + FLUSH_S
                await self._quietly(self._flush)

    async def _quietly(self, work: Callable[[], Awaitable[T]]) -> T | None:
        """What went wrong with the file is in the log; keys go on as they were."""
        try:
            return await work()
        except StateError as error:
            self._log.warning("keys cannot be read or written", reason=str(error))
            return None

    async def _refresh(self) -> bool:
        async with self._refreshing:
            rows = await self._db.read(keys.every)
            if self._index is None or not all(row.pepper in self._index.peppers for row in rows):
                peppers = await trio.to_thread.run_sync(open_peppers, self._directory)
                lost = [row.id for row in rows if row.pepper not in peppers]
                if lost:
                    self._log.error(
                        "keys cannot be used: their pepper is gone", keys=lost[:20], count=len(lost)
                    )
                if self._index is None:
                    self._index = _Index(peppers)
                self._index.peppers = peppers
            self._index.load(rows, self._clock.now_ns())
        return True

    async def _flush(self) -> None:
        used, self._used = self._used, {}
        if not used:
            return
        try:
            await self._db.run(keys.touch, used)
        except BaseException:
            self._used = used | self._used
            raise


def _rights(key: Key) -> tuple[object, ...]:
    """Whatever decides who it is and what may be done with it."""
    return key.digest, key.pepper, key.scopes, key.networks, key.limits, key.created_ns


def _principal(key: Key) -> Principal:
    return Principal(
        id=f"key {key.id}",
        scopes=frozenset(key.scopes),
        limits=Limits(rates=dict(key.limits.rates), connections=key.limits.connections),
        validity=Validity(key.expires_ns),
    )


def _is_within(peer: str | None, key: Key) -> bool:
    """Whether the key holds at that address; one that is not known is in no network."""
    if not key.networks:
        return True
    try:
        address = ip_address((peer or "").partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in key.networks)


def _write_anew(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    sync_directory(path.parent)
    if not write_private(path, text):
        raise FileExistsError(f"{path}: somebody else makes this file; remove it and start again")
