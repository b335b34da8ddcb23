"""Inbound webhooks: verified, published once, and refused in one way."""

import hmac

import pytest
import trio
from pydantic import ValidationError

from tickerd.plugin import Inbound, Rejected, Report, Retry
from tickerd.testing import FakeContext, running
from tickerd.wire.standard_webhooks import headers
from tickerd_plugins.webhook.source import InboundOptions, WebhookSource

KEY = b"s" * 32
JSON = {"content-type": "application/json; charset=utf-8"}


def options(secret, profile="standard-webhooks"):
    return InboundOptions.model_validate({"profile": profile, "secrets": [secret]})


@pytest.fixture
def source(secret):
    return WebhookSource(options(secret))


def genuine(ctx, body, name="msg_1"):
    return JSON | headers([KEY], name, ctx.clock.now_ns() // 10**9, body)


async def test_a_genuine_report_becomes_a_record_once(source, tmp_path):
    ctx = FakeContext(tmp_path, "builds")
    assert isinstance(source, Inbound)
    async with running(source, ctx):
        body = b'{"type":"build.done","n":1}'
        (found,) = await source.verify(body, genuine(ctx, body))
        assert isinstance(found, Report)
        assert (found.id, found.kind, found.data) == ("msg_1", "build.done", {"type": "build.done", "n": 1})
        assert found.ts_recv > 0
        assert await source.verify(body, genuine(ctx, body)) == ()
        assert (ctx.counts["reports"], ctx.counts["repeated"]) == (1, 1)
        assert len(await source.verify(body, genuine(ctx, body, "msg_2"))) == 1


async def test_what_says_no_type_has_none(source, tmp_path):
    ctx = FakeContext(tmp_path)
    async with running(source, ctx):
        for number, body in enumerate((b"[]", b'{"type":1}', b"null")):
            (found,) = await source.verify(body, genuine(ctx, body, f"msg_{number}"))
            assert found.kind == ""


async def test_what_is_not_genuine_or_no_json_is_refused_and_does_not_use_up_an_id(source, tmp_path):
    ctx = FakeContext(tmp_path)
    async with running(source, ctx):
        good = b'{"a":1}'
        cases = [
            (good, genuine(ctx, b"{}")),
            (good, genuine(ctx, good) | {"content-type": "text/plain"}),
            (good, headers([KEY], "msg_1", ctx.clock.now_ns() // 10**9, good)),
            (b"{", genuine(ctx, b"{")),
            (b"\xff", genuine(ctx, b"\xff")),
            (b"[" * 60_000, genuine(ctx, b"[" * 60_000)),
        ]
        for body, given in cases:
            with pytest.raises(Rejected):
                await source.verify(body, given)
        assert len(await source.verify(good, genuine(ctx, good))) == 1


async def test_while_it_does_not_run_the_sender_is_asked_to_come_again(source, tmp_path):
    ctx = FakeContext(tmp_path)
    with pytest.raises(Retry):
        await source.verify(b"{}", genuine(ctx, b"{}"))
    async with running(source, ctx):
        await trio.lowlevel.checkpoint()
    with pytest.raises(Retry):
        await source.verify(b"{}", genuine(ctx, b"{}"))


async def test_a_report_is_published_once_also_when_it_comes_by_github(tmp_path):
    source = WebhookSource(options("s3cret", "github"))
    ctx = FakeContext(tmp_path)
    body = b'{"action":"x"}'
    mac = "sha256=" + hmac.digest(b"s3cret", body, "sha256").hex()
    async with running(source, ctx):
        given = JSON | {"x-hub-signature-256": mac, "x-github-event": "push", "x-github-delivery": "1"}
        (found,) = await source.verify(body, given)
        assert found.kind == "push"
        assert await source.verify(body, given | {"x-github-delivery": "2"}) == ()


def test_a_secret_that_is_none_is_told_without_it():
    with pytest.raises(ValidationError, match="whsec_") as error:
        options("hunter2")
    assert "hunter2" not in str(error.value)
    with pytest.raises(ValidationError, match="at most 3"):
        InboundOptions.model_validate({"profile": "github", "secrets": ["a"] * 4})
