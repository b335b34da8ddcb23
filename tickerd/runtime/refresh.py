"""Has sources get their instrument dump again: when the API asks, or a file in the state directory does."""

from collections.abc import Callable, Iterable
from pathlib import Path

import structlog
import trio

from tickerd.plugin.refreshing import Refreshing
from tickerd.runtime.units import SourceUnit

FILE = "refresh-instruments"
"""In the state directory; holds the name of a source, or nothing for all. Removed when it is taken up."""
LOOK_EVERY_S = 2.0
_LONGEST = 200


class NoSuchSource(LookupError):
    """No source that runs has a dump, or none of that name; the text says which there are."""


def refresh(sources: Iterable[SourceUnit], name: str | None) -> tuple[str, ...]:
    """Ask one source, or all; the names of those that were asked.

    Raises:
        NoSuchSource: see there.
    """
    running: dict[str, object] = {unit.settings.name: unit.plugin for unit in sources}
    able = {one: plugin for one, plugin in running.items() if isinstance(plugin, Refreshing)}
    chosen = able if name is None else {name: able[name]} if name in able else {}
    if not chosen:
        names = ", ".join(able) or "none"
        what = "no source" if name is None else f"no source {name[:_LONGEST]!r}"
        raise NoSuchSource(f"{what} that runs and has an instrument dump; there is {names}")
    for plugin in chosen.values():
        plugin.refresh_instruments()
    return tuple(chosen)


async def follow_requests(directory: Path, sources: Callable[[], Iterable[SourceUnit]]) -> None:
    """Do what is asked for by file, for who has no control API; until cancelled."""
    file = directory / FILE
    log = structlog.get_logger()
    while True:
        await trio.sleep(LOOK_EVERY_S)
        try:
            name = await trio.to_thread.run_sync(_taken, file)
            if name is not None:
                log.info("instruments are refreshed", sources=refresh(sources(), name or None))
        except NoSuchSource as error:
            log.warning("instruments cannot be refreshed", reason=str(error))
        except OSError as error:
            log.warning("cannot read the request for instruments", file=str(file), error=str(error))
            await trio.sleep(10 * LOOK_EVERY_S)


def _taken(file: Path) -> str | None:
    """What the file asks for, and the file is gone; None when there is none."""
    try:
        with file.open("rb") as request:
            text = request.read(_LONGEST)
    except FileNotFoundError:
        return None
    file.unlink()
    return text.decode("utf-8", "replace").strip()
