"""Where `tickerd dlq` finds dead letters: the running daemon, or the state directory itself."""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from tickerd.cli.client import ApiError, Client, segment
from tickerd.cli.place import now_ns, plain_errors

if TYPE_CHECKING:
    from tickerd.state.audit import Change
    from tickerd.state.deadletters import KeptLetter, Line, Totals

Ranges = Sequence[tuple[int, int]]
"""Ids, both ends included; None stands for all."""
MOST_RANGES = 1000


class Marked(NamedTuple):
    """What came of a redrive."""

    marked: int
    waiting: int


class Letterbox(ABC):
    """Either of the two. Every method may raise ``click.ClickException``."""

    @abstractmethod
    def totals(self) -> "Sequence[Totals]":
        """Of every sink that has or had some."""

    @abstractmethod
    def page(self, sink: str, after: int, limit: int) -> "Sequence[Line]":
        """Some of a sink's, the oldest first."""

    @abstractmethod
    def whole(self, sink: str, number: int) -> Mapping[str, Any] | None:
        """One, as the control API shows it; None where there is none."""

    @abstractmethod
    def redrive(self, sink: str, ranges: Ranges | None) -> Marked:
        """Have them offered again."""

    @abstractmethod
    def newest(self, sink: str) -> int:
        """The id of the last one, or 0."""

    @abstractmethod
    def count(self, sink: str, ranges: Ranges) -> int | None:
        """How many there are of these; None where it takes too long to find out."""

    @abstractmethod
    def drop(self, sink: str, ranges: Ranges) -> int:
        """Delete them."""


def letterbox(place: Client | Path) -> Letterbox:
    """That of a daemon or of a state directory."""
    return DaemonLetters(place) if isinstance(place, Client) else StoredLetters(place)


class DaemonLetters(Letterbox):
    """Those of a running daemon, over its control API."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def totals(self) -> "Sequence[Totals]":
        """See `Letterbox`."""
        from tickerd.state.deadletters import Totals

        return [
            Totals(**{name: one[name] for name in Totals._fields})
            for one in self._client.every("/v1/dead-letters")
        ]

    def page(self, sink: str, after: int, limit: int) -> "Sequence[Line]":
        """See `Letterbox`."""
        from tickerd.state.deadletters import Line

        found = self._client.every(_path(sink), after=after or None, most=limit)
        return [Line(epoch=one["position"][0], seq=one.pop("position")[1], **one) for one in found]

    def whole(self, sink: str, number: int) -> Mapping[str, Any] | None:
        """See `Letterbox`."""
        try:
            letter: Mapping[str, Any] = self._client.get(f"{_path(sink)}/{number}")
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        return letter

    def redrive(self, sink: str, ranges: Ranges | None) -> Marked:
        """See `Letterbox`."""
        answer = self._client.post(f"{_path(sink)}/redrive", _body(ranges))
        return Marked(answer["marked"], answer["waiting"])

    def newest(self, sink: str) -> int:
        """See `Letterbox`."""
        return next(
            (one["newest"] for one in self._client.every("/v1/dead-letters") if one["sink"] == sink), 0
        )

    def count(self, sink: str, ranges: Ranges) -> int | None:
        """See `Letterbox`. The API tells only how many there are in all."""
        if len(ranges) == 1 and ranges[0] == (1, self.newest(sink)):
            return next(one.letters for one in self.totals() if one.sink == sink)
        return None

    def drop(self, sink: str, ranges: Ranges) -> int:
        """See `Letterbox`."""
        dropped: int = self._client.post(f"{_path(sink)}/drop", _body(ranges))["dropped"]
        return dropped


class StoredLetters(Letterbox):
    """Those of a state directory; a daemon that runs on it notices within seconds."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def totals(self) -> "Sequence[Totals]":
        """See `Letterbox`."""
        from tickerd.state import deadletters, tools

        with plain_errors(), tools.reading(self._directory) as connection:
            return deadletters.totals(connection)

    def page(self, sink: str, after: int, limit: int) -> "Sequence[Line]":
        """See `Letterbox`."""
        from tickerd.state import deadletters, tools

        with plain_errors(), tools.reading(self._directory) as connection:
            return deadletters.page(connection, sink, after=after, limit=limit)

    def whole(self, sink: str, number: int) -> Mapping[str, Any] | None:
        """See `Letterbox`."""
        from tickerd.state import deadletters, tools

        with plain_errors(), tools.reading(self._directory) as connection:
            found = deadletters.get(connection, sink, number)
        return None if found is None else _data(found)

    def redrive(self, sink: str, ranges: Ranges | None) -> Marked:
        """See `Letterbox`."""
        from tickerd.state import audit, deadletters, tools

        when = now_ns()
        with plain_errors(), tools.writing(self._directory) as connection:
            marked = deadletters.request_redrive(connection, sink, ranges, now_ns=when)
            waiting = sum(one.redrives for one in deadletters.totals(connection) if one.sink == sink)
            if marked:
                audit.append(connection, _change("dlq.redrive", sink, ranges, marked, when))
        _require(marked, f"{sink!r} has no such dead letter that is not waiting already")
        return Marked(marked, waiting)

    def newest(self, sink: str) -> int:
        """See `Letterbox`."""
        from tickerd.state import deadletters, tools

        with plain_errors(), tools.reading(self._directory) as connection:
            return deadletters.newest(connection, sink)

    def count(self, sink: str, ranges: Ranges) -> int | None:
        """See `Letterbox`."""
        from tickerd.state import deadletters, tools

        with plain_errors(), tools.reading(self._directory) as connection:
            return deadletters.count(connection, sink, ranges)

    def drop(self, sink: str, ranges: Ranges) -> int:
        """See `Letterbox`."""
        from tickerd.state import audit, deadletters, tools

        when = now_ns()
        with plain_errors(), tools.writing(self._directory) as connection:
            dropped = deadletters.drop(connection, sink, ranges)
            if dropped:
                audit.append(connection, _change("dlq.drop", sink, ranges, dropped, when))
        _require(dropped, f"{sink!r} has no such dead letter")
        return dropped


def _path(sink: str) -> str:
    return f"/v1/dead-letters/{segment(sink)}"


def _body(ranges: Ranges | None) -> dict[str, Any]:
    if ranges is None:
        return {"all": True}
    if len(ranges) > MOST_RANGES:
        raise click.UsageError(f"name {MOST_RANGES} ranges at a time, at most")
    return {"letters": [{"first": first, "last": last} for first, last in ranges]}


def _data(letter: "KeptLetter") -> dict[str, Any]:
    import msgspec

    from tickerd.control.payload import decoded
    from tickerd.state.deadletters import OVERHEAD

    plain = msgspec.to_builtins(letter, builtin_types=(bytes,))
    payload = letter.payload
    for name in ("payload", "payload_form", "response"):
        del plain[name]
    return {"id": plain.pop("id"), **plain} | {
        "symbol": letter.instrument and letter.instrument.symbol,
        "size": len(payload or b"") + len(letter.response) + OVERHEAD,
        "response": letter.response.decode("utf-8", "backslashreplace"),
        "payload": decoded(payload, letter.payload_form),
    }


def _change(what: str, sink: str, ranges: Ranges | None, letters: int, when: int) -> "Change":
    from tickerd.state.audit import Change

    after = {"sink": sink, "ids": ranges or "all", "letters": letters}
    return Change(when_ns=when, who=f"uid {os.getuid()}", what=what, origin="cli", after=after)


def _require(number: int, text: str) -> None:
    if not number:
        raise click.ClickException(f"{text}; list them with tickerd dlq ls")
