"""Who may come in: the key ring and the authenticators, for the control API and for sinks that serve."""

from pathlib import Path
from typing import NamedTuple

import structlog
import trio

from tickerd.config.settings import Settings
from tickerd.control.access import Access
from tickerd.plugin import Clock, ServingSink
from tickerd.runtime.registry import Registry
from tickerd.state import Database
from tickerd.state.keyring import Keyring


def is_needed(settings: Settings) -> bool:
    """Whether anything of this configuration serves anybody."""
    return settings.control is not None or any(
        issubclass(sink.type, ServingSink) for sink in settings.sinks.values()
    )


class Admission(NamedTuple):
    """Who may come in."""

    access: Access
    keys: Keyring


async def open_access(
    nursery: trio.Nursery, settings: Settings, registry: Registry, db: Database, clock: Clock, state: Path
) -> Admission:
    """Who may do what; the key ring runs in the nursery."""
    ring = Keyring(db, clock, state)
    await nursery.start(ring.run)
    if any(auth.use == "api_key" for auth in settings.auth.values()):
        path = await ring.bootstrap()
        if path is not None:
            structlog.get_logger().warning(
                "first key made: take it from the file, then delete the file", file=str(path)
            )
    access = Access(clock, ring, registry.authenticator("unix_peer"))
    access.configure(settings.auth, settings.rate_limits)
    return Admission(access, ring)
