"""Logins of sources: hands out addresses to log in at, and takes what comes back, from whichever way it comes.

A ``state`` goes with each address. It is good once, for ten minutes, and for that source alone; a callback without
one is refused. What a person pastes needs none: who may paste has shown who he is.
"""

import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import structlog
import trio

from tickerd.plugin import Clock
from tickerd.plugin.login import LoggedIn, Login, LoginRefused
from tickerd.state import Database, StateError, audit, mailbox
from tickerd.state.keys import By

STATE_S = 600.0
MOST_STATES = 20
"""Addresses of one source that wait for somebody; the oldest is forgotten."""
EXCHANGE_S = 25.0
LOOK_S = 0.5
"""Between two looks for questions in the state directory."""
LONGEST = 8192
"""Characters of what somebody pastes."""

Find = Callable[[str], object | None]


class NotOurs(Exception):
    """A callback without a state that we made for this source, or with one that has been used or is too old."""


@dataclass(frozen=True, kw_only=True)
class Begun:
    """An address to log in at."""

    url: str
    until_ns: int
    """How long a callback is waited for."""


def given(text: str) -> Mapping[str, str]:
    """What a person pasted: the whole address he ended up at, its query, or a bare token (then under ``pasted``).

    Raises:
        LoginRefused: it is nothing of that.
    """
    text = text.strip()
    if not text or len(text) > LONGEST:
        raise LoginRefused("paste the address that the browser ended up at")
    try:
        query = urlsplit(text).query if "://" in text or text.startswith("/") else text.lstrip("?")
    except ValueError:
        raise LoginRefused("that is no address: paste the whole one that the browser ended up at") from None
    if "=" not in query.rstrip("="):
        return {"pasted": text}
    return dict(parse_qsl(query))


class SourceLogin:
    """The login of one source. Obtained from `Logins`."""

    def __init__(self, source: str, find: Find, clock: Clock, db: Database | None = None) -> None:
        self.source = source
        self._find = find
        self._clock = clock
        self._db = db
        self._states: dict[bytes, float] = {}
        """Digest of a state → when it ends, on trio's clock; the oldest first."""
        self._log = structlog.get_logger().bind(unit=f"source.{source}")
        self.logins = 0
        """How often somebody has logged in since the start."""
        self.last: LoggedIn | None = None

    @property
    def expires(self) -> int | None:
        """When the login in force ends, nanoseconds since 1970 UTC, as far as it is known."""
        login = self._find(self.source)
        return login.expires if isinstance(login, Login) else None

    def begin(self) -> Begun:
        """A new address.

        Raises:
            LoginRefused: the source does not run.
        """
        login = self._login()
        state = secrets.token_urlsafe(32)
        now = trio.current_time()
        self._forget(now)
        while len(self._states) >= MOST_STATES:
            del self._states[next(iter(self._states))]
        self._states[_digest(state)] = now + STATE_S
        return Begun(url=login.url(state), until_ns=self._clock.now_ns() + round(STATE_S * 1e9))

    async def callback(self, params: Mapping[str, str], origin: str) -> LoggedIn:
        """What the browser of a person who has logged in brings.

        Raises:
            NotOurs: there is no state in it that we wait for.
            LoginRefused: the login did not succeed.
        """
        self._forget(trio.current_time())
        if self._states.pop(_digest(params.get("state", "")), None) is None:
            raise NotOurs(self.source)
        return await self._exchange(params, By("callback", origin))

    async def finish(self, params: Mapping[str, str], by: By) -> LoggedIn:
        """What somebody who may do so has pasted.

        Raises:
            LoginRefused: the login did not succeed.
        """
        self._states.pop(_digest(params.get("state", "")), None)
        return await self._exchange(params, by)

    async def _exchange(self, params: Mapping[str, str], by: By) -> LoggedIn:
        login = self._login()
        rest = {name: value for name, value in params.items() if name != "state"}
        try:
            with trio.fail_after(EXCHANGE_S):
                found = await login.exchange(rest)
        except trio.TooSlowError:
            raise LoginRefused(f"no answer within {EXCHANGE_S:g} s; try again") from None
        except LoginRefused as error:
            self._log.warning("login refused", reason=str(error), by=by.who, origin=by.origin)
            raise
        except Exception as error:  # noqa: BLE001 - foreign code; its text may hold a secret
            self._log.error("login failed", error=type(error).__name__, by=by.who, origin=by.origin)
            raise LoginRefused("the source failed at it; look into the log") from None
        self.logins += 1
        self.last = found
        await self._note(found, by)
        return found

    async def _note(self, found: LoggedIn, by: By) -> None:
        """A line in the audit trail; a state file that cannot be written does not undo a login."""
        after = {"source": self.source, "user": found.user, "expires_ns": found.expires_ns}
        change = audit.Change(
            when_ns=self._clock.now_ns(), who=by.who, what="sources.login", origin=by.origin, after=after
        )
        if self._db is not None:
            try:
                await self._db.run_synced(audit.append, change)
            except StateError as error:
                self._log.warning("login cannot be noted in the audit trail", reason=str(error))

    def _login(self) -> Login:
        login = self._find(self.source)
        if not isinstance(login, Login):
            raise LoginRefused(
                f"the source {self.source!r} does not run now; look at its state and try again"
            )
        return login

    def _forget(self, now: float) -> None:
        for digest in [digest for digest, ends in self._states.items() if ends <= now]:
            del self._states[digest]


