"""API keys as they are stored: never the key, only a digest of it, and what its holder may do.

Functions of a connection, to be run by `Database.run_synced` or inside `tools.writing`. Each change writes its line of
the audit trail in the same transaction. `tickerd.state.keyring` verifies.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from sqlite3 import Connection
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from pydantic import AfterValidator, BeforeValidator, TypeAdapter, WithJsonSchema
from pydantic_core import PydanticCustomError

from tickerd.plugin import RATE_CLASSES, Duration, Options, Rate, Scope, option
from tickerd.state import audit
from tickerd.state.keytext import KeyKind, KeyText, new_key
from tickerd.state.pepper import Peppers

MOST = 10_000
"""Keys that are stored; those that ended long ago make room."""
KEEP_ENDED_NS = 90 * 86_400 * 10**9
"""How long a key that has ended is still listed."""
OVERLAP_S = 86_400.0
"""How long a key works beside its successor, unless something else is asked for."""
BOOT_LIFE_NS = 7 * 86_400 * 10**9
"""How long the key of the first start works: long enough to make others with it."""
MOST_NETWORKS = 64

Status = Literal["active", "rotated", "expired", "revoked"]
"""``rotated``: it has a successor, and still works until it expires."""
Refusal = Literal["unknown", "ended", "rotated", "full"]
Network = IPv4Network | IPv6Network


class KeyRefused(ValueError):
    """A change of keys that cannot be made."""

    def __init__(self, problem: Refusal, text: str) -> None:
        super().__init__(text)
        self.problem: Refusal = problem


class By(NamedTuple):
    """Who makes a change, for the audit trail."""

    who: str
    """``key 3kTMd5lGqkYh`` or ``uid 1000``."""
    origin: str
    """An address, a socket, or ``cli``."""


def _network(value: Any) -> str:
    try:
        return str(ip_network(value if isinstance(value, str) else ""))
    except ValueError:
        raise PydanticCustomError(
            "network", "expected a network such as '10.0.0.0/8', or an address"
        ) from None


def _label(value: str) -> str:
    if value.isprintable() and value.strip():
        return value.strip()
    raise PydanticCustomError(
        "label", "expected characters that print: no line breaks, no control characters"
    )


def _class(value: Any) -> str:
    if isinstance(value, str) and value in RATE_CLASSES and value != "addresses":
        return value
    names = ", ".join(name for name in RATE_CLASSES if name != "addresses")
    raise PydanticCustomError("rate_class", f"expected one of {names}")


_Label = Annotated[str, AfterValidator(_label)]
_NetworkText = Annotated[str, BeforeValidator(_network), WithJsonSchema({"type": "string"})]
_ClassName = Annotated[
    str, BeforeValidator(_class), WithJsonSchema({"type": "string", "enum": list(RATE_CLASSES)})
]


class KeyLimits(Options):
    """Where a key differs from all others."""

    rates: dict[_ClassName, Rate] = option({}, doc="Its own rates, by route class.")
    connections: int | None = option(None, doc="Streams at the same time.", ge=1, le=100_000)


class NewKey(Options):
    """What to make a key of; fit to be read from a request."""

    label: _Label = option(
        doc="What it is for, in up to 64 characters that print.", min_length=1, max_length=64
    )
    scopes: tuple[Scope, ...] = option(doc="What its holder may do.", min_length=1, max_length=64)
    expires_in: Duration | None = option(None, doc="How long it works; for ever by default.", gt=0, le=3.2e9)
    networks: tuple[_NetworkText, ...] = option(
        (), doc="Where it may be used from; everywhere by default.", max_length=MOST_NETWORKS
    )
    limits: KeyLimits = option(KeyLimits(), doc="Where it differs from all others.")
    kind: Literal["live", "test"] = option("live", doc="`test` keys say so by their prefix.")


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key as it is stored. Its digest does not print."""

    id: str
    kind: KeyKind
    digest: bytes = field(repr=False)
    pepper: str
    """Name of the pepper of its digest."""
    label: str
    scopes: tuple[str, ...]
    networks: tuple[Network, ...]
    limits: KeyLimits
    created_ns: int
    expires_ns: int | None
    revoked_ns: int | None
    last_used_ns: int | None
    """To the minute, and written about once a minute."""
    successor: str | None
    """Public id of the key that replaces it."""

    def status(self, now_ns: int) -> Status:
        """What it is at this moment."""
        if self.revoked_ns is not None:
            return "revoked"
        if self.expires_ns is not None and self.expires_ns <= now_ns:
            return "expired"
        return "active" if self.successor is None else "rotated"

    def shown(self, now_ns: int) -> dict[str, Any]:
        """What anybody may see of it, as JSON can say it."""
        return {
            "id": self.id,
            "kind": self.kind,
            "label": self.label,
            "status": self.status(now_ns),
            "scopes": list(self.scopes),
            "networks": [str(network) for network in self.networks],
            "limits": self.limits.model_dump(mode="json"),
            "created_ns": self.created_ns,
            "expires_ns": self.expires_ns,
            "revoked_ns": self.revoked_ns,
            "last_used_ns": self.last_used_ns,
            "successor": self.successor,
        }


