"""One run of the source: sharding, the login's day, echoes, and what is reported."""

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from tickerd.plugin import Clock, Instrument, Order, Retry, Status
from tickerd.testing import FakeContext
from tickerd_plugins.kite import feed
from tickerd_plugins.kite.broker import Exchanged, Refused

START_NS = 1_768_428_000 * 10**9  # 2026-01-15 03:30 IST
HOUR = 3600.0


@pytest.fixture
def clock(inline_threads, autojump_clock):
    return autojump_clock


class FakeBroker:
    """Gives out the tokens that a test has put into it."""

    def __init__(self):
        self.sent_from = "192.0.2.7"
        self.quoted = []
        self.dead = set()
        self.next = "FIRST"
        self.asked = 0
        self.book = []
        self.books = 0

    async def exchange(self, request_token, api_secret):
        await trio.lowlevel.checkpoint()
        if request_token != "REQUEST":
            raise Refused("no")
        return Exchanged(self.next, "AB1234")

    async def order_states(self, order_id, access_token):
        await trio.lowlevel.checkpoint()
        if order_id == "unknown":
            raise Refused("no usable answer")
        return [{"order_id": order_id, "token": access_token}]

    async def orders(self, access_token):
        await trio.lowlevel.checkpoint()
        self.books += 1
        if self.book is None:
            raise Refused("no usable answer")
        return list(self.book)

    async def quotes(self, symbols, mode, access_token):
        await trio.lowlevel.checkpoint()
        self.quoted.append((list(symbols), mode, access_token))
        if self.book is None:
            raise Refused("no usable answer")
        return {symbol: {"instrument_token": int(symbol[5:]), "last_price": 7.5} for symbol in symbols}

    async def verdict(self, access_token):
        await trio.lowlevel.checkpoint()
        self.asked += 1
        return "dead" if access_token in self.dead else "good"


class FakeRegistry:
    """Has the table at once."""

    problem, rows, fetched_ns = "", 99, 5

    def __init__(self, options, ctx, credentials, changed, broker, clocks):
        self._ctx = ctx
        self.refreshes = 0

    def refresh(self):
        self.refreshes += 1

    async def run(self):
        self._ctx.instruments.load([Instrument("kite", token, "NSE", f"S{token}") for token in range(1, 100)])
        await trio.sleep_forever()


@pytest.fixture
async def ctx(tmp_path):
    """At 03:30 in India."""
    return FakeContext(tmp_path, "kite", Clock(START_NS))


@pytest.fixture
async def start(ctx, options, fakes, monkeypatch, nursery):
    """Runs a feed over scripted sockets; the table has the tokens 1 to 99."""
    monkeypatch.setattr(feed, "Registry", FakeRegistry)

    async def begin(*script, **values):
        dial, broker = fakes.Dial(*script), FakeBroker()
        quiet = {"stale_after": "100 days", "reconnect_after": "100 days"}
        made = feed.Feed(options(**quiet | values), ctx, dial, broker)
        nursery.start_soon(made.run)
        await ctx.until(lambda: len(ctx.instruments))
        await trio.sleep(2)
        return made, dial, broker

    return begin


def last(ctx):
    return ctx.reports[-1]


def want(ctx, fakes, *tokens, mode="full"):
    wanted = dict.fromkeys(ctx.demand.wanted())
    ctx.demand.want(wanted | dict.fromkeys([ctx.instruments.get(token) for token in tokens], mode))