class Logins:
    """All of them. Made by the daemon.

    Args:
        find: the running object of a source, None while it does not run.
        can: the names of sources whose type logs in.
        db: for the audit trail.
    """

    def __init__(
        self, find: Find, can: Callable[[], Sequence[str]], clock: Clock, db: Database | None = None
    ) -> None:
        self._find = find
        self._can = can
        self._clock = clock
        self._db = db
        self._logins: dict[str, SourceLogin] = {}
        self._log = structlog.get_logger()

    def of(self, source: str) -> SourceLogin | None:
        """The login of a source; None where there is no such source, or it does not log in."""
        if source not in self._can():
            self._logins.pop(source, None)
            return None
        if source not in self._logins:
            self._logins[source] = SourceLogin(source, self._find, self._clock, self._db)
        return self._logins[source]

    async def answer(self, directory: Path) -> None:
        """Answer the questions of ``tickerd login`` in the state directory until cancelled."""
        is_prepared = False
        while True:
            await trio.sleep(LOOK_S)
            if not self._can():
                continue
            try:
                if not is_prepared:
                    await trio.to_thread.run_sync(mailbox.prepare, directory)
                    is_prepared = True
                await self._look(directory)
            except OSError as error:
                self._log.warning("cannot answer in the state directory", error=str(error))
                is_prepared = False
                await trio.sleep(10 * LOOK_S)

    async def _look(self, directory: Path) -> None:
        waiting = await trio.to_thread.run_sync(mailbox.waiting, directory, self._clock.now_ns())
        for name, question in waiting:
            try:
                answer = await self._answered(question)
            except Exception as error:  # noqa: BLE001 - a source's methods are foreign code
                self._log.error("login failed", source=question.source, exc_info=error)
                answer = mailbox.Answer(error=f"source {question.source!r} failed: {type(error).__name__}")
            await trio.to_thread.run_sync(mailbox.answer, directory, name, answer)

    async def _answered(self, question: mailbox.Question) -> mailbox.Answer:
        login = self.of(question.source)
        if login is None:
            names = ", ".join(sorted(self._can())) or "none"
            return mailbox.Answer(error=f"no source {question.source!r} that logs in; there is {names}")
        try:
            if question.verb == "begin":
                return mailbox.Answer(url=login.begin().url, logins=login.logins)
            if question.verb == "finish":
                found = await login.finish(question.given, By(f"uid {question.uid}", "cli"))
                return mailbox.Answer(user=found.user, expires_ns=found.expires_ns, logins=login.logins)
        except LoginRefused as error:
            return mailbox.Answer(error=str(error), logins=login.logins)
        user = login.last.user if login.last else None
        return mailbox.Answer(user=user, expires_ns=login.expires, logins=login.logins)


def can_log_in(kind: type) -> bool:
    """Whether the type of a source implements `tickerd.plugin.login.Login`."""
    return all(hasattr(kind, name) for name in ("url", "exchange", "expires"))


def _digest(state: str) -> bytes:
    return hashlib.sha256(state.encode("utf-8", "surrogatepass")).digest()
