"""The webhook sink's options."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, model_validator
from pydantic_core import PydanticCustomError

from tickerd.plugin import Duration, Options, Secret, option
from tickerd.wire.standard_webhooks import key_of
from tickerd_plugins.webhook.outbound import AllowPrivate, BadUrl, Policy, Port, Target
from tickerd_plugins.webhook.outbound.headers import trouble
from tickerd_plugins.webhook.signing import Key, Signer
from tickerd_plugins.webhook.when import BadCondition, Condition, parse

MOST_SECRETS = 3
MOST_HEADERS = 20
SHORTEST_INTERVAL_S = 0.1
ROWS = 500
"""In one batch of ticks."""


def _key(value: Secret) -> Secret:
    try:
        key_of(value.get_secret_value())
    except ValueError as error:
        text = f"{error}; `tickerd webhooks secret` makes one"
        raise PydanticCustomError("secret", "{why}", {"why": text}) from None
    return value


def _condition(value: str) -> str:
    try:
        parse(value)
    except BadCondition as error:
        raise PydanticCustomError("when", "{why}", {"why": str(error)}) from None
    return value


def _header(name: str) -> str:
    lower = name.lower()
    if lower != "authorization" and not lower.startswith("x-"):
        raise PydanticCustomError("header", "only 'authorization' and names that begin with 'x-' can be set")
    if why := trouble(name, ""):
        raise PydanticCustomError("header", "{why}", {"why": why})
    return lower


def _header_value(value: Secret) -> Secret:
    if why := trouble("x", value.get_secret_value()):
        raise PydanticCustomError("header", "{why}", {"why": why.replace(" of header 'x'", "")})
    return value


def _not_each(value: float) -> float:
    if value < SHORTEST_INTERVAL_S:
        raise PydanticCustomError(
            "interval", "a POST for each tick is refused: the shortest interval is 100ms"
        )
    return value


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


SigningSecret = Annotated[Secret, AfterValidator(_key)]
Conditions = Annotated[tuple[Annotated[str, AfterValidator(_condition)], ...], BeforeValidator(_several)]


class OldSecret(Options):
    """A secret that has been replaced, and that signs a while longer."""

    secret: SigningSecret = option(doc="The secret that was replaced, `whsec_…`.")
    until: AwareDatetime = option(
        doc="When it stops to sign, with its time zone, as `2026-07-02T09:00:00+05:30`; a day after it was replaced."
    )


class WebhookOptions(Options):
    """Where to post, what, and signed by what."""

    url: Secret = option(
        doc="Address of the endpoint, `https://…`; kept out of logs, for it may hold a token."
    )
    secret: SigningSecret = option(
        doc="Signs each delivery: `whsec_` and base64. `tickerd webhooks secret` makes one."
    )
    old_secrets: tuple[OldSecret, ...] = option(
        (),
        doc="Secrets that were replaced and sign beside the new one for a while.",
        max_length=MOST_SECRETS - 1,
    )
    class_: Literal["event", "ticks"] = option(
        "event",
        alias="class",
        doc="`event`: what happens, durable, tried for 28 hours. `ticks`: the newest ticks, in batches; short-lived.",
    )
    when: Conditions = option(
        (),
        doc="Sends `alert.fired` when a tick of the sink's `instruments` meets this: `FIELD OP NUMBER [and …]`, "
        "OP one of > >= < <= == != crosses. One condition or a list.",
        max_length=20,
    )
    interval: Annotated[Duration, AfterValidator(_not_each)] = option(
        "1s",
        doc="Class `ticks`: time between two batches, in which each instrument has its newest tick.",
        le=60,
    )
    max_rows: int = option(ROWS, doc="Class `ticks`: most ticks in one request.", ge=2, le=5000)
    ordered: bool = option(
        False, doc="Class `event`: each waits for the one before it, for `retry.hold` at most."
    )
    in_flight: int = option(4, doc="Class `event`: requests at the same time, unless `ordered`.", ge=1, le=16)
    headers: dict[
        Annotated[str, AfterValidator(_header)], Annotated[Secret, AfterValidator(_header_value)]
    ] = option(
        {}, doc="Further headers: `authorization`, or any that begins with `x-`.", max_length=MOST_HEADERS
    )
    allow_private: tuple[AllowPrivate, ...] = option(
        (),
        doc="Exceptions from the rule that endpoints are public: networks, or servers in them.",
        max_length=100,
    )
    ports: tuple[Port, ...] = option(
        (), doc="Ports that may be posted to beside 443 and 8443.", max_length=100
    )

    @model_validator(mode="after")
    def _may_be_posted_to(self) -> Self:
        try:
            self.target()
        except BadUrl as error:
            raise PydanticCustomError("url", "url: {why}", {"why": error.detail}) from None
        return self

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.class_ == "ticks" and self.when:
            raise PydanticCustomError("when", "'when' is of class 'event': an alert is an event")
        return self

    def policy(self) -> Policy:
        """What may be posted to."""
        return Policy(ports=self.ports, allow=self.allow_private)

    def target(self) -> Target:
        """What the URL names.

        Raises:
            BadUrl: it may not be posted to.
        """
        return self.policy().parse(self.url.get_secret_value())

    def signer(self) -> Signer:
        """What signs deliveries."""
        old = [
            Key(key_of(one.secret.get_secret_value()), round(one.until.timestamp() * 1e9))
            for one in self.old_secrets
        ]
        return Signer([Key(key_of(self.secret.get_secret_value())), *old])

    def conditions(self) -> tuple[Condition, ...]:
        """The conditions, parsed."""
        return tuple(map(parse, self.when))