class TestShards:
    async def test_connections_are_opened_as_they_are_needed_and_filled_in_turn(
        self, clock, start, ctx, fakes
    ):
        _, dial, _ = await start(per_connection=3)
        want(ctx, fakes, 1, 2)
        await trio.sleep(2)
        assert [sorted(socket.subscribed) for socket in dial.sockets] == [[1, 2]]
        want(ctx, fakes, *range(1, 8))
        await trio.sleep(2)
        assert sorted(sorted(socket.subscribed) for socket in dial.sockets) == [[1, 2, 3], [4, 5, 6], [7]]
        state, detail, facts = last(ctx)
        assert (state, detail) == ("connected", "")
        assert (facts["connections"], facts["subscribed"], facts["wanted"]) == (3, 7, 7)

    async def test_a_change_of_the_list_moves_nothing_and_sends_only_the_difference(
        self, clock, start, ctx, fakes
    ):
        _, dial, _ = await start(per_connection=3)
        want(ctx, fakes, *range(1, 10))
        await trio.sleep(2)
        by_token = {token: socket for socket in dial.sockets for token in socket.subscribed}
        before = {socket: len(socket.sent) for socket in dial.sockets}
        want(ctx, fakes, 1, 3, 4, 5, 6, 7, 8, 9, 50)
        await trio.sleep(2)
        changed = [socket for socket in dial.sockets if len(socket.sent) > before[socket]]
        assert changed == [by_token[2]]
        assert sorted(by_token[2].subscribed) == [1, 3, 50]
        assert len(dial.sockets) == 3

    async def test_a_dead_one_is_told_with_its_instruments_and_the_others_run_on(
        self, clock, start, ctx, fakes
    ):
        _, dial, _ = await start(per_connection=3)
        want(ctx, fakes, *range(1, 10))
        await trio.sleep(2)
        for socket in dial.sockets:
            socket.say(fakes.ltp(*socket.subscribed))
        await trio.sleep(1)
        dead = next(socket for socket in dial.sockets if 4 in socket.subscribed)
        dial.script.extend([fakes.Outage("unreachable", "cannot reach it")] * 6)
        dead.end()
        await trio.sleep(1)
        state, detail, facts = last(ctx)
        assert state == "reconnecting"
        assert detail == "connection 1: cannot reach it; 3 of 9 instruments are without a feed"
        assert facts["without_feed"] == 3
        assert facts["without_feed_instruments"] == ["NSE:S4", "NSE:S5", "NSE:S6"]
        assert [one["state"] for one in facts["by_connection"]] == ["connected", "reconnecting", "connected"]
        seen = len(ctx.published)
        others = [socket for socket in dial.sockets if socket is not dead]
        others[0].say(fakes.ltp(1))
        await trio.sleep(0)
        await trio.testing.wait_all_tasks_blocked()
        assert len(ctx.published) == seen + 1
        while last(ctx)[0] != "connected":
            await trio.sleep(1)
        await trio.sleep(2)
        dial.sockets[-1].say(fakes.HEARTBEAT)
        await trio.sleep(2)
        (gap,) = fakes.gaps(ctx)
        assert (gap.connection, list(gap.instruments)) == (1, ["NSE:S4", "NSE:S5", "NSE:S6"])
        assert dial.sockets[-1].subscribed.keys() == {4, 5, 6}
        assert len(dial.sockets) == 4

    async def test_one_connection_alone_means_all(self, clock, start, ctx, fakes):
        _, dial, _ = await start(per_connection=3)
        want(ctx, fakes, 1)
        await trio.sleep(1)
        dial.sockets[0].say(fakes.ltp(1))
        await trio.sleep(1)
        dial.sockets[0].end()
        await trio.sleep(2)
        dial.sockets[1].say(fakes.HEARTBEAT)
        await trio.sleep(1)
        assert fakes.gaps(ctx)[0].instruments == "all"

    async def test_a_surplus_is_an_error_that_names_one_and_ends_when_there_is_room(
        self, clock, start, ctx, fakes
    ):
        with capture_logs() as logs:
            _, dial, _ = await start(per_connection=2, connections=2)
            want(ctx, fakes, *range(1, 7))
            await trio.sleep(2)
        (line,) = [one for one in logs if one["log_level"] == "error"]
        assert (line["capacity"], line["left_out"], line["instruments"]) == (4, 2, ["NSE:S5", "NSE:S6"])
        state, detail, facts = last(ctx)
        assert state == "connected"
        assert detail == (
            "2 instruments are beyond the limit of 4 (2 on each of 2 connections) and left out, "
            "such as NSE:S5: list fewer, or add a source with another api_key"
        )
        assert (facts["surplus"], facts["surplus_instruments"]) == (2, ["NSE:S5", "NSE:S6"])
        assert ctx.counts["over_capacity"] == 2
        want(ctx, fakes, 1, 3, 5, 6)
        await trio.sleep(2)
        assert last(ctx)[2]["surplus"] == 0
        assert {token for socket in dial.sockets for token in socket.subscribed} == {1, 3, 5, 6}

    async def test_a_connection_that_has_nothing_left_is_given_back(self, clock, start, ctx, fakes):
        await start(per_connection=3)
        want(ctx, fakes, *range(1, 5))
        await trio.sleep(2)
        want(ctx, fakes, 1, 2, 3)
        await trio.sleep(2)
        state, _, facts = last(ctx)
        assert (state, facts["connections"], facts["wanted"]) == ("connected", 1, 3)
        assert facts["by_connection"][1]["state"] == "idle"


async def test_an_order_update_that_comes_over_each_connection_is_told_once(clock, start, ctx, fakes):
    _, dial, _ = await start(per_connection=1)
    want(ctx, fakes, 1, 2, 3)
    await trio.sleep(2)
    for socket in dial.sockets:
        socket.say('{"type":"order","data":{"order_id":"1","status":"OPEN"}}')
        socket.say('{"type":"message","data":"hello"}')
        socket.say('{"type":"error","data":"no"}')
    await trio.sleep(1)
    assert len(fakes.records(ctx, Order)) == 1
    kinds = [notice.kind for notice in fakes.records(ctx, fakes.Notice)]
    assert sorted(kinds) == ["error", "error", "error", "message"]
    assert ctx.counts["echoes"] == 4


