"""What the control API can have changed: the daemon implements it, and the routes see nothing else of it.

Every method that changes something writes its line of the audit trail itself, in the transaction of the change
where that is in the state file, and names the caller by the `By` that it is handed. What was asked for lasts over a
restart. Once called, a method is not cancelled when the caller of the API leaves; it is when its time is up.

Keys, the audit trail, dead letters and tickets are not here: the routes use the keyring and the state file themselves.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from tickerd.config.problem import Problem as ConfigProblem
from tickerd.dataflow.subscription import Filter, Subscription
from tickerd.observe.picture import Shown
from tickerd.plugin import Mode, Principal
from tickerd.runtime.verdict import Verdict
from tickerd.state.keys import By

Code = Literal["unknown", "conflict", "invalid", "unavailable", "refused"]
"""What kind of refusal it is; the API answers 404, 409, 422, 503 and 403."""


class Refused(Exception):
    """What was asked for is not done, and nothing was changed.

    Args:
        code: what kind of refusal.
        text: what is wrong and what to do; lower case, no full stop, no secrets. Callers see it.
    """

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code: Code = code
        self.text = text


# -- the configuration ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Examined:
    """A configuration that was looked at, and what a reload to it would do."""

    problems: tuple[ConfigProblem, ...] = ()
    """Why it cannot be used; empty when it can."""
    warnings: tuple[ConfigProblem, ...] = ()
    plan: Mapping[str, Any] | None = None
    """`tickerd.runtime.plan.Plan.data`; None when it cannot be used. Secrets are hidden."""


@dataclass(frozen=True, kw_only=True)
class Reloaded(Examined):
    """A reload: when ``problems`` is empty, ``verdict`` says what it came to."""

    verdict: Verdict | None = None
    """None for a dry run, and for a file that cannot be used."""
    generation: int = 1
    """Of the configuration in force now."""


# -- subscriptions --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Accepted(Shown):
    """One instrument of a change of subscriptions that was made."""

    instrument: str
    """As it was asked for."""
    source: str | None
    """Which source brings it; null while it waits for the day's instruments, and when it is wanted no more."""
    mode: str | None
    """In which it is wanted in that name; null when it is no more."""
    left_out: int = 0
    """How many of the instruments that a selector means no source has room for."""


@dataclass(frozen=True, kw_only=True)
class Rejected(Shown):
    """One that was not."""

    item: str
    """As it was asked for."""
    code: Literal[
        "unknown_symbol",
        "over_capacity",
        "unknown_source",
        "no_source",
        "no_access",
        "item_limit",
        "not_subscribed",
    ]
    detail: str
    """What is wrong and what to do."""
    suggestion: str | None = None
    """What may have been meant."""


@dataclass(frozen=True, kw_only=True)
class SubscriptionsChanged(Shown):
    """What became of each instrument: some may be accepted while others are not."""

    owner: str
    """In whose name."""
    accepted: tuple[Accepted, ...]
    rejected: tuple[Rejected, ...]


# -- webhooks -------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class NewWebhook:
    """What an endpoint that is registered at run time is made of. Who may reach what is up to the daemon."""

    name: str
    url: str
    events: tuple[str, ...] = ()
    """Kinds of control records; empty is the plugin's default."""
    instruments: tuple[str, ...] | None = None
    """None: all."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further options of the sink, as the YAML would have them; not compiled yet."""


@dataclass(frozen=True, kw_only=True)
class WebhookShown(Shown):
    """One endpoint."""

    name: str
    origin: str
    """Scheme, host and port of its address: the rest may hold a secret."""
    registered: Literal["yaml", "runtime"]
    """Only those that were registered at run time can be changed or removed here."""
    state: str
    """Of its sink: running, waiting, paused, disabled and the like."""
    detail: str = ""
    """Why it is in that state."""
    events: tuple[str, ...] = ()
    """Kinds of what is sent to it."""
    instruments: tuple[str, ...] | None = None
    """Those that it gets ticks of; null for all."""
    breaker: str | None = None
    """closed, open or half_open."""
    secrets: int = 0
    """Secrets that sign at present: two during a rotation."""
    dead_letters: int = 0
    created_ns: int | None = None
    """When it was registered; null for one of the YAML."""
    created_by: str | None = None


