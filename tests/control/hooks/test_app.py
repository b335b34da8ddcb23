"""What strangers can do at the hooks listener: almost nothing, and they learn nothing from it."""

from ipaddress import ip_network
from typing import Any

import pytest
import structlog
import trio
from structlog.testing import capture_logs

from tickerd.control.hooks import app as module
from tickerd.control.hooks.app import NOTHING, HooksReach
from tickerd.plugin import LoginRefused, Rejected, Retry

CALLBACK = "/login/kite/callback?state=STATE&request_token=SECRET&status=success"


async def test_a_callback_logs_in_and_shows_a_small_plain_page(hooks: Any) -> None:
    status, headers, text = await hooks.ask("GET", CALLBACK)
    assert (status, text) == (200, "logged in as AB1234; you can close this page\n")
    ((params, origin),) = hooks.login.called
    assert params == {"state": "STATE", "request_token": "SECRET", "status": "success"}
    assert origin == "hooks 127.0.0.1"
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert "server" not in headers


async def test_whatever_is_wrong_looks_alike(hooks: Any) -> None:
    answers = [
        await hooks.ask(method, target, **more)
        for method, target, more in [
            ("GET", "/", {}),
            ("GET", "/nowhere", {}),
            ("GET", "/login/kite/callback", {}),
            ("GET", "/login/kite/callback?state=guess", {}),
            ("GET", "/login/kite/callback?state=STATE&state=STATE", {}),
            ("GET", "/login/other/callback?state=STATE", {}),
            ("GET", "/login/kite/callback/?state=STATE", {}),
            ("GET", "//login/kite/callback?state=STATE", {}),
            ("GET", CALLBACK, {"host": "evil.example"}),
            ("POST", CALLBACK, {}),
            ("GET", "/hooks/kite/x", {}),
            ("POST", "/hooks/other/x", {}),
            ("POST", "/hooks/kite/x", {"host": "evil.example", "body": b"genuine"}),
            ("POST", "/hooks/", {}),
            ("DELETE", "/hooks/kite", {}),
            ("OPTIONS", "/hooks/kite", {}),
            ("GET", "/v1/status", {}),
            ("GET", "/livez", {}),
        ]
    ]
    assert {answer[0] for answer in answers} == {404}
    assert {answer[2] for answer in answers} == {NOTHING}
    assert len({tuple(sorted(answer[1].items())) for answer in answers}) == 1
    hooks.inbound.error = Rejected("the checksum is wrong")
    assert await hooks.ask("POST", "/hooks/kite/x", b"forged") == answers[0]
    assert hooks.published == []


async def test_a_login_that_fails_is_told_to_who_had_the_state(hooks: Any) -> None:
    hooks.login.error = LoginRefused("user 'ZZ' is not the one configured")
    status, _, text = await hooks.ask("GET", CALLBACK)
    assert (status, text) == (403, "not logged in: user 'ZZ' is not the one configured\n")


