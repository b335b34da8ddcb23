"""The daily login: where a person goes, what comes back from there, and who he may be."""

import re
from collections.abc import Mapping
from urllib.parse import quote, urlencode

import trio

from tickerd.plugin import LoggedIn, LoginRefused, SourceContext
from tickerd_plugins.kite import expiry, saved
from tickerd_plugins.kite.broker import Broker, Refused
from tickerd_plugins.kite.credentials import Credentials
from tickerd_plugins.kite.options import KiteOptions
from tickerd_plugins.kite.saved import SavedLogin

_TOKEN = re.compile(r"[A-Za-z0-9_.~+/=-]{1,512}")


def login_url(options: KiteOptions, state: str) -> str:
    """Where a person logs in. The state travels in ``redirect_params``, a query inside the query."""
    query = {"v": "3", "api_key": options.api_key, "redirect_params": urlencode({"state": state})}
    return f"{options.login_url}?{urlencode(query, quote_via=quote)}"


class Logins:
    """Exchanges logins, one at a time, and keeps the newest on disk. One run of the source."""

    def __init__(
        self, options: KiteOptions, ctx: SourceContext, credentials: Credentials, broker: Broker
    ) -> None:
        self._options = options
        self._ctx = ctx
        self._credentials = credentials
        self._broker = broker
        self._turn = trio.Lock()
        self._user = options.user_id or ""
        """Who may log in; whoever does so first, where it is empty."""
        self.saved: SavedLogin | None = None

    async def load(self) -> None:
        """Use the login that was saved, if there is one of this app. The configured user decides."""
        try:
            found = await trio.to_thread.run_sync(saved.load, self._ctx.state_dir)
        except (OSError, ValueError) as error:
            self._ctx.log.warning("cannot read the saved login", error=str(error))
            return
        if found is None or found.api_key != self._options.api_key:
            return
        self._user = self._user or found.user_id
        if found.user_id == self._user:
            self.saved = found
            self._credentials.log_in(found)

    async def exchange(self, params: Mapping[str, str]) -> LoggedIn:
        """See `tickerd.plugin.login.Login`."""
        async with self._turn:
            try:
                token, user = await self._token(params)
            except Refused as error:
                raise LoginRefused(str(error)) from None
            self._ctx.hide(token)
            if self._user and user != self._user:
                whose = "the one configured" if self._options.user_id else "who logged in first"
                raise LoginRefused(
                    f"user {user!r} is not {whose} ({self._user!r}); set user_id to the one that may log in"
                )
            return await self._keep(token, user)

    async def _token(self, params: Mapping[str, str]) -> tuple[str, str]:
        if "access_token" in params:
            token = params["access_token"].strip()
            self._ctx.hide(token)
            return token, await self._broker.user_of(_plausible(token, "access_token"))
        if params.get("status", "success") != "success":
            raise LoginRefused("the broker says that the login did not succeed; log in again")
        request_token = _plausible(params.get("request_token") or params.get("pasted", ""), "request_token")
        secret = self._options.api_secret
        if secret is None:
            raise LoginRefused("no api_secret: set it, or hand over an access token that another program got")
        self._ctx.hide(request_token)
        exchanged = await self._broker.exchange(request_token, secret.get_secret_value())
        return exchanged.access_token, exchanged.user_id

    async def _keep(self, token: str, user: str) -> LoggedIn:
        since_ns = self._ctx.clock.now_ns()
        login = SavedLogin(api_key=self._options.api_key, access_token=token, user_id=user, since_ns=since_ns)
        try:
            await trio.to_thread.run_sync(saved.save, self._ctx.state_dir, login)
        except OSError as error:
            self._ctx.count("login_not_saved")
            self._ctx.log.warning("cannot save the login, a restart needs another", error=str(error))
        self._user, self.saved = user, login
        self._credentials.log_in(login)
        self._ctx.count("logins")
        self._ctx.log.info("logged in", user=user, until=expiry.in_india(expiry.ends(since_ns)))
        return LoggedIn(user, expiry.ends(since_ns))


def _plausible(text: str, name: str) -> str:
    if not _TOKEN.fullmatch(text):
        raise LoginRefused(
            f"no usable {name} in what was given: paste the whole address that you ended up at"
        )
    return text
