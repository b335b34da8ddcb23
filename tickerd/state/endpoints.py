"""Webhooks that were registered at run time: where they lead, what they get, and the secrets that sign for them.

Functions of a connection, to be run by `Database.run_synced` or inside `tools.writing`. A secret that signs cannot be
kept as a digest; what keeps it is the mode of the state file, which only its owner may read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from sqlite3 import Connection
from typing import Any

import msgspec


@dataclass(frozen=True)
class OldSecret:
    """A secret that was replaced. It does not print."""

    secret: str = field(repr=False)
    until_ns: int
    """When it stops to sign, in nanoseconds since 1970 UTC."""


@dataclass(frozen=True, kw_only=True)
class Registration:
    """One endpoint. What is secret of it does not print."""

    name: str
    url: str = field(repr=False)
    options: Mapping[str, Any]
    """Everything else of its section, as JSON can say it."""
    secret: str = field(repr=False)
    """``whsec_…``."""
    old_secrets: tuple[OldSecret, ...] = ()
    """The newest first."""
    created_ns: int
    created_by: str

    def live(self, now_ns: int) -> tuple[OldSecret, ...]:
        """Those of the replaced ones that still sign."""
        return tuple(old for old in self.old_secrets if now_ns < old.until_ns)


def put(connection: Connection, one: Registration) -> None:
    """Add it, or put it in the place of the one that had its name."""
    connection.execute(
        "INSERT OR REPLACE INTO endpoints (name, url, options, secret, old_secrets, created_ns, created_by) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            one.name,
            one.url,
            msgspec.json.encode(one.options).decode(),
            one.secret,
            msgspec.json.encode(one.old_secrets).decode(),
            one.created_ns,
            one.created_by,
        ),
    )


def every(connection: Connection) -> Sequence[Registration]:
    """All of them, by name."""
    found = connection.execute(
        "SELECT name, url, options, secret, old_secrets, created_ns, created_by FROM endpoints ORDER BY name"
    )
    return [
        Registration(
            name=name,
            url=url,
            options=msgspec.json.decode(options),
            secret=secret,
            old_secrets=msgspec.json.decode(old_secrets, type=tuple[OldSecret, ...]),
            created_ns=created_ns,
            created_by=created_by,
        )
        for name, url, options, secret, old_secrets, created_ns, created_by in found
    ]


def remove(connection: Connection, name: str) -> bool:
    """Forget one; whether there was one."""
    return connection.execute("DELETE FROM endpoints WHERE name = ?", (name,)).rowcount > 0
