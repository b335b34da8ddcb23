"""The sink against a receiver on loopback: what is sent, what answers come to, and pings."""

from ipaddress import ip_address

import pytest
import standardwebhooks
import trio

from tickerd.plugin import (
    Batch,
    Clock,
    Endpoint,
    Gap,
    Instrument,
    Order,
    Ping,
    Position,
    Rejected,
    Retry,
    Row,
    Status,
)
from tickerd.testing import FakeContext, check_sink, stamped
from tickerd.wire.standard_webhooks import secret_of
from tickerd_plugins.webhook.outbound import Poster
from tickerd_plugins.webhook.sink import WebhookSink

NS = 1_700_000_000 * 10**9
TABLE = {1: Instrument("kite", 1, "NSE", "INFY"), 2: Instrument("kite", 2, "NSE", "TCS")}


def ticks(*prices, start=1):
    return stamped(
        Batch.of([Row(1 + n % 2, last_price=price) for n, price in enumerate(prices)], ts_recv=NS),
        start,
        instruments=TABLE,
    )


def records(*found, start=1):
    for one in found:
        one.ts_recv = one.ts_recv or NS
    return stamped(Batch.control(*found), start)


async def send(sink, batch, attempt=1):
    for message in sink.compose(batch):
        await sink.send(message, attempt)


async def test_an_event_is_posted_signed_and_says_what_happened(receiver, sink, secret):
    async with receiver() as there, sink(there) as here:
        await send(here, records(Gap(reason="disconnected", source="kite")), attempt=3)
    (got,) = there.got
    assert got.path == "/hook?x=1"
    told = standardwebhooks.Webhook(secret).verify(got.body, got.headers)
    assert (told["type"], told["timestamp"]) == ("feed.gap", "2023-11-14T22:13:20.000Z")
    assert (told["data"]["reason"], told["data"]["seq"]) == ("disconnected", 1)
    assert got.headers["content-type"] == "application/json"
    assert got.headers["tickerd-attempt"] == "3"
    assert got.headers["user-agent"].startswith("tickerd/")
    assert got.headers["accept-encoding"] == "identity"
    assert got.headers["content-length"] == str(len(got.body))


async def test_during_a_rotation_a_receiver_with_either_secret_accepts_it(receiver, sink, secret):
    old = secret_of(b"o" * 32)
    later = "2999-01-01T00:00:00Z"
    async with receiver() as there, sink(there, old_secrets=[{"secret": old, "until": later}]) as here:
        await send(here, records(Gap(reason="x")))
        assert here.ctx.reports[-1][2]["secrets"] == 2
    (got,) = there.got
    for one in (secret, old):
        standardwebhooks.Webhook(one).verify(got.body, got.headers)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(secret_of(b"x" * 32)).verify(got.body, got.headers)


async def test_the_same_record_has_the_same_id_and_body_whoever_composes_it(sink):
    found = []
    for _ in range(2):
        async with sink() as here:
            found.append(here.compose(records(Gap(reason="x"), Order(data={"order_id": "1"}))))
    assert found[0] == found[1]
    assert [one.position for one in found[0]] == [Position(1, 1), Position(1, 2)]
    assert [one.kind for one in found[0]] == ["feed.gap", "order.updated"]
    async with sink(name="other") as other:
        assert other.compose(records(Gap(reason="x")))[0].id != found[0][0].id


async def test_an_endpoint_is_not_told_of_its_own_failing(sink):
    async with sink() as here:
        batch = records(
            Endpoint(source="sink.alerts", state="failing"), Endpoint(source="sink.other", state="failing")
        )
        assert [one.position.seq for one in here.compose(batch)] == [2]


async def test_an_alert_is_one_message_for_one_tick(receiver, sink):
    when = ["last_price crosses 100", "last_price > 100"]
    async with receiver() as there, sink(there, when=when) as here:
        assert here.compose(ticks(90, 90)) == []
        await send(here, ticks(110, 95, start=3))
    (got,) = there.got
    assert got.type == "alert.fired"
    assert got.json["data"]["symbol"] == "NSE:INFY"
    assert got.json["data"]["fired"] == when
    assert got.json["data"]["tick"]["last_price"] == 110


