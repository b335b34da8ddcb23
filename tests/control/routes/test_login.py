"""Logging a source in over the API."""

from typing import Any

import pytest

from tickerd.plugin import LoggedIn, LoginRefused
from tickerd.runtime.logins import Begun

PATH = "/v1/sources/kite/login"


class FakeLogin:
    """See `tickerd.runtime.logins.SourceLogin`."""

    source = "kite"

    def __init__(self) -> None:
        self.logins = 0
        self.last: LoggedIn | None = None
        self.expires: int | None = None
        self.asked: list[tuple[Any, Any]] = []
        self.refusal: LoginRefused | None = None

    def begin(self) -> Begun:
        """See there."""
        if self.refusal:
            raise self.refusal
        return Begun(url="https://broker/login?state=S", until_ns=99)

    async def finish(self, params: Any, by: Any) -> LoggedIn:
        """See there."""
        self.asked.append((dict(params), by))
        if self.refusal:
            raise self.refusal
        self.logins += 1
        self.expires, self.last = 77, LoggedIn("AB1234", 77)
        return self.last


@pytest.fixture
def login(api: Any) -> FakeLogin:
    found = FakeLogin()
    api.facade.login = lambda name: found if name == "kite" else None
    return found


async def test_an_empty_object_asks_for_an_address(api: Any, login: FakeLogin) -> None:
    answer = await api.post(PATH, {})
    assert answer.status == 200
    assert answer.json == {
        "source": "kite",
        "url": "https://broker/login?state=S",
        "url_until_ns": 99,
        "user": None,
        "expires_ns": None,
        "logins": 0,
    }


async def test_what_came_back_logs_in(api: Any, login: FakeLogin) -> None:
    landed = "http://127.0.0.1/?status=success&request_token=R&state=S"
    answer = await api.post(PATH, {"redirected": landed})
    assert (answer.status, answer.json["user"], answer.json["logins"]) == (200, "AB1234", 1)
    ((params, by),) = login.asked
    assert params == {"status": "success", "request_token": "R", "state": "S"}
    assert by == ("key all", "127.0.0.1")
    shown = (await api.get(PATH)).json
    assert (shown["user"], shown["expires_ns"], shown["url"]) == ("AB1234", 77, None)


async def test_a_token_can_be_handed_over(api: Any, login: FakeLogin) -> None:
    assert (await api.post(PATH, {"access_token": "A"})).status == 200
    assert login.asked[0][0] == {"access_token": "A"}


async def test_a_refusal_is_told_in_words(api: Any, login: FakeLogin) -> None:
    login.refusal = LoginRefused("log in again")
    for body in ({}, {"redirected": "x"}, {"access_token": "x"}):
        answer = await api.post(PATH, body)
        assert (answer.status, answer.json["detail"]) == (422, "log in again")
        assert answer.json["type"].endswith("login-refused")


async def test_one_thing_at_a_time(api: Any, login: FakeLogin) -> None:
    answer = await api.post(PATH, {"redirected": "x", "access_token": "y"})
    assert answer.status == 400
    assert "not both" in answer.json["detail"]
    assert (await api.post(PATH, {"redirected": "x" * 9000})).status == 400


async def test_a_source_that_does_not_log_in_is_not_found(api: Any, login: FakeLogin) -> None:
    for answer in (await api.get("/v1/sources/demo/login"), await api.post("/v1/sources/demo/login", {})):
        assert (answer.status, answer.json["detail"]) == (404, "no source 'demo' that logs in")