async def test_after_a_reconnect_the_order_book_is_read_once_and_what_was_missed_is_told(
    clock, start, ctx, fakes
):
    _, dial, broker = await start(per_connection=1)
    want(ctx, fakes, 1, 2, 3)
    await trio.sleep(10)
    books = broker.books
    dial.sockets[0].say('{"type":"order","data":{"order_id":"1","status":"OPEN","quantity":5}}')
    await trio.sleep(1)
    broker.book = [
        {"order_id": "1", "status": "COMPLETE", "quantity": 5, "filled_quantity": 5},
        {"order_id": "2", "status": "OPEN", "quantity": 1},
    ]
    for socket in list(dial.sockets):
        socket.end()
    await trio.sleep(60)
    assert broker.books == books + 1
    orders = fakes.records(ctx, Order)
    assert [(o.data["order_id"], o.data["status"], o.reconciled) for o in orders] == [
        ("1", "OPEN", False),
        ("1", "COMPLETE", True),
        ("2", "OPEN", True),
    ]
    dial.sockets[-1].end()
    await trio.sleep(60)
    assert broker.books == books + 2
    assert len(fakes.records(ctx, Order)) == 3


async def test_postbacks_are_taken_where_there_is_a_secret(clock, start):
    made, _, _ = await start()
    assert made.postback is None


async def test_the_order_behind_a_postback_is_read_with_the_token_of_the_day(clock, start):
    made, _, _ = await start(api_secret="SECRET")
    assert await made._order_states("1") == [{"order_id": "1", "token": "TOKEN"}]
    with pytest.raises(Retry, match="no usable answer"):
        await made._order_states("unknown")
    other, _, _ = await start(api_secret="SECRET", access_token=None)
    with pytest.raises(Retry, match="nobody has logged in"):
        await other._order_states("1")