async def test_without_conditions_ticks_come_to_nothing(sink):
    async with sink() as here:
        assert here.compose(ticks(90, 110)) == []


async def test_what_alerts_remember_is_committed_and_restored(sink):
    async with sink(when="last_price crosses 100") as here:
        here.compose(ticks(90))
        kept = await here.commit()
    async with sink(when="last_price crosses 100") as here:
        await here.restore(Position(1, 1), kept)
        assert len(here.compose(ticks(110, start=2))) == 1
    async with sink(when="last_price crosses 100") as here:
        await here.restore(Position(1, 1), b"nonsense")
        assert here.ctx.counts["commits_unreadable"] == 1
        await here.restore(Position(1, 1), b"")
    async with sink() as here:
        assert await here.commit() == b""


async def test_an_event_that_is_too_long_is_told_and_left_out(sink):
    async with sink() as here:
        assert here.compose(records(Order(data={"x": "y" * 300_000}))) == []
        assert here.ctx.counts["too_long"] == 1


@pytest.mark.parametrize(
    ("answer", "kind", "words", "after"),
    [
        (500, Retry, "status 500", None),
        ((429, {"retry-after": "7"}), Retry, "status 429", 7),
        ((302, {"location": "http://169.254.169.254/"}), Retry, "not followed", None),
        (404, Retry, "status 404", None),
        (410, Rejected, "410", None),
    ],
)
async def test_answers_that_are_no_delivery(receiver, sink, answer, kind, words, after):
    async with receiver() as there, sink(there) as here:
        there.answer = lambda *_: answer
        with pytest.raises(kind, match=words) as error:
            await send(here, records(Gap(reason="x")))
        assert getattr(error.value, "after", None) == after
        assert here.ctx.reports[-1][:1] == ("failing",)
        there.answer = lambda *_: 204
        await send(here, records(Gap(reason="x")))
        assert here.ctx.reports[-1][:2] == ("ready", "")
    assert len(there.got) == 2
    assert there.got[0].id == there.got[1].id
    assert there.got[0].body == there.got[1].body


async def test_who_is_not_there_is_told_apart_in_the_count_and_in_no_other_words(sink, receiver):
    async with receiver() as there:
        pass
    async with sink(there) as here:
        with pytest.raises(Retry, match="could not be reached"):
            await send(here, records(Gap(reason="x")))
        assert here.ctx.counts["connect"] == 1


async def test_what_the_policy_forbids_ends_it(options, tmp_path):
    async def resolver(name):
        await trio.lowlevel.checkpoint()
        return [ip_address("10.0.0.7")]

    async def dialer(address, port):
        raise AssertionError("a connection was opened")

    made = options()
    sink = WebhookSink(made, FakeContext(tmp_path), Poster(made.policy(), resolver=resolver, dialer=dialer))
    async with sink:
        with pytest.raises(Rejected, match="blocked"):
            await send(sink, records(Gap(reason="x")))


async def test_nothing_is_signed_with_a_clock_that_was_set_back(receiver, sink):
    class SetBack(Clock):
        def skew_s(self):
            return -301.0

    async with receiver() as there, sink(there, clock=SetBack()) as here:
        with pytest.raises(Retry, match="set back by 301 s") as error:
            await send(here, records(Gap(reason="x")))
    assert error.value.weight == 0
    assert there.got == []


async def test_signatures_have_the_hosts_time_when_it_was_set_right(receiver, sink, secret):
    """Ours does not follow a clock that was wrong at the start and is put right later."""
    right = Clock().now_ns()

    class Wrong(Clock):
        def skew_s(self):
            return (right - self.now_ns()) / 1e9

    async with receiver() as there, sink(there, clock=Wrong(right - 86_400 * 10**9)) as here:
        await send(here, records(Gap(reason="x")))
    (got,) = there.got
    standardwebhooks.Webhook(secret).verify(got.body, got.headers)


