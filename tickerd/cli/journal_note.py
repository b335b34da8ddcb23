"""What `tickerd check` says of the journal: how many hours fit, or what is impossible without it."""

from pathlib import Path

from tickerd.config import Settings

OFF = "journal: off, so no sink resumes after an outage, and replay, verify and tap have nothing to read"


def note(settings: Settings) -> str:
    """One sentence. Looks at the file system of the state directory, or of the part of its path that exists."""
    if settings.journal is None:
        return OFF
    from tickerd.journal.capacity import hours_that_fit
    from tickerd.journal.files import Files
    from tickerd.runtime.recorder import rules

    wanted = sum(len(entry.keys) for source in settings.sources.values() for entry in source.subscribe)
    rate = max(1, wanted)
    try:
        room = Files().room(_existing(settings.state.dir))
    except OSError as error:
        return f"journal: the disk of {settings.state.dir} cannot be looked at: {error.strerror}"
    hours = hours_that_fit(rules(settings.journal), room, rate)
    lasts = f"{hours:,.0f} hours" if hours < 24 * 365 * 10 else "more than ten years"
    return f"journal: {lasts} fit, before compression, at {rate:,} full ticks/s (one a second for each instrument)"


def _existing(path: Path) -> Path:
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