async def test_a_login_is_finished_also_when_the_browser_is_closed(hooks: Any) -> None:
    hooks.login.hold = trio.Event()
    async with await trio.open_tcp_stream(*hooks.address) as stream:
        await stream.send_all(f"GET {CALLBACK} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        while not hooks.login.called:
            await trio.sleep(0.01)
    await trio.sleep(0.1)
    hooks.login.hold.set()
    with trio.fail_after(5):
        await hooks.login.done.wait()


async def test_a_login_without_end_is_given_up(hooks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOGIN_S", 0.05)
    hooks.login.hold = trio.Event()
    status, _, text = await hooks.ask("GET", CALLBACK)
    assert (status, text) == (503, "not done in time; begin again with tickerd login\n")


async def test_a_report_that_is_genuine_is_published_as_that_of_its_unit(hooks: Any) -> None:
    assert (await hooks.ask("POST", "/hooks/kite/any/path", b"genuine", X_Sign="abc"))[::2] == (200, "ok\n")
    ((body, headers),) = hooks.inbound.seen
    assert body == b"genuine"
    assert headers["x-sign"] == "abc"
    ((unit, (record,)),) = hooks.published
    assert (unit, record.data) == ("kite", "genuine")


@pytest.mark.parametrize(("size", "status"), [(64 * 1024, 200), (64 * 1024 + 1, 413)])
async def test_a_body_has_a_limit(hooks: Any, size: int, status: int) -> None:
    assert (await hooks.ask("POST", "/hooks/kite", b"x" * size))[0] == status
    assert len(hooks.published) == (status == 200)


async def test_a_report_that_cannot_be_dealt_with_now_is_asked_for_again(
    hooks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks.inbound.error = Retry("the broker does not answer")
    status, headers, text = await hooks.ask("POST", "/hooks/kite", b"genuine")
    assert (status, headers["retry-after"], text) == (503, "5", "try again\n")

    async def hang(*_: Any) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(module, "VERIFY_S", 0.05)
    hooks.inbound.verify = hang
    assert (await hooks.ask("POST", "/hooks/kite", b"genuine"))[0] == 503
    assert hooks.published == []


async def test_a_bug_is_one_answer_and_a_number_in_the_log(hooks: Any) -> None:
    hooks.inbound.error = KeyError("SECRET")
    with capture_logs() as logs:
        status, _, text = await hooks.ask("POST", "/hooks/kite", b"x")
        assert (await hooks.ask("GET", CALLBACK))[0] == 200
    assert status == 500
    assert "SECRET" not in text
    (line,) = [one for one in logs if one["event"] == "hook failed"]
    assert line["number"] in text


async def test_callbacks_of_one_address_are_limited_and_look_as_if_nothing_were_there(hooks: Any) -> None:
    for _ in range(module.CALLBACKS.count):
        await hooks.ask("GET", "/login/kite/callback?state=guess")
    status, _, text = await hooks.ask("GET", CALLBACK)
    assert (status, text) == (404, NOTHING)
    assert len(hooks.login.called) == module.CALLBACKS.count
    assert hooks.compartment.figures.answers["limited"] == 1


async def test_reports_of_one_address_are_limited_before_anything_is_computed(
    hooks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks.compartment._application._reports = module.Knocks(module.Rate(2, 60))
    answers = [(await hooks.ask("POST", "/hooks/kite", b"x"))[0] for _ in range(3)]
    assert answers == [200, 200, 429]
    assert len(hooks.inbound.seen) == 2


async def test_behind_a_proxy_the_callers_address_counts(open_hooks: Any) -> None:
    async with open_hooks(trusted_proxies=[ip_network("127.0.0.1/32")], hosts=["ticks.example.com"]) as hooks:
        await hooks.ask("GET", CALLBACK, host="ticks.example.com", X_Forwarded_For="9.9.9.9, 1.2.3.4")
        assert hooks.login.called[0][1] == "hooks 1.2.3.4"
        hooks.compartment.renew(HooksReach(listening=["127.0.0.1:0"]))
        await hooks.ask("GET", CALLBACK, X_Forwarded_For="9.9.9.9")
        assert hooks.login.called[1][1] == "hooks 127.0.0.1"
        assert (await hooks.ask("GET", CALLBACK, host="ticks.example.com"))[0] == 404


async def test_nothing_that_was_sent_shows_in_the_log(hooks: Any) -> None:
    with capture_logs() as logs:
        await hooks.ask("GET", CALLBACK)
        await hooks.ask("GET", "/login/SECRET/callback?state=SECRET")
        await hooks.ask("POST", "/hooks/kite/SECRET", b"SECRET", X_Sign="SECRET")
        hooks.inbound.error = Rejected("the checksum is wrong")
        await hooks.ask("POST", "/hooks/kite", b"SECRET")
        hooks.login.error = LoginRefused("no")
        await hooks.ask("GET", CALLBACK)
    assert len(logs) >= 5
    assert "SECRET" not in str(logs)
    assert "STATE" not in str(logs)
    structlog.reset_defaults()
