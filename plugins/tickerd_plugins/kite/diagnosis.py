"""Why the broker refuses a token: what the WebSocket's one status does not say, a REST call does."""

import trio

from tickerd.plugin import SourceContext
from tickerd_plugins.kite import expiry
from tickerd_plugins.kite.broker import Broker
from tickerd_plugins.kite.credentials import Credentials
from tickerd_plugins.kite.outage import Outage

ASK_AGAIN = 5.0


class Diagnosis:
    """Asks the broker once for each refusal, and says in words what it comes to."""

    def __init__(self, broker: Broker, credentials: Credentials, ctx: SourceContext) -> None:
        self._broker = broker
        self._credentials = credentials
        self._ctx = ctx
        self.problem = ""
        """What is wrong with a new token that is not used, while the one before still works."""

    async def explain(self, outage: Outage, token: str) -> Outage:
        """The same refusal of an upgrade, in better words where they can be had."""
        verdict = await self._broker.verdict(token)
        self._ctx.count(f"refused_{verdict}")
        if verdict == "unknown":
            return outage
        words = self._no_plan() if verdict == "good" else self._dead(token)
        return Outage(outage.reason, words, outage.retry_after)

    def _no_plan(self) -> str:
        return (
            "the broker takes the login but refuses market data (HTTP 403): the app's plan has none, as the free "
            "Personal plan; choose the Connect plan at developers.kite.trade"
        )

    def _dead(self, token: str) -> str:
        known, step = self._credentials.latest, self._credentials.next_step
        ends = known.expires_ns if known is not None and known.text == token else None
        if ends is not None and ends <= self._ctx.clock.now_ns():
            return f"the access token has ended at {expiry.in_india(ends)} (HTTP 403): {step}"
        if self._credentials.was_accepted(token) or self._is_login(token):
            return (
                "the access token was ended before its time (HTTP 403), by a logout or by a login elsewhere, such "
                f"as in Kite web or another program of the same app: {step}; then Kite web, not before"
            )
        return (
            "the broker does not know this access token (HTTP 403): it has ended, is wrong, or belongs to "
            f"another app: {step}"
        )

    def _is_login(self, token: str) -> bool:
        """Whether it came from the broker's own mouth, in a login."""
        known = self._credentials.latest
        return known is not None and known.text == token and known.origin == "login"

    async def is_usable(self, token: str) -> bool:
        """Whether connections that work may be made anew with this token; asks until the broker can tell."""
        self.problem = ""
        while not self._is_login(token):
            verdict = await self._broker.verdict(token)
            if verdict == "dead":
                self.problem = "the broker does not know the new access token; the one before stays in use"
            if verdict != "unknown":
                return verdict == "good"
            await trio.sleep(ASK_AGAIN)
        return True
