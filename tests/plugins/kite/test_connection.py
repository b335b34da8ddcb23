"""The life of a connection over many sockets: states, gaps, back-off, credentials."""

import itertools

import pytest
import trio
import trio.testing

from tickerd_plugins.kite.backoff import BackOff
from tickerd_plugins.kite.connection import Connection
from tickerd_plugins.kite.credentials import Credentials
from tickerd_plugins.kite.gate import Gate

WANT = {1: "full", 2: "quote"}


@pytest.fixture
def clock(autojump_clock):
    return autojump_clock


@pytest.fixture
async def start(ctx, options, fakes, nursery):
    """Runs a connection over a script of sockets and outages."""

    def begin(
        *script, highest=False, number=0, gate=None, name=lambda _: "all", want=WANT, fill=None, **values
    ):
        chosen = options(**values)
        dial = fakes.Dial(*script)
        backoff = BackOff(chosen.backoff_initial, chosen.backoff_cap, lambda: 1.0) if highest else None
        connection = Connection(
            number,
            options=chosen,
            ctx=ctx,
            dial=dial,
            credentials=Credentials(chosen, lambda _: None),
            changed=lambda: None,
            backoff=backoff,
            gate=gate,
            name=name,
            fill=fill,
        )
        connection.want(want)
        nursery.start_soon(connection.run)
        return connection, dial

    return begin


async def test_it_connects_and_subscribes_what_is_wanted(clock, start, ctx, fakes):
    socket = fakes.Socket()
    connection, dial = start(socket)
    await trio.sleep(1)
    assert dial.tokens == ["TOKEN"]
    assert socket.subscribed == WANT
    assert (connection.state, connection.up, connection.subscribed) == ("connected", True, 2)
    assert sorted(connection.unconfirmed) == [1, 2]
    assert fakes.states(ctx) == ["connected"]
    assert fakes.gaps(ctx) == []


async def test_an_outage_is_told_at_once_and_the_wishes_are_subscribed_anew(clock, start, ctx, fakes):
    first, second = fakes.Socket(), fakes.Socket()
    connection, _ = start(first, second)
    await trio.sleep(1)
    first.say(fakes.ltp(1, 2))
    await trio.sleep(1)
    first.end()
    before = trio.current_time()
    await trio.testing.wait_all_tasks_blocked()
    assert trio.current_time() == before
    assert fakes.states(ctx) == ["connected", "reconnecting"]
    assert not connection.up
    assert connection.subscribed == 0
    assert connection.unconfirmed == []
    connection.want({3: "ltp"})
    await trio.sleep(1)
    assert second.subscribed == {3: "ltp"}
    assert fakes.states(ctx) == ["connected", "reconnecting", "connected"]
    assert connection.reconnects == {"reset": 1}
    assert ctx.counts["reconnect_reset"] == 1


async def test_an_outage_leaves_a_gap_with_its_times_and_the_position_before_it(clock, start, ctx, fakes):
    first, second = fakes.Socket(), fakes.Socket()
    start(first, second)
    await trio.sleep(1)
    first.say(fakes.ltp(1, 2))
    await trio.sleep(0)
    await trio.testing.wait_all_tasks_blocked()
    last_frame, last = ctx.clock.now_ns(), ctx.seq
    await trio.sleep(2)
    first.end("silent", "no frame")
    await trio.sleep(3)
    assert fakes.gaps(ctx) == []
    second.say(fakes.ltp(1))
    await trio.testing.wait_all_tasks_blocked()
    (gap,) = fakes.gaps(ctx)
    assert (gap.reason, gap.since_ns, gap.until_ns) == ("silent", last_frame, ctx.clock.now_ns())
    assert gap.after == (1, last)
    assert (gap.instruments, gap.lost, gap.connection) == ("all", None, 0)
    # the gap stands before the first tick after it
    assert ctx.published[-2].records == (gap,)
    assert ctx.published[-1].ticks
    second.say(fakes.ltp(1))
    await trio.testing.wait_all_tasks_blocked()
    assert len(fakes.gaps(ctx)) == 1


@pytest.mark.parametrize(("good_for", "begins_before"), [(1, True), (30, False)])
async def test_a_gap_that_follows_a_standstill_begins_before_it(
    clock, start, ctx, fakes, good_for, begins_before
):
    """What was read after the pause had been waiting; what the broker had next it may have thrown away."""
    first, second = fakes.Socket(), fakes.Socket()
    start(first, second)
    await trio.sleep(1)
    first.say(fakes.ltp(1, 2))
    await trio.testing.wait_all_tasks_blocked()
    before = ctx.clock.now_ns()
    await trio.sleep(4)
    for _ in range(good_for):
        first.say(fakes.ltp(1))
        await trio.testing.wait_all_tasks_blocked()
        last = ctx.clock.now_ns()
        await trio.sleep(1)
    first.end("closed", "gone")
    await trio.sleep(3)
    second.say(fakes.ltp(1))
    await trio.testing.wait_all_tasks_blocked()
    (gap,) = fakes.gaps(ctx)
    assert gap.since_ns == (before if begins_before else last)


