"""Webhooks that the control API registers, changes and removes: implements `tickerd.control.steering.Webhooks`."""

import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from sqlite3 import Connection
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import structlog
import trio
from pydantic import SecretStr

from tickerd.config import ConfigError, SinkSettings
from tickerd.control.steering import NewWebhook, Refused, WebhookMade, WebhookShown, WebhookTested
from tickerd.daemon.entitlement import ADMIN, checked, told
from tickerd.daemon.feed import Feed
from tickerd.daemon.registered import WEBHOOK, Sinks, secret_texts
from tickerd.plugin import Ping, Pinged, Principal
from tickerd.runtime.units import SinkUnit
from tickerd.state import StateError, audit, cursors, deadletters, endpoints, outbox
from tickerd.state.endpoints import OldSecret, Registration
from tickerd.state.keys import By
from tickerd.wire.standard_webhooks import KEY_BYTES, secret_of

MOST = 100
"""That are registered at the same time."""
MOST_SECRETS = 3
"""That sign for one of them at the same time."""
LONGEST_S = 60.0
"""One change, with a unit that comes up or goes."""
EVEN_S = 16.0
"""When those who may not know why hear that there was no answer: longer than a ping takes by itself."""
_NAMED = 100
"""Instruments that one line of the audit trail names."""


class _Replaced(Protocol):
    until: datetime


class _Address(Protocol):
    """What is read of the plugin's options."""

    url: SecretStr
    old_secrets: Sequence[_Replaced]