class Made(NamedTuple):
    """A key that was just made: the only time that its text is known."""

    key: Key
    text: KeyText


_COLUMNS = (
    "id, kind, digest, pepper, label, scopes, networks, limits, "
    "created_ns, expires_ns, revoked_ns, last_used_ns, successor"
)


def every(connection: Connection) -> Sequence[Key]:
    """All of them, the oldest first."""
    return list(map(_key, connection.execute(f"SELECT {_COLUMNS} FROM keys ORDER BY created_ns, id")))  # noqa: S608


def get(connection: Connection, public: str) -> Key | None:
    """One of them."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM keys WHERE id = ?", (public,)).fetchone()  # noqa: S608
    return None if row is None else _key(row)


def create(connection: Connection, peppers: Peppers, new: NewKey, by: By, *, now_ns: int) -> Made:
    """Make a key.

    Raises:
        KeyRefused: there are too many.
    """
    expires_ns = None if new.expires_in is None else now_ns + round(new.expires_in * 1e9)
    made = _insert(connection, peppers, new.kind, _parts(new), now_ns=now_ns, expires_ns=expires_ns)
    _audit(connection, "keys.create", by, now_ns, after=made.key)
    return made


def rotate(
    connection: Connection,
    peppers: Peppers,
    public: str,
    by: By,
    *,
    overlap_s: float = OVERLAP_S,
    now_ns: int,
) -> Made:
    """Make a successor with the same rights and as long a life; the old key ends after the overlap.

    Raises:
        KeyRefused: there is no such key, it has ended, or it has a successor already.
    """
    old = _living(connection, public, now_ns)
    if old.successor is not None:
        raise KeyRefused("rotated", f"key {public} was rotated already; its successor is {old.successor}")
    life_ns = None if old.expires_ns is None else old.expires_ns - old.created_ns
    expires_ns = None if life_ns is None else now_ns + life_ns
    kind: KeyKind = "live" if old.kind == "boot" else old.kind
    parts = (old.label, old.scopes, tuple(map(str, old.networks)), old.limits)
    made = _insert(connection, peppers, kind, parts, now_ns=now_ns, expires_ns=expires_ns)
    end_ns = now_ns + round(overlap_s * 1e9)
    if old.expires_ns is not None:
        end_ns = min(end_ns, old.expires_ns)
    connection.execute(
        "UPDATE keys SET successor = ?, expires_ns = ?, revoked_ns = ? WHERE id = ?",
        (made.key.id, end_ns, now_ns if overlap_s <= 0 else None, public),
    )
    _audit(connection, "keys.rotate", by, now_ns, before=old, after=made.key)
    return made


def revoke(connection: Connection, public: str, by: By, *, now_ns: int) -> Key:
    """End a key now.

    Raises:
        KeyRefused: there is no such key, or it has ended.
    """
    old = _living(connection, public, now_ns)
    connection.execute("UPDATE keys SET revoked_ns = ? WHERE id = ?", (now_ns, public))
    new = get(connection, public)
    assert new is not None
    _audit(connection, "keys.revoke", by, now_ns, before=old, after=new)
    return new


def first(
    connection: Connection, peppers: Peppers, text: KeyText, scopes: Sequence[str], *, now_ns: int
) -> bool:
    """Store the key of the first start; False where there is, or was, any other."""
    if connection.execute("SELECT 1 FROM keys LIMIT 1").fetchone():
        return False
    expires_ns = now_ns + BOOT_LIFE_NS
    parts = ("first start", tuple(scopes), (), KeyLimits())
    made = _insert(connection, peppers, "boot", parts, now_ns=now_ns, expires_ns=expires_ns, text=text)
    _audit(connection, "keys.create", By("tickerd", "first start"), now_ns, after=made.key)
    return True


def touch(connection: Connection, used: Mapping[str, int]) -> None:
    """Note when keys were last used, by their public ids."""
    connection.executemany(
        "UPDATE keys SET last_used_ns = max(coalesce(last_used_ns, 0), ?) WHERE id = ?",
        [(when_ns, public) for public, when_ns in used.items()],
    )


_Parts = tuple[str, tuple[str, ...], tuple[str, ...], KeyLimits]


def _parts(new: NewKey) -> _Parts:
    return new.label, tuple(dict.fromkeys(new.scopes)), tuple(dict.fromkeys(new.networks)), new.limits


def _insert(
    connection: Connection,
    peppers: Peppers,
    kind: KeyKind,
    parts: _Parts,
    *,
    now_ns: int,
    expires_ns: int | None,
    text: KeyText | None = None,
) -> Made:
    _make_room(connection, now_ns)
    text = text or new_key(kind)
    label, scopes, networks, limits = parts
    connection.execute(
        f"INSERT INTO keys ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL)",  # noqa: S608
        (
            text.id,
            kind,
            peppers.digest(text.text),
            peppers.newest,
            label,
            _json(scopes),
            _json(networks),
            _json(limits.model_dump(mode="json")),
            now_ns,
            expires_ns,
        ),
    )
    made = get(connection, text.id)
    assert made is not None
    return Made(made, text)


def _make_room(connection: Connection, now_ns: int) -> None:
    gone = "DELETE FROM keys WHERE coalesce(revoked_ns, expires_ns) < ?"
    connection.execute(gone, (now_ns - KEEP_ENDED_NS,))
    (number,) = connection.execute("SELECT count(*) FROM keys").fetchone()
    if number >= MOST:
        raise KeyRefused("full", f"there are {number} keys already; revoke those that nobody uses")


def _living(connection: Connection, public: str, now_ns: int) -> Key:
    found = get(connection, public)
    if found is None:
        raise KeyRefused("unknown", f"there is no key {public!r}")
    if (status := found.status(now_ns)) in ("expired", "revoked"):
        raise KeyRefused("ended", f"key {public} is {status} already")
    return found


def _audit(
    connection: Connection, what: str, by: By, now_ns: int, *, before: Key | None = None, after: Key
) -> None:
    audit.append(
        connection,
        audit.Change(
            when_ns=now_ns,
            who=by.who,
            what=what,
            origin=by.origin,
            before=before and before.shown(now_ns),
            after=after.shown(now_ns),
        ),
    )


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


_limits = TypeAdapter(KeyLimits)
_decode: Callable[[str], Any] = msgspec.json.decode


def _key(row: tuple[Any, ...]) -> Key:
    public, kind, digest, pepper, label, scopes, networks, limits, *times, successor = row
    created_ns, expires_ns, revoked_ns, last_used_ns = times
    return Key(
        id=public,
        kind=kind,
        digest=digest,
        pepper=pepper,
        label=label,
        scopes=tuple(_decode(scopes)),
        networks=tuple(map(ip_network, _decode(networks))),
        limits=_limits.validate_python(_decode(limits)),
        created_ns=created_ns,
        expires_ns=expires_ns,
        revoked_ns=revoked_ns,
        last_used_ns=last_used_ns,
        successor=successor,
    )