async def test_a_gap_is_not_over_before_everything_is_subscribed_again(clock, start, ctx, fakes):
    first, second, third = fakes.Socket(), fakes.Socket(), fakes.Socket()
    start(first, second, third, subscribe_pause="1s")
    await trio.sleep(5)
    first.say(fakes.ltp(1))
    await trio.sleep(1)
    since = ctx.clock.now_ns() - 10**9
    first.end("reset", "first")
    await trio.sleep(0.5)
    second.say(fakes.ltp(1), fakes.HEARTBEAT)
    await trio.sleep(0.5)
    assert fakes.gaps(ctx) == []
    second.end("closed", "second")
    await trio.sleep(6)
    third.say(fakes.HEARTBEAT)
    await trio.testing.wait_all_tasks_blocked()
    (gap,) = fakes.gaps(ctx)
    assert (gap.reason, gap.since_ns) == ("reset", since)


async def test_a_text_frame_does_not_end_a_gap(clock, start, ctx, fakes):
    first, second = fakes.Socket(), fakes.Socket()
    start(first, second)
    first.say(fakes.HEARTBEAT)
    await trio.sleep(1)
    first.end()
    await trio.sleep(1)
    second.say('{"type":"message","data":"hello"}')
    await trio.testing.wait_all_tasks_blocked()
    assert fakes.gaps(ctx) == []
    second.say(fakes.HEARTBEAT)
    await trio.testing.wait_all_tasks_blocked()
    (gap,) = fakes.gaps(ctx)
    assert gap.after is None


async def test_no_gap_where_nothing_ever_came(clock, start, ctx, fakes):
    last = fakes.Socket()
    start(fakes.Outage("unreachable", "no"), fakes.Outage("dns", "no"), last)
    await trio.sleep(5)
    last.say(fakes.ltp(1))
    await trio.sleep(1)
    assert fakes.gaps(ctx) == []
    assert fakes.states(ctx) == ["reconnecting", "connected"]


async def test_silence_is_stale_then_the_connection_is_made_anew(clock, start, ctx, fakes):
    connection, dial = start(fakes.Socket())
    await trio.sleep(6)
    assert fakes.states(ctx) == ["connected", "stale"]
    assert (connection.state, connection.detail) == ("stale", "no frame for 5 s")
    await trio.sleep(5)
    assert fakes.states(ctx) == ["connected", "stale", "reconnecting", "connected"]
    assert len(dial.sockets) == 2
    assert connection.reconnects == {"silent": 1}


async def test_a_frame_ends_a_stale_time(clock, start, ctx, fakes):
    socket = fakes.Socket()
    start(socket)
    await trio.sleep(6)
    socket.say(fakes.HEARTBEAT)
    await trio.sleep(1)
    assert fakes.states(ctx) == ["connected", "stale", "connected"]


async def test_flapping_makes_the_waits_grow_and_leaves_the_subscriptions_right(clock, start, ctx, fakes):
    sockets = [fakes.Socket() for _ in range(400)]
    _, dial = start(*sockets, highest=True)
    begun = trio.current_time()
    for socket in sockets:
        while socket not in dial.sockets:
            await trio.sleep(0.5)
        await trio.sleep(1)
        socket.say(fakes.ltp(1))
        await trio.sleep(1)
        if trio.current_time() - begun > 600:
            break
        socket.end()
    assert 10 < len(dial.sockets) < 25
    waits = [b - a for a, b in zip(dial.times, dial.times[1:], strict=False)]
    assert max(waits) > 60
    assert dial.sockets[-1].subscribed == WANT
    assert len(fakes.gaps(ctx)) == len(dial.sockets) - 1


async def test_a_connection_that_was_good_for_long_begins_with_a_short_wait(clock, start, ctx, fakes):
    sockets = [fakes.Socket() for _ in range(20)]
    _, dial = start(*[fakes.Outage("reset", "")] * 8, *sockets, highest=True)
    while not dial.sockets:
        await trio.sleep(1)
    for _ in range(35):
        sockets[0].say(fakes.HEARTBEAT)
        await trio.sleep(1)
    ended = trio.current_time()
    sockets[0].end()
    await trio.sleep(1)
    assert dial.times[-1] - ended == pytest.approx(0.1)


