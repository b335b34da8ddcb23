"""The sink itself: makes messages of records and alerts, or batches of ticks, signs them and posts each once."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import cache
from importlib.metadata import version
from types import TracebackType
from typing import Any, ClassVar, Self

import trio

from tickerd.plugin import (
    Batch,
    Endpoint,
    Message,
    MessageSink,
    Pinged,
    Position,
    Reject,
    Rejected,
    Retry,
    SinkContext,
)
from tickerd_plugins.webhook import common, outcome
from tickerd_plugins.webhook.alerts import Alerts, alert
from tickerd_plugins.webhook.envelope import MAX_BODY, body, kind_of, message_id, tick_bodies
from tickerd_plugins.webhook.options import WebhookOptions
from tickerd_plugins.webhook.outbound import Limits, Poster, Response, Unreachable

PING_WITHIN_S = 15.0
CLOCK_BACK_S = 300.0
"""When the host's clock was set back by more than this, receivers would refuse what is signed with it."""


class WebhookSink(MessageSink):
    """Posts to one endpoint.

    Args:
        poster: makes the client; tests hand in one that reaches what they serve.
    """

    Options = WebhookOptions
    replace: ClassVar = "after"

    def __init__(self, options: WebhookOptions, ctx: SinkContext, poster: Poster | None = None) -> None:
        self._options = options
        self._ctx = ctx
        self._target = options.target()
        self._signer = options.signer()
        self._alerts = Alerts(options.conditions())
        self._headers = [(name, value.get_secret_value()) for name, value in options.headers.items()]
        self._poster = poster or Poster(options.policy(), Limits(total=common.LONGEST_TIMEOUT_S))
        self._stack = AsyncExitStack()
        self._failing = ""
        self.in_flight = options.in_flight
        self.ordered = options.ordered

    @classmethod
    def common(cls, options: WebhookOptions, written: Mapping[str, Any]) -> Mapping[str, Any]:
        """See `tickerd.plugin.Sink.common`."""
        return common.common(options, written)

    @classmethod
    def by_message(cls, options: WebhookOptions) -> bool:
        """See `tickerd.plugin.MessageSink.by_message`."""
        return options.class_ == "event"

    async def __aenter__(self) -> Self:
        """Connect to nothing yet: an endpoint that is away is no reason not to start."""
        await self._stack.enter_async_context(self._poster)
        self._report()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self._stack.aclose()

    # -- class event -----------------------------------------------------------------------------------

    def compose(self, batch: Batch) -> Sequence[Message]:
        """See `tickerd.plugin.MessageSink`."""
        made = [self._alert(tick) for tick in batch.ticks] if self._alerts else []
        made += [self._event(record) for record in batch.records]
        messages = [one for one in made if one is not None]
        return sorted(messages, key=lambda one: one.position)

    def _alert(self, tick: Any) -> Message | None:
        fired = self._alerts.fired(tick)
        if not fired:
            return None
        return self._message("alert.fired", tick.position, tick.ts_recv, alert(tick, fired))

    def _event(self, record: Any) -> Message | None:
        if isinstance(record, Endpoint) and record.source == f"sink.{self._ctx.name}":
            return None  # an endpoint that is failing is not told so
        return self._message(kind_of(record), Position(record.epoch, record.seq), record.ts_recv, record)

    def _message(self, kind: str, position: Position, ts_ns: int, data: Any) -> Message | None:
        text = body(kind, ts_ns, data)
        if len(text) > MAX_BODY:
            self._ctx.count("too_long")
            self._ctx.log.error("event is too long to be sent", kind=kind, bytes=len(text), most=MAX_BODY)
            return None
        # what is told of our own drops stands at the position before them, which may be another record's
        return Message(message_id(self._ctx.name, position, ts_ns, kind.encode()), position, kind, text)

    async def send(self, message: Message, attempt: int) -> None:
        """See `tickerd.plugin.MessageSink`."""
        await self._deliver(message.id, message.body, attempt)

    async def commit(self) -> bytes:
        """What the alerts remember."""
        await trio.lowlevel.checkpoint()
        return self._alerts.kept() if self._alerts else b""

    async def restore(self, position: Position, kept: bytes) -> None:
        """See `tickerd.plugin.Sink`."""
        await trio.lowlevel.checkpoint()
        try:
            if kept:
                self._alerts.restore(kept)
        except ValueError as error:
            self._ctx.count("commits_unreadable")
            self._ctx.log.warning("alerts begin anew", reason=str(error))

    # -- class ticks -----------------------------------------------------------------------------------

    async def write(self, batch: Batch) -> Sequence[Reject]:
        """See `tickerd.plugin.Sink`; with class ``event``, for hosts without an outbox."""
        if self._options.class_ == "event":
            return await super().write(batch)
        for position, ts_ns, text in tick_bodies(batch.ticks, batch.records, self._options.max_rows):
            await self._deliver(message_id(self._ctx.name, position, ts_ns, text), text, 1)
        return ()

    # -- one request -----------------------------------------------------------------------------------

    async def ping(self) -> Pinged:
        """See `tickerd.plugin.Ping`."""
        now = self._wall_ns()
        name = message_id(self._ctx.name, Position(0, 0), now, b"ping")
        text = body("endpoint.ping", now, {"sink": self._ctx.name})
        began = trio.current_time()
        try:
            with trio.fail_after(PING_WITHIN_S):
                response = await self._post(name, text, 1)
        except Unreachable as error:
            return Pinged(False, None, error.detail, error.public_text, trio.current_time() - began)
        except trio.TooSlowError:
            detail = f"no answer within {PING_WITHIN_S:g} s"
            return Pinged(False, None, detail, Unreachable.public_text, trio.current_time() - began)
        failure = outcome.failure(response, now / 1e9)
        detail = "accepted" if failure is None else str(failure)
        return Pinged(failure is None, response.status, detail, detail, response.took_s, response.body)

    async def _deliver(self, name: str, text: bytes, attempt: int) -> None:
        """Post once; raises why it was not delivered."""
        back = -self._ctx.clock.skew_s()
        if back > CLOCK_BACK_S:
            raise Retry(f"the host's clock was set back by {back:.0f} s; nothing is signed with it", weight=0)
        try:
            response = await self._post(name, text, attempt)
        except Unreachable as error:
            self._ctx.count(error.kind)
            self._ctx.log.warning("endpoint not reached", endpoint=self._target.origin, reason=error.detail)
            self._fails(outcome.unreached(error))
        self._ctx.count(f"status_{response.status // 100}xx")
        failure = outcome.failure(response, self._wall_ns() / 1e9)
        if failure is not None:
            self._fails(failure)
        if self._failing:
            self._failing = ""
            self._report()

    def _fails(self, failure: Retry | Rejected) -> Any:
        if self._failing != str(failure):
            self._failing = str(failure)
            self._report()
        raise failure

    async def _post(self, name: str, text: bytes, attempt: int) -> Response:
        signed = self._signer.headers(name, text, self._wall_ns())
        headers = [
            ("content-type", "application/json"),
            ("user-agent", _agent()),
            *signed.items(),
            ("tickerd-attempt", str(attempt)),
            *self._headers,
        ]
        return await self._poster.post(self._target, headers, text)

    def _wall_ns(self) -> int:
        """The host's clock, as receivers compare with theirs; ours does not follow when it is set."""
        return self._ctx.clock.now_ns() + round(self._ctx.clock.skew_s() * 1e9)

    def _report(self) -> None:
        state = "failing" if self._failing else "ready"
        secrets = len(self._signer.live(self._wall_ns()))
        self._ctx.report(state, self._failing, endpoint=self._target.origin, secrets=secrets)


@cache
def _agent() -> str:
    return f"tickerd/{version('tickerd')}"
