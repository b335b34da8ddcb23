"""The source of inbound webhooks: verifies what programs elsewhere post, and publishes each report once."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import msgspec
import trio
from pydantic import model_validator
from pydantic_core import PydanticCustomError

from tickerd.plugin import AnyRecord, Options, Rejected, Report, Retry, Secret, Source, SourceContext, option
from tickerd.wire.standard_webhooks import WINDOW_S
from tickerd_plugins.webhook.profiles import VERIFIERS, Profile, Verified, key
from tickerd_plugins.webhook.seen import Seen

KEEP_S = 86_400.0
"""How long a report is remembered; far longer than its timestamp is good for."""
assert KEEP_S >= 2 * WINDOW_S

_decode = msgspec.json.Decoder().decode
_LONGEST = 200


class InboundOptions(Options):
    """Who may report, and how it proves that it is the one."""

    profile: Profile = option(doc="How the sender signs: `standard-webhooks`, `github` or `stripe`.")
    secrets: tuple[Secret, ...] = option(
        doc="What the sender signs with; several while one is being replaced.", min_length=1, max_length=3
    )

    @model_validator(mode="after")
    def _usable(self) -> Self:
        try:
            self.keys()
        except ValueError as error:
            raise PydanticCustomError("secrets", "secrets: {why}", {"why": str(error)}) from None
        return self

    def keys(self) -> list[bytes]:
        """The secrets as keys."""
        return [key(self.profile, one.get_secret_value()) for one in self.secrets]


class WebhookSource(Source):
    """Implements `tickerd.plugin.Inbound`; brings no ticks of its own."""

    Options = InboundOptions
    replace: ClassVar = "after"
    capacity: ClassVar[int | None] = 0

    def __init__(self, options: InboundOptions) -> None:
        self._verify = VERIFIERS[options.profile]
        self._keys = options.keys()
        self._seen = Seen(KEEP_S)
        self._ctx: SourceContext | None = None

    async def run(
        self, ctx: SourceContext, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Be there: the hooks listener calls `verify`."""
        self._ctx = ctx
        ctx.report("ready", "reports are taken at the hooks listener")
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            self._ctx = None

    async def verify(self, body: bytes, headers: Mapping[str, str]) -> Sequence[AnyRecord]:
        """See `tickerd.plugin.Inbound`."""
        await trio.lowlevel.checkpoint()
        ctx = self._ctx
        if ctx is None:
            raise Retry("not running")
        if not headers.get("content-type", "").lower().startswith("application/json"):
            raise Rejected("the content type is not application/json")
        now_ns = ctx.clock.now_ns() + round(ctx.clock.skew_s() * 1e9)
        found = self._verify(self._keys, body, headers, now_ns / 1e9)
        data = _parsed(body)
        if not self._seen.is_new(found.id, trio.current_time()):
            ctx.count("repeated")
            return ()
        ctx.count("reports")
        return (Report(id=found.id, kind=_kind(found, data), data=data, ts_recv=ctx.clock.now_ns()),)


def _parsed(body: bytes) -> Any:
    try:
        return _decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        raise Rejected("the body is not JSON") from None


def _kind(found: Verified, data: Any) -> str:
    if found.kind is not None:
        return found.kind
    kind = data.get("type") if isinstance(data, dict) else None
    return kind[:_LONGEST] if isinstance(kind, str) else ""
