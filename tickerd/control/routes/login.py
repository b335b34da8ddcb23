"""Logging a source in: the address to log in at, and what came back from there."""

from dataclasses import dataclass

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from tickerd.control.problem import Problem
from tickerd.control.route import Call, Input, Route
from tickerd.control.routes.health import SCOPE
from tickerd.control.wording import quoted
from tickerd.observe.picture import Shown
from tickerd.plugin.login import LoginRefused
from tickerd.runtime.logins import LONGEST, SourceLogin, given

WRITE = "sources:write"
_UNKNOWN = {404: "No such source, or one that does not log in."}


@dataclass(frozen=True, kw_only=True)
class LoginShown(Shown):
    """How a source's login stands, and where to log in."""

    source: str
    url: str | None = None
    """Where a person logs in: asked for by a POST without a body's content."""
    url_until_ns: int | None = None
    """How long a callback from there is taken, nanoseconds since 1970 UTC; pasting goes on working."""
    user: str | None = None
    """Who has logged in since the start of the daemon."""
    expires_ns: int | None = None
    """When the login in force ends; null where there is none, or nobody knows."""
    logins: int = 0
    """How often somebody has logged in since the start of the daemon."""


class LoginBody(Input):
    """One of the two, or nothing for an address to log in at."""

    redirected: str | None = Field(None, min_length=1, max_length=LONGEST)
    """The address that the browser ended up at after a login, or the bare token in it."""
    access_token: str | None = Field(None, min_length=1, max_length=512)
    """A token that another program got."""

    @model_validator(mode="after")
    def _one(self) -> "LoginBody":
        if self.redirected is not None and self.access_token is not None:
            raise PydanticCustomError("both", "give redirected or access_token, not both")
        return self


async def show(call: Call) -> LoginShown:
    """How it stands."""
    return _shown(_login(call))


async def log_in(call: Call) -> LoginShown:
    """Begin, or finish with what came back."""
    login, body = _login(call), call.body
    try:
        if body.redirected is None and body.access_token is None:
            begun = login.begin()
            return _shown(login, url=begun.url, until_ns=begun.until_ns)
        params = given(body.redirected) if body.redirected else {"access_token": body.access_token}
        await login.finish(params, call.by)
    except LoginRefused as error:
        raise Problem(422, str(error), code="login-refused") from None
    return _shown(login)


def _login(call: Call) -> SourceLogin:
    name = call.path["name"]
    found = call.facade.login(name)
    if found is None:
        raise Problem(404, f"no source {quoted(name)} that logs in")
    return found


def _shown(login: SourceLogin, *, url: str | None = None, until_ns: int | None = None) -> LoginShown:
    return LoginShown(
        source=login.source,
        url=url,
        url_until_ns=until_ns,
        user=login.last.user if login.last else None,
        expires_ns=login.expires,
        logins=login.logins,
    )


ROUTES = (
    Route(
        method="GET",
        path="/v1/sources/<name>/login",
        summary="How a source's login stands",
        handler=show,
        scope=SCOPE,
        answer=LoginShown,
        statuses=_UNKNOWN,
    ),
    Route(
        method="POST",
        path="/v1/sources/<name>/login",
        summary="Log a source in",
        handler=log_in,
        scope=WRITE,
        rate="units",
        changes=True,
        description=(
            "With an empty object it answers with the address where a person logs in. With what came back from "
            "there, it exchanges that, and the source uses the login at once."
        ),
        body=LoginBody,
        answer=LoginShown,
        statuses={**_UNKNOWN, 422: "The login did not succeed; the detail says why."},
    ),
)