async def test_a_long_connection_without_frames_is_not_a_good_one(clock, start, fakes):
    socket = fakes.Socket()
    _, dial = start(
        *[fakes.Outage("reset", "")] * 8, socket, highest=True, stale_after="1h", reconnect_after="1h"
    )
    while not dial.sockets:
        await trio.sleep(1)
    await trio.sleep(100)
    socket.say(fakes.HEARTBEAT)
    await trio.sleep(1)
    ended = trio.current_time()
    socket.end()
    await trio.sleep(30)
    assert dial.times[-1] - ended > 20


async def test_a_refused_token_is_tried_at_most_once_a_minute(clock, start, ctx, fakes):
    refused = fakes.Outage("auth", "refused")
    connection, dial = start(*[refused] * 100)
    await trio.sleep(600)
    assert 9 <= len(dial.times) <= 11
    assert fakes.states(ctx) == ["auth_required"]
    assert (connection.state, connection.detail) == ("auth_required", "refused")


async def test_too_many_connections_is_a_state_of_its_own(clock, start, ctx, fakes):
    start(fakes.Outage("rate_limited", "too many", retry_after=20))
    await trio.sleep(19)
    assert fakes.states(ctx) == ["rate_limited"]
    await trio.sleep(2)
    assert fakes.states(ctx) == ["rate_limited", "connected"]


async def test_it_never_gives_up_and_never_hammers(clock, start, fakes):
    _, dial = start(*[fakes.Outage("unreachable", "no")] * 10_000)
    await trio.sleep(24 * 3600)
    assert 24 * 60 < len(dial.times) < 24 * 60 * 4
    waits = [b - a for a, b in zip(dial.times, dial.times[1:], strict=False)]
    assert min(waits) > 0.0999


async def test_one_that_has_nothing_to_carry_waits_without_a_socket(clock, start, ctx, fakes):
    connection, dial = start(number=1, want={})
    await trio.sleep(60)
    assert (connection.state, dial.sockets, fakes.states(ctx)) == ("idle", [], [])
    connection.want(WANT)
    await trio.sleep(1)
    assert dial.sockets[0].subscribed == WANT
    assert fakes.states(ctx) == ["connected"]


async def test_one_that_has_nothing_left_to_carry_hangs_up_and_misses_nothing(clock, start, ctx, fakes):
    connection, dial = start(number=1)
    await trio.sleep(1)
    dial.sockets[0].say(fakes.ltp(1))
    await trio.sleep(1)
    connection.want({})
    await trio.sleep(60)
    assert (connection.state, connection.up, connection.reconnects) == ("idle", False, {})
    assert len(dial.sockets) == 1
    connection.want(WANT)
    await trio.sleep(1)
    dial.sockets[1].say(fakes.ltp(1))
    await trio.sleep(1)
    assert fakes.gaps(ctx) == []
    assert fakes.states(ctx) == ["connected", "stopped", "connected"]


async def test_the_first_is_kept_for_order_updates(clock, start):
    connection, dial = start(want={})
    await trio.sleep(1)
    assert connection.up
    connection.want(WANT)
    connection.want({})
    await trio.sleep(1)
    assert len(dial.sockets) == 1
    assert connection.up


async def test_what_was_missed_is_told_also_when_it_is_not_wanted_any_more(clock, start, ctx, fakes):
    connection, dial = start(fakes.Socket(), *[fakes.Outage("dns", "no")] * 100, number=1)
    await trio.sleep(1)
    dial.sockets[0].say(fakes.ltp(1))
    await trio.sleep(1)
    dial.sockets[0].end()
    await trio.sleep(1)
    connection.want({})
    await trio.sleep(120)
    (gap,) = fakes.gaps(ctx)
    assert gap.reason == "reset"
    assert connection.state == "idle"


async def test_it_hangs_up_when_the_last_wish_goes_while_it_dials(clock, start, ctx, fakes):
    gate = Gate()
    await gate.enter("other")
    connection, dial = start(number=1, gate=gate)
    await trio.sleep(1)
    connection.want({})
    gate.leave("other")
    await trio.sleep(1)
    assert (connection.state, connection.up, len(dial.sockets)) == ("idle", False, 1)


async def test_a_gap_names_the_instruments_of_its_connection(clock, start, ctx, fakes):
    asked = []

    def name(tokens):
        asked.append(set(tokens))
        return sorted(map(str, tokens))

    connection, dial = start(name=name)
    await trio.sleep(1)
    dial.sockets[0].say(fakes.ltp(1, 2))
    await trio.sleep(1)
    dial.sockets[0].end()
    await trio.testing.wait_all_tasks_blocked()
    connection.want({2: "full", 3: "full"})
    await trio.sleep(1)
    dial.sockets[1].say(fakes.HEARTBEAT)
    await trio.testing.wait_all_tasks_blocked()
    assert fakes.gaps(ctx)[0].instruments == ["1", "2", "3"]
    assert asked == [{1, 2, 3}]