class Endpoints:
    """One change at a time; each is in force and in the state file, or neither.

    Args:
        feed: what is changed.
    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._turn = trio.Lock()
        self._log = structlog.get_logger()

    # -- seeing ----------------------------------------------------------------------------------------

    def every(self) -> Sequence[WebhookShown]:
        """See `tickerd.control.steering.Webhooks`."""
        sinks = self._feed.fleet.settings.sinks
        return [self._shown(sink) for _, sink in sorted(sinks.items()) if sink.use == WEBHOOK]

    def _shown(self, sink: SinkSettings) -> WebhookShown:
        unit = self._feed.fleet.unit(f"sink.{sink.name}")
        mine = self._registration(sink.name)
        breaker = unit.guard.breaker if isinstance(unit, SinkUnit) else None
        state, detail = _standing(unit)
        options = cast("_Address", sink.options)
        return WebhookShown(
            name=sink.name,
            origin=_origin(options.url.get_secret_value()),
            registered="yaml" if mine is None else "runtime",
            state=state,
            detail=detail,
            events=tuple(sink.events),
            instruments=None if sink.instruments is None else tuple(map(str, sink.instruments)),
            breaker=None if breaker is None else breaker.state,
            secrets=1 + sum(_ns(old.until) > self._now_ns() for old in options.old_secrets),
            dead_letters=self._feed.dead_letters.get(sink.name, 0),
            created_ns=None if mine is None else mine.created_ns,
            created_by=None if mine is None else mine.created_by,
        )

    def _registration(self, name: str) -> Registration | None:
        """What is registered under this name and runs; a name that the file has is the file's."""
        registered = self._feed.registered
        is_mine = name in registered.sinks and name not in self._feed.written.settings.sinks
        return registered.kept.get(name) if is_mine else None

    # -- changing --------------------------------------------------------------------------------------

    async def register(self, new: NewWebhook, by: By, *, caller: Principal) -> WebhookMade:
        """See `tickerd.control.steering.Webhooks`."""
        await self._feed.started.wait()  # which names are taken is not known before
        one = Registration(
            name=new.name,
            url=new.url,
            options=checked(new, caller, self._feed.house.table),
            secret=_new_secret(),
            created_ns=self._now_ns(),
            created_by=by.who,
        )
        async with self._turn:
            self._look_for_room(new.name)
            sink = await self._compiled(one, caller)
            await self._feed.house.db.run_synced(_make_way, new.name)
            await self._replace(one, sink, by, "webhooks.register")
        return self._made(one)

    async def rotate_secret(self, name: str, by: By, *, overlap_s: float) -> WebhookMade:
        """See `tickerd.control.steering.Webhooks`."""
        async with self._turn:
            before = self._mine(name)
            now = self._now_ns()
            old = before.live(now)
            if overlap_s > 0:
                old = (OldSecret(before.secret, now + round(overlap_s * 1e9)), *old)
            if len(old) >= MOST_SECRETS:
                first = min(each.until_ns for each in old)
                text = f"{name!r} has {MOST_SECRETS} secrets that sign; the next one is over in"
                raise Refused("conflict", f"{text} {(first - now) / 1e9:.0f} s, or rotate without an overlap")
            one = replace(before, secret=_new_secret(), old_secrets=old)
            try:
                sink = await self._feed.registered.compiled(one)
            except ConfigError as error:  # which tells more than every caller may know
                self._log.error("webhook cannot be compiled", webhook=name, reason=str(error))
                text = f"{name!r} does not fit the configuration in force; the log says why"
                raise Refused("invalid", text) from None
            await self._replace(one, sink, by, "webhooks.rotate_secret")
        return self._made(one)

    async def remove(self, name: str, by: By) -> None:
        """See `tickerd.control.steering.Webhooks`."""
        async with self._turn:
            before = self._mine(name)
            sinks = {other: sink for other, sink in self._feed.registered.sinks.items() if other != name}
            with _within_limits():
                change = self._change(by, "webhooks.remove", before, None)
                await self._go_over_to(sinks, lambda: self._feed.house.db.run_synced(_remove, name, change))
                del self._feed.registered.kept[name]

    async def test(self, name: str, by: By, *, caller: Principal) -> WebhookTested:
        """See `tickerd.control.steering.Webhooks`."""
        began = trio.current_time()
        pinged = await self._pinged(name)
        if caller.may(ADMIN):
            tested = WebhookTested(
                ok=pinged.ok, status=pinged.status, detail=pinged.detail, took_s=pinged.took_s
            )
        else:
            took_s = pinged.took_s
            if pinged.status is None:  # neither words nor time tell what this host can reach
                await trio.sleep_until(began + EVEN_S)
                took_s = EVEN_S
            tested = WebhookTested(ok=pinged.ok, status=pinged.status, detail=pinged.public, took_s=took_s)
        after = {"name": name, "ok": pinged.ok, "status": pinged.status}
        change = audit.Change(
            when_ns=self._now_ns(), who=by.who, what="webhooks.test", origin=by.origin, after=after
        )
        try:
            await self._feed.house.db.run(audit.append, change)
        except StateError as error:
            self._log.error("the audit trail cannot be written", what=change.what, reason=str(error))
        return tested

    # -- the parts of it -------------------------------------------------------------------------------

    def _look_for_room(self, name: str) -> None:
        registered = self._feed.registered
        if f"sink.{name}" in {unit.name for unit in self._feed.fleet.units} or name in registered.kept:
            raise Refused("conflict", f"there is a sink {name!r} already; choose another name")
        if len(registered.kept) >= MOST:
            raise Refused("conflict", f"{MOST} webhooks are registered; remove one of them first")

    def _mine(self, name: str) -> Registration:
        """One that can be changed here."""
        found = self._registration(name)
        if found is not None:
            return found
        if name in self._feed.fleet.settings.sinks:
            raise Refused("conflict", f"{name!r} is of the YAML: change it there")
        raise Refused("unknown", f"there is no webhook {name!r}")

    async def _compiled(self, one: Registration, caller: Principal) -> SinkSettings:
        try:
            return await self._feed.registered.compiled(one)
        except ConfigError as error:
            raise Refused("invalid", told(error, one.name, caller)) from None

    async def _replace(self, one: Registration, sink: SinkSettings, by: By, what: str) -> None:
        """Put it in force and into the file, instead of the one that has its name."""
        feed = self._feed
        change = self._change(by, what, feed.registered.kept.get(one.name), one)
        for text in secret_texts(one):
            feed.house.hide(text)
        with _within_limits():
            sinks = {**feed.registered.sinks, one.name: sink}
            await self._go_over_to(sinks, lambda: feed.house.db.run_synced(_put, one, change))
            feed.registered.kept[one.name] = one

    async def _go_over_to(self, sinks: Sinks, write: Callable[[], Awaitable[None]]) -> None:
        """First into force, then into the file: what does not come up leaves no trace in either."""
        before = self._feed.registered.sinks
        verdict = await self._feed.register(sinks)
        if not verdict.applied:
            raise Refused("unavailable", "; ".join(verdict.errors))
        try:
            await write()
        except BaseException:
            with trio.move_on_after(LONGEST_S, shield=True):
                await self._feed.register(before)
            raise

    def _change(
        self, by: By, what: str, before: Registration | None, after: Registration | None
    ) -> audit.Change:
        return audit.Change(
            when_ns=self._now_ns(),
            who=by.who,
            what=what,
            origin=by.origin,
            before=self._trail(before),
            after=self._trail(after),
        )

    def _trail(self, one: Registration | None) -> dict[str, Any] | None:
        """What the trail says of one."""
        if one is None:
            return None
        named = one.options.get("instruments")
        shown = dict(one.options) | ({} if named is None else {"instruments": named[:_NAMED]})
        return {
            "name": one.name,
            "origin": _origin(one.url),
            "options": shown,
            "instruments": None if named is None else len(named),
            "signing": 1 + len(one.live(self._now_ns())),
        }

    def _made(self, one: Registration) -> WebhookMade:
        return WebhookMade(webhook=self._shown(self._feed.fleet.settings.sinks[one.name]), secret=one.secret)

    async def _pinged(self, name: str) -> Pinged:
        unit = self._feed.fleet.unit(f"sink.{name}")
        if unit is None or unit.settings.use != WEBHOOK:
            raise Refused("unknown", f"there is no webhook {name!r}")
        plugin = unit.plugin
        if not isinstance(plugin, Ping):
            raise Refused("conflict", f"webhook {name!r} is {unit.state}: {unit.detail}")
        try:
            return await plugin.ping()
        except Exception as error:
            self._log.error("webhook cannot be tried out", sink=name, reason=type(error).__name__)
            raise Refused("unavailable", f"webhook {name!r} went away meanwhile; try again") from error

    def _now_ns(self) -> int:
        return self._feed.house.clock.now_ns()


