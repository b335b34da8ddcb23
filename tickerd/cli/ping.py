"""A ping to one sink from a configuration alone, without a daemon."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import trio

from tickerd.cli.load import load_or_exit
from tickerd.observe import logging
from tickerd.plugin import Clock, Ping, Pinged, Sink
from tickerd.runtime.playback import PlaybackContext

if TYPE_CHECKING:
    from tickerd.config import SinkSettings

WITHIN_S = 60.0


def ping(name: str, file: Path) -> dict[str, Any]:
    """What came back, as the control API would tell it, and the first bytes of the answer.

    Raises:
        click.BadParameter: there is no such sink, or it is of a kind that has no ping.
    """
    compiled, _ = load_or_exit(file)
    settings = compiled.settings.sinks.get(name)
    if settings is None:
        known = ", ".join(sorted(compiled.settings.sinks)) or "none"
        raise click.BadParameter(f"there is no sink {name!r} in the file; it has: {known}", param_hint="NAME")
    with logging.configure(level="warning", stream=sys.stderr, secrets=compiled.secret_texts) as handle:
        pinged = trio.run(_sent, settings, compiled.settings.state.dir, handle.redactor.add)
    if pinged is None:
        raise click.BadParameter(f"{name!r} is no sink that can be tried out like this", param_hint="NAME")
    return {
        "ok": pinged.ok,
        "status": pinged.status,
        "detail": pinged.detail,
        "took_s": pinged.took_s,
        "answer": pinged.answer.decode("utf-8", "backslashreplace"),
    }


async def _sent(settings: "SinkSettings", state: Path, hide: Callable[[str], None]) -> Pinged | None:
    """None when the sink has no such thing."""
    if not issubclass(settings.type, Sink):
        return None
    sink = settings.type(settings.options, PlaybackContext(settings.name, state, Clock(), hide))
    if not isinstance(sink, Ping):
        return None
    with trio.fail_after(WITHIN_S):
        async with sink:
            return await sink.ping()
