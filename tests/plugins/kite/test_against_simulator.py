"""The whole source against the bundled simulator, over real sockets and with the real REST client."""

import json
import urllib.error
import urllib.request
from collections import Counter
from urllib.parse import parse_qsl, urlsplit

import pytest
import trio

from tickerd.plugin import Instrument, LoginRefused, Notice, Order
from tickerd_plugins.kite import KiteSource, feed, fill
from tickerd_plugins.simulator import SimulatorOptions, open_simulator
from tickerd_plugins.simulator.account import postback
from tickerd_plugins.simulator.faults import Drop

INFY, NIFTY = 408065, 256265


@pytest.fixture
async def simulator():
    async with open_simulator(SimulatorOptions(seed=1, instruments=2000, heartbeat=0.1)) as found:
        yield found


@pytest.fixture
async def start(simulator, ctx, options, nursery):
    """Runs the source against the simulator, wanting INFY in full and NIFTY 50 as a quote."""
    ctx.state_dir.mkdir()

    async def begin(**values):
        quick = {"backoff_initial": "50ms", "subscribe_pause": "5ms"}
        if "access_token_file" not in values:
            quick["access_token"] = simulator.access_token
        chosen = options(ws_url=simulator.ws_url, rest_url=simulator.rest_url, **quick | values)
        chosen = chosen.model_copy(update={"api_key": simulator.api_key})
        ctx.demand.want(
            {
                Instrument("kite", INFY, "NSE", "INFY"): "full",
                Instrument("kite", NIFTY, "NSE", "NIFTY 50"): "quote",
            }
        )
        source = KiteSource(chosen)
        await nursery.start(lambda task_status: source.run(ctx, task_status=task_status))

    return begin


@pytest.fixture
def until(ctx):
    """Waits until something is true."""

    async def wait(condition):
        with trio.fail_after(30):
            while not condition():
                await trio.sleep(0.005)

    return wait


@pytest.fixture
def subscribed(simulator, until):
    """Waits until one connection is subscribed to both; returns it."""

    async def wait(other_than=0):
        def there():
            return [
                c
                for c in simulator.connections.values()
                if c.modes == {INFY: "full", NIFTY: "quote"} and c.number > other_than and not c.parked
            ]

        await until(there)
        return there()[0]

    return wait


def ticks(ctx):
    return Counter((t.instrument_token, t.mode) for batch in ctx.published if batch.raw for t in batch.ticks)


async def test_ticks_arrive_in_the_mode_wanted_with_their_symbols(start, simulator, ctx, subscribed, until):
    await start()
    await subscribed()
    await until(lambda: ctx.reports and ctx.reports[-1][2]["instruments"])
    simulator.tick("NSE:INFY", "NSE:NIFTY 50")
    await until(lambda: ticks(ctx)[INFY, "full"] >= 2 and ticks(ctx)[NIFTY, "quote"] >= 2)
    first = next(t for b in ctx.published if b.raw for t in b.ticks if t.instrument_token == INFY)
    assert "snapshot" in first.flags
    last = [t for b in ctx.published if b.raw for t in b.ticks][-1]
    assert last.symbol in ("NSE:INFY", "NSE:NIFTY 50")
    assert ctx.instruments.get(NIFTY).segment == "INDICES"
    assert ctx.counts["heartbeats"] >= 0
    assert simulator.counters["bad_requests"] == 0


async def test_a_reset_in_the_middle_of_a_frame_is_a_gap_and_no_tick(
    start, simulator, ctx, fakes, subscribed, until
):
    await start()
    first = await subscribed()
    await until(lambda: ticks(ctx)[INFY, "full"] >= 1 and ticks(ctx)[NIFTY, "quote"] >= 1)
    before = ticks(ctx)
    simulator.inject("drop=mid-frame")
    await until(lambda: "reconnecting" in fakes.states(ctx))
    assert ticks(ctx) == before
    await subscribed(first.number)
    await until(lambda: fakes.gaps(ctx))
    (gap,) = fakes.gaps(ctx)
    assert gap.reason in ("reset", "protocol")
    assert gap.since_ns < gap.until_ns
    assert gap.after is not None
    assert fakes.states(ctx) == ["connected", "reconnecting", "connected"]