class TestNewToken:
    @pytest.fixture
    def clock(self, inline_threads, autojump_clock):
        return autojump_clock

    async def test_an_open_socket_is_made_anew_and_the_hole_is_told(self, clock, start, ctx, fakes, tmp_path):
        path = tmp_path / "token"
        path.write_text("OLD")
        connection, dial = start(access_token_file=path)
        await trio.sleep(1)
        dial.sockets[0].say(fakes.ltp(1))
        await trio.sleep(1)
        path.write_text("NEW")
        with trio.fail_after(1):
            await connection.renew("NEW")
        assert dial.tokens == ["OLD", "NEW"]
        await trio.sleep(1)
        dial.sockets[1].say(fakes.HEARTBEAT)
        await trio.sleep(1)
        assert [gap.reason for gap in fakes.gaps(ctx)] == ["login"]
        assert connection.reconnects == {"login": 1}

    async def test_one_that_has_the_token_is_left_alone(self, clock, start):
        connection, dial = start()
        await trio.sleep(1)
        await connection.renew("TOKEN")
        assert connection.up
        assert len(dial.sockets) == 1

    async def test_a_socket_that_opens_with_the_old_token_after_all_is_made_anew(self, clock, start, fakes):
        gate = Gate()
        await gate.enter("other")
        connection, dial = start(gate=gate)
        await trio.sleep(1)
        await connection.renew("NEW")
        gate.leave("other")
        await trio.sleep(10)
        # there is no other token here, so the second attempt stays
        assert len(dial.sockets) == 2
        assert connection.up


async def test_connections_of_one_login_try_a_refused_token_once_a_minute_together(clock, start, ctx, fakes):
    gate, refused = Gate(), fakes.Outage("auth", "refused")
    started = [start(*[refused] * 100, gate=gate, number=number) for number in range(3)]
    await trio.sleep(600)
    times = sorted(time for _, dial in started for time in dial.times)
    assert 9 <= len(times) <= 11
    assert min(b - a for a, b in itertools.pairwise(times)) >= 60
    assert [connection.state for connection, _ in started] == ["auth_required"] * 3


async def test_a_token_that_is_taken_after_all_is_tried_by_all(clock, start, fakes):
    gate, refused = Gate(), fakes.Outage("auth", "refused")
    started = [start(refused, gate=gate, number=number) for number in range(3)]
    for _, dial in started[1:]:
        dial.script.clear()
    await trio.sleep(62)
    assert [connection.up for connection, _ in started] == [True, True, True]


class TestTokenFile:
    @pytest.fixture
    def clock(self):
        # threads take part: reading the file
        return trio.testing.MockClock(autojump_threshold=0.05)

    async def test_a_missing_token_is_a_state_and_the_file_ends_it(self, clock, start, ctx, fakes, tmp_path):
        path = tmp_path / "token"
        connection, dial = start(access_token_file=path)
        await trio.sleep(10)
        assert connection.state == "auth_required"
        assert "write today's access token to it" in connection.detail
        assert dial.tokens == []
        path.write_text("fresh")
        await trio.sleep(3)
        assert dial.tokens == ["fresh"]
        assert fakes.states(ctx) == ["auth_required", "connected"]

    async def test_a_new_token_is_tried_at_once_after_a_refusal(self, clock, start, fakes, tmp_path):
        path = tmp_path / "token"
        path.write_text("old")
        _, dial = start(fakes.Outage("auth", "refused"), access_token_file=path)
        await trio.sleep(10)
        assert dial.tokens == ["old"]
        path.write_text("new")
        await trio.sleep(3)
        assert dial.tokens == ["old", "new"]


async def test_each_socket_that_ends_an_outage_is_filled_and_no_longer_than_it_lasts(
    clock, start, ctx, fakes
):
    sockets = [fakes.Socket() for _ in range(4)]
    told = []

    async def fill(session):
        told.append(("begun", session.unconfirmed))
        try:
            await session.settled()
            await trio.sleep(5)
            told.append(("filled", session.unconfirmed))
            await trio.sleep_forever()
        finally:
            told.append(("ended", None))

    start(*sockets, fill=fill, stale_after="1 h", reconnect_after="1 h")
    await trio.sleep(10)
    assert told == [], "the first connection misses nothing"
    sockets[0].say(fakes.ltp(1, 2))
    await trio.sleep(1)
    sockets[0].end()
    await trio.sleep(3)
    sockets[1].end()
    await trio.sleep(1)
    assert [what for what, _ in told] == ["begun", "ended", "begun"], "the outage lasts until a frame comes"
    sockets[2].say(fakes.ltp(2))
    await trio.sleep(9)
    assert told[-1] == ("filled", [1])
    sockets[2].end()
    await trio.sleep(3)
    assert [what for what, _ in told] == ["begun", "ended", "begun", "filled", "ended", "begun"]
    assert fakes.states(ctx).count("connected") == 4