async def test_ticks_go_in_batches_with_ids_of_their_own(receiver, sink, secret):
    async with receiver() as there, sink(there, **{"class": "ticks"}, max_rows=2) as here:
        assert not WebhookSink.by_message(here._options)
        assert await here.write(ticks(1, 2, 3)) == ()
        assert await here.write(ticks(1, 2, 3)) == ()
    assert [len(got.json["data"]["ticks"]) for got in there.got] == [2, 1, 2, 1]
    assert [got.id for got in there.got[:2]] == [got.id for got in there.got[2:]]
    assert there.got[0].id != there.got[1].id
    for got in there.got:
        assert standardwebhooks.Webhook(secret).verify(got.body, got.headers)["type"] == "ticks"


async def test_without_an_outbox_a_batch_that_was_not_taken_goes_on_where_it_was(receiver, sink):
    async with receiver() as there, sink(there) as here:
        assert WebhookSink.by_message(here._options)
        there.answer = lambda delivery, number: 500 if number == 1 else 200
        batch = records(Gap(reason="a"), Gap(reason="b"))
        with pytest.raises(Retry):
            await here.write(batch)
        assert await here.write(batch) == ()
    assert [got.json["data"]["reason"] for got in there.got] == ["a", "b", "b"]


async def test_further_headers_go_with_it(receiver, sink):
    async with (
        receiver() as there,
        sink(there, headers={"X-Tenant": "7", "Authorization": "Bearer t"}) as here,
    ):
        await send(here, records(Gap(reason="x")))
    assert there.got[0].headers["x-tenant"] == "7"
    assert there.got[0].headers["authorization"] == "Bearer t"


async def test_a_ping_is_signed_and_says_what_came_back(receiver, sink, secret):
    async with receiver() as there, sink(there) as here:
        assert isinstance(here, Ping)
        found = await here.ping()
        assert (found.ok, found.status, found.detail, found.answer) == (True, 200, "accepted", b"thanks")
        assert 0 <= found.took_s < 15
        there.answer = lambda *_: 410
        assert (await here.ping())[:2] == (False, 410)
    told = standardwebhooks.Webhook(secret).verify(there.got[0].body, there.got[0].headers)
    assert (told["type"], told["data"]) == ("endpoint.ping", {"sink": "alerts"})


async def test_a_ping_that_nobody_answers_says_so_in_two_ways(receiver, sink):
    async with receiver() as there:
        pass
    async with sink(there) as here:
        found = await here.ping()
    assert (found.ok, found.status) == (False, None)
    assert "127.0.0.1" in found.detail
    assert "127.0.0.1" not in found.public


async def test_a_ping_has_an_end(receiver, sink, monkeypatch):
    monkeypatch.setattr("tickerd_plugins.webhook.sink.PING_WITHIN_S", 0.1)
    async with receiver() as there, sink(there) as here:
        there.answer = lambda *_: trio.sleep(100)  # noqa: ASYNC105 - the receiver awaits it
        found = await here.ping()
    assert found.detail == "no answer within 0.1 s"


async def test_no_secret_shows_in_what_it_logs_and_reports(receiver, sink, secret, capsys):
    async with receiver() as there, sink(there, headers={"x-key": "hidd3n"}) as here:
        there.answer = lambda *_: 500
        with pytest.raises(Retry):
            await send(here, records(Gap(reason="x")))
        there.answer = lambda *_: 200
        await here.ping()
    told = f"{here.ctx.reports}{capsys.readouterr()}"
    for hidden in (secret, secret.removeprefix("whsec_"), "hidd3n", "x=1"):
        assert hidden not in told


@pytest.mark.parametrize("kind", ["event", "ticks"])
async def test_it_does_what_every_sink_must(receiver, options, poster, tmp_path, kind):
    async with receiver() as there:
        made = options(there, **{"class": kind})
        await check_sink(
            lambda ctx: WebhookSink(made, ctx, poster(made)), lambda: FakeContext(tmp_path, "alerts")
        )
    assert there.got


async def test_status_records_become_words_of_the_feed(sink):
    async with sink() as here:
        batch = records(Status(state="stale"), Status(state="connected"))
        assert [one.kind for one in here.compose(batch)] == ["feed.stale", "feed.connected"]