@pytest.mark.parametrize("fault", ["half-open", "mute=1"])
async def test_silence_is_stale_and_then_a_new_connection(
    start, simulator, ctx, fakes, subscribed, until, fault
):
    await start(stale_after="300ms", reconnect_after="700ms")
    first = await subscribed()
    await until(lambda: ctx.counts["heartbeats"])
    simulator.inject(fault)
    await until(lambda: "stale" in fakes.states(ctx))
    second = await subscribed(first.number)
    await until(lambda: fakes.gaps(ctx))
    assert fakes.states(ctx)[:4] == ["connected", "stale", "reconnecting", "connected"]
    assert fakes.gaps(ctx)[0].reason == "silent"
    assert second.modes == {INFY: "full", NIFTY: "quote"}


@pytest.mark.full
async def test_flapping_ends_with_the_right_subscriptions(start, simulator, ctx, fakes, subscribed):
    await start()
    connection = await subscribed()
    for _ in range(6):
        simulator.inject("drop")
        connection = await subscribed(connection.number)
    assert len(simulator.connections) == 1
    assert ctx.counts["reconnect_reset"] == 6


async def test_an_expired_token_is_a_state_and_a_new_one_in_the_file_ends_it(
    start, simulator, ctx, fakes, subscribed, until, tmp_path, monkeypatch
):
    from tickerd_plugins.kite import credentials

    monkeypatch.setattr(credentials, "POLL", 0.05)
    path = tmp_path / "token"
    path.write_text("yesterdays")
    await start(access_token_file=path)
    await until(lambda: "auth_required" in fakes.states(ctx))
    await trio.sleep(0.3)
    assert simulator.counters["rejected_403"] == 1
    assert "log in again" in ctx.reports[-1][1]
    path.write_text(simulator.access_token + "\n")
    await subscribed()
    assert fakes.states(ctx) == ["auth_required", "connected"]


async def test_too_many_connections_is_a_state_of_its_own(start, simulator, ctx, fakes, until):
    simulator.inject("reject=429")
    await start()
    await until(lambda: "rate_limited" in fakes.states(ctx))
    await trio.sleep(0.3)
    assert simulator.counters["rejected_429"] == 1


async def test_a_server_error_is_retried_until_it_passes(start, simulator, ctx, fakes, subscribed):
    simulator.inject("reject=502:3")
    await start()
    await subscribed()
    assert fakes.states(ctx) == ["reconnecting", "connected"]
    assert simulator.counters["rejected_502"] == 3


@pytest.mark.parametrize(
    ("kind", "reason", "good"),
    [
        ("truncated", "truncated", 1),
        ("zero-packets", "no_packets", 0),
        ("wrong-length", "truncated", 1),
        ("unknown-length", "unknown_length", 2),
        ("trailing-bytes", "trailing_bytes", 1),
        ("65535-packets", None, 65_535),
        ("empty", "empty", 0),
    ],
)
async def test_a_malformed_frame_is_counted_its_good_packets_used_and_the_connection_kept(
    start, simulator, ctx, subscribed, until, kind, reason, good
):
    await start()
    connection = await subscribed()
    await until(lambda: ticks(ctx)[INFY, "full"] >= 1 and ticks(ctx)[NIFTY, "quote"] >= 1)
    before = ticks(ctx).total()
    simulator.inject(f"malformed={kind}")
    simulator.tick("NSE:NIFTY 50")
    await until(lambda: sum(len(b) for b in ctx.published if b.raw) >= before + good + 1)
    assert ticks(ctx).total() == before + good + 1
    if reason:
        assert ctx.counts[reason] == 1
    assert list(simulator.connections) == [connection.number]


async def test_an_oversized_frame_is_a_reconnect(start, simulator, ctx, fakes, subscribed, until):
    await start(max_frame_bytes="1MiB")
    first = await subscribed()
    await until(lambda: ctx.counts["heartbeats"])
    simulator.inject("malformed=huge-text")
    await subscribed(first.number)
    assert ctx.counts["reconnect_oversized"] == 1


async def test_text_frames_become_records(start, simulator, ctx, fakes, subscribed, until):
    await start()
    await subscribed()
    for kind in ("order", "error", "message", "unknown"):
        simulator.inject(f"text={kind}")
    await until(lambda: len(fakes.records(ctx, Notice)) == 3 and len(fakes.records(ctx, Order)) == 1)
    assert [n.kind for n in fakes.records(ctx, Notice)] == ["error", "message", "unknown"]


async def test_a_change_of_wishes_goes_out_on_the_open_connection(start, simulator, ctx, subscribed, until):
    await start()
    connection = await subscribed()
    ctx.demand.want(
        {Instrument("kite", INFY, "NSE", "INFY"): "ltp", Instrument("kite", NIFTY, "NSE", "NIFTY 50"): None}
    )
    await until(lambda: connection.modes == {INFY: "ltp"})
    assert list(simulator.connections) == [connection.number]