class TestLogin:
    async def test_the_day_of_a_login(self, clock, start, ctx, fakes):
        """Log in, be warned, be told of the end, log in again: no restart, and never more than an attempt a minute."""
        feed, dial, broker = await start(access_token=None, api_secret="SECRET", per_connection=1)
        want(ctx, fakes, 1, 2)
        await trio.sleep(60)
        assert last(ctx)[:2] == ("auth_required", "no access token: log in with: tickerd login kite")
        assert last(ctx)[2]["login"] is None
        assert dial.times == []

        done = await feed.logins.exchange({"request_token": "REQUEST"})
        await trio.sleep(5)
        assert dial.tokens == ["FIRST", "FIRST"]
        state, detail, facts = last(ctx)
        assert (state, detail) == ("connected", "")
        assert facts["login"]["user"] == "AB1234"
        assert facts["login_expires_ns"] == feed.expires_ns == done.expires_ns
        left = (done.expires_ns - ctx.clock.now_ns()) / 1e9
        assert facts["login_expires_in_s"] == pytest.approx(left, abs=2)

        await trio.sleep(left - HOUR - 60)
        assert told(ctx, fakes) == []
        await trio.sleep(120)
        ((state, detail, connection),) = told(ctx, fakes)
        assert (state, connection) == ("login_expiring", None)
        assert detail == (
            "the login ends at 2026-01-15 06:00 IST; then log in again with: tickerd login kite"
        )
        assert last(ctx)[0] == "connected"

        await trio.sleep(HOUR)
        assert told(ctx, fakes)[1:] == [
            (
                "auth_required",
                "the login has ended at 2026-01-15 06:00 IST: log in again with: tickerd login kite",
                None,
            )
        ]
        state, detail, facts = last(ctx)
        assert state == "auth_required"
        assert detail.startswith("the login has ended at 2026-01-15 06:00 IST")
        assert facts["login_expires_in_s"] == 0
        assert facts["connections"] == 2, "what is open stays open: only the broker knows whether it cuts it"

        for socket in list(dial.sockets):
            socket.end()
        await trio.sleep(600)
        assert len(dial.times) == 2, "a token that has ended is not tried"

        broker.next = "SECOND"
        await feed.logins.exchange({"request_token": "REQUEST"})
        await trio.sleep(5)
        assert dial.tokens[2:] == ["SECOND", "SECOND"]
        assert last(ctx)[:2] == ("connected", "")
        dial.sockets[2].say(fakes.HEARTBEAT)

    async def test_a_new_login_is_picked_up_within_5_s_by_connections_that_are_open(
        self, clock, start, ctx, fakes
    ):
        feed, dial, broker = await start(access_token=None, api_secret="SECRET", per_connection=1)
        want(ctx, fakes, 1, 2, 3)
        await feed.logins.exchange({"request_token": "REQUEST"})
        await trio.sleep(5)
        assert dial.tokens == ["FIRST"] * 3
        broker.next = "SECOND"
        await feed.logins.exchange({"request_token": "REQUEST"})
        await trio.sleep(5)
        assert dial.tokens == ["FIRST"] * 3 + ["SECOND"] * 3
        assert last(ctx)[2]["connections"] == 3
        assert broker.asked == 0

    async def test_the_same_token_again_changes_nothing(self, clock, start, ctx, fakes):
        feed, dial, _ = await start(access_token=None, api_secret="SECRET")
        await feed.logins.exchange({"request_token": "REQUEST"})
        await trio.sleep(5)
        await feed.logins.exchange({"request_token": "REQUEST"})
        await trio.sleep(60)
        assert dial.tokens == ["FIRST"]

    async def test_a_bad_token_in_the_file_does_not_end_a_feed_that_works(
        self, clock, start, ctx, fakes, tmp_path
    ):
        path = tmp_path / "token"
        path.write_text("GOOD")
        _, dial, broker = await start(access_token_file=path)
        broker.dead.add("BAD")
        path.write_text("BAD")
        await trio.sleep(60)
        assert dial.tokens == ["GOOD"]
        assert last(ctx)[:2] == (
            "connected",
            "the broker does not know the new access token; the one before stays in use",
        )
        path.write_text("BETTER")
        await trio.sleep(5)
        assert dial.tokens == ["GOOD", "BETTER"]
        assert last(ctx)[:2] == ("connected", "")

    async def test_a_refusal_is_told_in_words_and_tried_once_a_minute_by_all_together(
        self, clock, start, ctx, fakes
    ):
        refused = fakes.Outage("auth", "refused (HTTP 403)")
        _, dial, broker = await start(*[refused] * 100, per_connection=1)
        broker.dead.add("TOKEN")
        want(ctx, fakes, 1, 2, 3)
        await trio.sleep(600)
        assert 9 <= len(dial.times) <= 12
        assert broker.asked == len(dial.times)
        state, detail, _ = last(ctx)
        assert state == "auth_required"
        assert detail.startswith("the broker does not know this access token (HTTP 403)")
        assert detail.count("HTTP 403") == 1


def told(ctx, fakes):
    """What was told of the login itself, rather than of a connection."""
    return [
        (record.state, record.detail, record.connection)
        for record in fakes.records(ctx, Status)
        if record.connection is None
    ]


class TestQuotes:
    @pytest.mark.parametrize("fills", [True, False])
    async def test_after_an_outage_what_is_quiet_is_asked_for_once_if_that_is_wanted(
        self, clock, start, ctx, fakes, fills
    ):
        _, dial, broker = await start(fill_quotes=fills)
        want(ctx, fakes, 1, 2, 3)
        await trio.sleep(100)
        dial.sockets[0].say(fakes.ltp(1, 2, 3))
        await trio.sleep(1)
        dial.sockets[0].end()
        await trio.sleep(2)
        dial.sockets[1].say(fakes.ltp(2))
        await trio.sleep(100)
        expected = [(["NSE:S1", "NSE:S3"], "full", "TOKEN")]
        assert broker.quoted == (expected if fills else [])
        assert ctx.counts["quotes_filled"] == (2 if fills else 0)

    async def test_a_broker_that_gives_none_harms_nothing(self, clock, start, ctx, fakes):
        _, dial, broker = await start(fill_quotes=True)
        broker.book = None
        want(ctx, fakes, 1)
        await trio.sleep(1)
        dial.sockets[0].say(fakes.ltp(1))
        await trio.sleep(1)
        dial.sockets[0].end()
        await trio.sleep(100)
        assert (last(ctx)[0], len(broker.quoted), ctx.counts["quotes_failed"]) == ("connected", 1, 1)


async def test_it_shows_where_rest_calls_leave_from_and_how_far_the_clock_is_off(clock, start, ctx):
    _, _, broker = await start()
    assert last(ctx)[2]["rest_sent_from"] == "192.0.2.7"
    assert last(ctx)[2]["clock_ahead_s"] is None
    broker.on_date(ctx.clock.now_ns() / 1e9 - 600)
    await trio.sleep(2)
    assert last(ctx)[2]["clock_ahead_s"] == pytest.approx(600, abs=0.01)
    assert ctx.counts["clock_wrong"] == 1