@dataclass(frozen=True, kw_only=True)
class WebhookMade(Shown):
    """An endpoint and its new secret, which is shown this once."""

    webhook: WebhookShown
    secret: str
    """``whsec_…``."""


@dataclass(frozen=True, kw_only=True)
class WebhookTested(Shown):
    """What came back for a signed ping."""

    ok: bool
    status: int | None
    """Of HTTP; null when there was no answer."""
    detail: str
    took_s: float


class Webhooks(Protocol):
    """The endpoints, of the YAML and of run time."""

    def every(self) -> Sequence[WebhookShown]:
        """All of them."""
        ...

    async def register(self, new: NewWebhook, by: By, *, caller: Principal) -> WebhookMade:
        """Add one.

        Raises:
            Refused: conflict (the name is taken, or there are too many), invalid (with what is wrong), refused (the
                caller may not see what it would get), unavailable (it does not come up).
        """
        ...

    async def rotate_secret(self, name: str, by: By, *, overlap_s: float) -> WebhookMade:
        """Sign with a new secret at once, and with the old one too until the overlap is over.

        Raises:
            Refused: unknown, conflict (it is of the YAML, or has three secrets).
        """
        ...

    async def test(self, name: str, by: By, *, caller: Principal) -> WebhookTested:
        """Send a signed ping. Only those with ``admin:config`` are told why there was no answer.

        Raises:
            Refused: unknown, conflict (it does not run).
        """
        ...

    async def remove(self, name: str, by: By) -> None:
        """Take one away.

        Raises:
            Refused: unknown, conflict (it is of the YAML).
        """
        ...


# -- all of it ------------------------------------------------------------------------------------------


class Steering(Protocol):
    """Made and run by the daemon. Every method may raise `Refused`."""

    @property
    def webhooks(self) -> Webhooks | None:
        """The endpoints; None where no plugin knows webhooks."""
        ...

    async def validate(self, document: bytes) -> Examined:
        """Check a document that somebody sent, against the configuration in force. Changes nothing.

        References in it are not resolved, and no plugin is imported that the file in force does not name.
        """
        ...

    async def reload(self, by: By, *, dry_run: bool = False) -> Reloaded:
        """Read the file again and go over to it; one at a time, in the order in which they were asked for."""
        ...

    async def subscribe(
        self, owner: str, wants: Mapping[str, Mode], by: By, *, caller: Principal, source: str | None = None
    ) -> SubscriptionsChanged:
        """Want these instruments in somebody's name, beside what he wants already; the newest mode counts.

        Args:
            owner: who wants them.
            wants: ``EXCHANGE:SYMBOL`` or a token as text → mode.
            by: who asks.
            caller: what he may not see is rejected.
            source: which source shall bring them; None: the one that has them already, or the first with room.
        """
        ...

    async def unsubscribe(
        self, owner: str, instruments: Sequence[str] | None, by: By, *, source: str | None = None
    ) -> SubscriptionsChanged:
        """Want them no more in somebody's name, or nothing at all; what others want goes on."""
        ...

    async def pause(self, sink: str, by: By) -> None:
        """Hand a sink nothing until `resume`, also after a restart; what waits is kept as its ``overflow`` says."""
        ...

    async def resume(self, sink: str, by: By) -> None:
        """Go on."""
        ...

    async def flush(self, sink: str, by: By) -> None:
        """Have what waits for a sink handed to it now, and made safe; returns when that is done."""
        ...

    async def reset_breaker(self, sink: str, by: By) -> None:
        """Try a sink again that is held back after too many failures."""
        ...

    async def refresh_instruments(self, source: str | None, by: By) -> tuple[str, ...]:
        """Have one source, or all, download their instrument dump again; the names of those that were asked."""
        ...

    def tap(self, name: str, wanted: Filter, buffer: int) -> AbstractContextManager[Subscription]:
        """A live subscription that drops its oldest batches, counted, when it is not read fast enough."""
        ...