@pytest.mark.full
async def test_a_full_house_is_subscribed_and_every_token_sends_its_snapshot(start, simulator, ctx, until):
    await start()
    await until(lambda: ctx.reports and ctx.reports[-1][2]["instruments"])
    universe = list(ctx.instruments.table.values())[:1500]
    ctx.demand.want(dict.fromkeys(universe, "full"))
    await until(lambda: {token for token, _ in ticks(ctx)} >= {i.token for i in universe})
    await until(lambda: ctx.reports[-1][2]["unconfirmed"] == 0)
    assert ctx.reports[-1][0] == "connected"


class TestLogin:
    """The whole way of a login, with the official client and the broker's own redirect."""

    @pytest.fixture
    async def source(self, simulator, ctx, options, nursery):
        """A source that nobody has logged in yet."""
        ctx.state_dir.mkdir()
        chosen = options(
            access_token=None, api_secret="demo-secret", ws_url=simulator.ws_url, rest_url=simulator.rest_url,
            login_url=f"{simulator.rest_url}/connect/login", backoff_initial="50ms", subscribe_pause="5ms",
            per_connection=1,
        )  # fmt: skip
        chosen = chosen.model_copy(update={"api_key": simulator.api_key})
        ctx.demand.want(
            {
                Instrument("kite", INFY, "NSE", "INFY"): "full",
                Instrument("kite", NIFTY, "NSE", "NIFTY 50"): "quote",
            }
        )
        source = KiteSource(chosen)
        await nursery.start(lambda task_status: source.run(ctx, task_status=task_status))
        return source

    @pytest.fixture
    def log_in(self, simulator, source):
        """Goes where a person goes, and comes back with the redirect."""
        object.__setattr__(simulator.options, "redirect_url", "http://127.0.0.1:1/login/kite/callback")

        def go():
            class NoRedirects(urllib.request.HTTPRedirectHandler):
                def redirect_request(self, *_):
                    return None

            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirects)
            try:
                opener.open(source.url("STATE"), timeout=5)
            except urllib.error.HTTPError as answer:
                with answer:
                    return answer.headers["Location"]
            raise AssertionError

        async def log_in():
            landed = await trio.to_thread.run_sync(go)
            params = dict(parse_qsl(urlsplit(landed).query))
            assert params["state"] == "STATE"
            return await source.exchange(params)

        return log_in

    async def test_the_redirect_of_the_broker_is_a_login_for_all_connections(
        self, simulator, ctx, source, log_in, until
    ):
        await until(lambda: ctx.reports and ctx.reports[-1][0] == "auth_required")
        done = await log_in()
        assert done.user == "SIM001"
        await until(lambda: len(simulator.connections) == 2)
        await until(lambda: ctx.reports[-1][0] == "connected")
        assert ctx.reports[-1][2]["login"]["user"] == "SIM001"
        assert source.expires == done.expires_ns
        assert simulator.counters["rejected_403"] == 0

    async def test_a_login_from_elsewhere_is_told_and_another_login_mends_it(
        self, simulator, ctx, log_in, until
    ):
        await log_in()
        await until(lambda: len(simulator.connections) == 2)
        simulator.inject("login-elsewhere=cut")
        await until(lambda: "a login elsewhere" in ctx.reports[-1][1])
        assert ctx.reports[-1][0] == "auth_required"
        await trio.sleep(0.3)
        assert simulator.counters["rejected_403"] == 1
        await log_in()
        await until(lambda: len(simulator.connections) == 2)
        assert simulator.counters["rejected_403"] == 1

    async def test_a_plan_without_market_data_is_told(self, simulator, ctx, log_in, until):
        simulator.inject("no-market-data")
        await log_in()
        await until(lambda: "refuses market data" in ctx.reports[-1][1])
        assert ctx.reports[-1][0] == "auth_required"

    async def test_a_changed_secret_is_told_to_who_logs_in(self, simulator, log_in):
        simulator.inject("change-secret")
        with pytest.raises(LoginRefused, match="has it been made anew"):
            await log_in()

    async def test_a_postback_makes_the_order_be_read(self, simulator, ctx, source, log_in, until):
        await log_in()
        form = {"exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "quantity": "1",
                "product": "CNC", "order_type": "MARKET"}  # fmt: skip
        order = simulator.place_order("regular", form)
        body = json.dumps(postback(order, "demo-secret")).encode()
        (record,) = await source.verify(body, {})
        assert record.data["order_id"] == order["order_id"]
        assert await source.verify(body, {}) == ()


