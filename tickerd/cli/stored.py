"""The instrument tables that sources keep in the state directory: for commands that work without a daemon."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tickerd.config import Settings
    from tickerd.plugin import Listing


def listings(directory: Path) -> "dict[str, Listing]":
    """Source → its table; one that cannot be read is told on standard error and left out."""
    from tickerd.plugin.listing import FILE, Listing

    found: dict[str, Listing] = {}
    for file in sorted(directory.glob(f"source/*/{FILE}")):
        try:
            found[file.parent.name] = Listing.unpack(file.read_bytes())
        except (OSError, ValueError) as error:
            click.echo(f"{file}: {error}", err=True)
    return found


def tables_of(settings: "Settings") -> "Mapping[str, Listing]":
    """The same, of a configuration; nothing where the state directory cannot be looked into."""
    try:
        return listings(settings.state.dir)
    except OSError:
        return {}