@contextmanager
def _within_limits() -> Iterator[None]:
    """Whoever asked may leave: what was begun is finished, or taken back, all the same."""
    try:
        with trio.fail_after(LONGEST_S, shield=True):
            yield
    except trio.TooSlowError:
        raise Refused("unavailable", f"it was not done within {LONGEST_S:g} s") from None


def _make_way(connection: Connection, name: str) -> None:
    """What a former sink of this name left behind is not for whoever comes now.

    Raises:
        Refused: there are dead letters, which a person has to judge.
    """
    if letters := deadletters.count(connection, name):
        text = f"{letters} dead letters of a former sink {name!r} are kept"
        raise Refused("conflict", f"{text}; choose another name, or drop them: tickerd dlq drop {name} --all")
    _forget(connection, name)


def _put(connection: Connection, one: Registration, change: audit.Change) -> None:
    endpoints.put(connection, one)
    audit.append(connection, change)


def _remove(connection: Connection, name: str, change: audit.Change) -> None:
    """With everything that waits for it: it is not sent to another one that is given the name later."""
    endpoints.remove(connection, name)
    given_up = _forget(connection, name) + deadletters.drop(connection, name)
    audit.append(connection, replace(change, after={"name": name, "given_up": given_up}))


def _forget(connection: Connection, name: str) -> int:
    cursors.remove(connection, f"sink.{name}")
    return outbox.forget(connection, name)


def _standing(unit: Any) -> tuple[str, str]:
    if unit is None:
        return "stopped", ""
    if unit.state != "running":
        return unit.state, unit.detail
    if isinstance(unit, SinkUnit) and unit.paused:
        return "paused", ""
    return "running", unit.detail or unit.report.detail


def _origin(url: str) -> str:
    """Scheme, host and port; the rest may hold a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _ns(at: datetime) -> int:
    return round(at.timestamp() * 1e9)


def _new_secret() -> str:
    return secret_of(secrets.token_bytes(KEY_BYTES))