async def test_a_dead_shard_is_told_and_the_others_run_on(start, simulator, ctx, fakes, until):
    await start(per_connection=200)
    await until(lambda: ctx.reports and ctx.reports[-1][2]["instruments"])
    universe = [ctx.instruments.get(token) for token in simulator.universe.tokens[:610]]
    ctx.demand.want(dict.fromkeys(ctx.demand.wanted()) | dict.fromkeys(universe, "full"))
    await until(lambda: ctx.reports[-1][2]["subscribed"] == 600 and not ctx.reports[-1][2]["unconfirmed"])
    assert sorted(len(c.modes) for c in simulator.connections.values()) == [200, 200, 200]
    assert "10 instruments are beyond the limit of 600" in ctx.reports[-1][1]
    before = dict(simulator.connections)
    victim = max(before)
    simulator.inject(Drop(connection=victim))
    await until(lambda: fakes.gaps(ctx))
    assert "200 of 600 instruments are without a feed" in "".join(detail for _, detail, _ in ctx.reports)
    (gap,) = fakes.gaps(ctx)
    assert len(gap.instruments) == 200
    lost = {ctx.instruments.get(token).symbol for token in before[victim].modes} or set(gap.instruments)
    assert set(gap.instruments) == lost
    await until(lambda: ctx.reports[-1][2]["subscribed"] == 600)
    assert before.keys() - {victim} < simulator.connections.keys()


@pytest.mark.full
async def test_nine_thousand_instruments_are_spread_and_each_sends_its_snapshot(ctx, options, nursery, until):
    ctx.state_dir.mkdir()
    async with open_simulator(SimulatorOptions(seed=1, instruments=12_000)) as sim:
        source = KiteSource(
            options(ws_url=sim.ws_url, rest_url=sim.rest_url, access_token=sim.access_token).model_copy(
                update={"api_key": sim.api_key}
            )
        )
        await nursery.start(lambda task_status: source.run(ctx, task_status=task_status))
        await until(lambda: ctx.reports and ctx.reports[-1][2]["instruments"])
        universe = [ctx.instruments.get(token) for token in sim.universe.tokens]
        ctx.demand.want(dict.fromkeys(universe[:9000], "full"))
        await until(
            lambda: ctx.reports[-1][2]["subscribed"] == 9000 and not ctx.reports[-1][2]["unconfirmed"]
        )
        assert sorted(len(c.modes) for c in sim.connections.values()) == [3000, 3000, 3000]
        before = {number: set(c.modes) for number, c in sim.connections.items()}
        ctx.demand.want(dict.fromkeys(universe[:100]) | dict.fromkeys(universe[9000:9100], "full"))
        wanted = {one.token for one in universe[100:9100]}
        await until(lambda: {token for c in sim.connections.values() for token in c.modes} == wanted)
        moved = sum(len(set(c.modes) - before[number]) for number, c in sim.connections.items())
        assert moved == 100
        assert ctx.reports[-1][:2] == ("connected", "")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("fills", [True, False])
async def test_what_stays_quiet_after_a_reconnect_is_filled_from_quotes(
    start, simulator, ctx, fakes, subscribed, until, monkeypatch, fills
):
    monkeypatch.setattr(fill, "AFTER_S", 0.2)
    monkeypatch.setattr(feed, "REPORT_EVERY", 0.05)
    await start(fill_quotes=fills)
    connection = await subscribed()
    await until(lambda: ctx.reports and ctx.reports[-1][2]["instruments"])
    simulator.tick()
    await until(lambda: ticks(ctx)[INFY, "full"] and ticks(ctx)[NIFTY, "quote"])
    simulator.inject("mute-instrument=NSE:INFY")
    before = ticks(ctx)
    simulator.inject("drop")
    await subscribed(connection.number)
    if not fills:
        await trio.sleep(0.5)
        assert ticks(ctx)[INFY, "full"] == before[INFY, "full"]
        return
    await until(lambda: ctx.counts["quotes_filled"])
    found = [b for b in ctx.published if b.raw][-1].ticks
    assert [(t.instrument_token, t.symbol, t.mode, t.flags) for t in found] == [
        (INFY, "NSE:INFY", "full", ("snapshot",))
    ]
    assert found[0].last_price == simulator.line(INFY).price
    await trio.sleep(feed.REPORT_EVERY)
    assert ctx.reports[-1][2]["unconfirmed_tokens"] == [INFY], "the feed itself still owes it"
    assert ctx.reports[-1][2]["rest_sent_from"] == "127.0.0.1"
    assert ctx.reports[-1][2]["clock_ahead_s"] == pytest.approx(0, abs=5)
