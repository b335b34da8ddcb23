"""The source as a whole: what is wanted reaches the connection, and how it reports."""

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from tickerd.plugin import Inbound, Login, LoginRefused, Rejected, Source
from tickerd.testing import FakeContext, check_plugin, check_source
from tickerd.wire.kite import KITE
from tickerd_plugins import kite
from tickerd_plugins.kite import KiteSource, instruments, tickerd_codecs, tickerd_sources
from tickerd_plugins.kite.broker import Broker
from tickerd_plugins.kite.rows import Header, pack


@pytest.fixture
def clock():
    return trio.testing.MockClock(autojump_threshold=0.05)


@pytest.fixture
async def start(ctx, options, fakes, monkeypatch, nursery):
    """Runs a source over scripted sockets; the dump holds the tokens 1 to 9."""
    ctx.state_dir.mkdir()
    rows = [(token, "NSE", f"S{token}", "", "NSE", "EQ", "", 0.0, 1, 0.05) for token in range(1, 10)]

    async def download(*_):
        await trio.lowlevel.checkpoint()
        return pack(Header(), rows)

    async def orders(*_):
        await trio.lowlevel.checkpoint()
        return []

    monkeypatch.setattr(instruments, "download", download)
    monkeypatch.setattr(Broker, "orders", orders)

    async def begin(*script, **values):
        dial = fakes.Dial(*script)
        source = KiteSource(options(**values), dial)
        await nursery.start(lambda task_status: source.run(ctx, task_status=task_status))
        return dial

    return begin


def last(ctx):
    state, detail, facts = ctx.reports[-1]
    return state, detail, facts


def test_the_plugin_declares_its_source_and_its_codec():
    assert tickerd_sources() is KiteSource
    assert issubclass(KiteSource, Source)
    assert tickerd_codecs() == [KITE]
    assert (KiteSource.namespace, KiteSource.replace, KiteSource.capacity) == ("kite", "after", 9000)


async def test_it_has_started_before_anything_is_connected(clock, start, ctx, fakes):
    begun = trio.current_time()
    await start(fakes.Outage("dns", "no"), access_token_file="/nonexistent")
    assert trio.current_time() == begun
    await trio.sleep(3)
    state, detail, _ = last(ctx)
    assert state == "auth_required"
    assert detail == "no access_token_file '/nonexistent': write today's access token to it"


async def test_what_is_wanted_is_subscribed_and_followed(clock, start, ctx, fakes):
    one, two, three = fakes.instruments(1, 2, 3)
    ctx.demand.want({one: "full", two: "quote"})
    dial = await start()
    await trio.sleep(2)
    (socket,) = dial.sockets
    assert socket.subscribed == {1: "full", 2: "quote"}
    before = len(socket.sent)
    ctx.demand.want({one: None, three: "ltp"})
    await trio.sleep(2)
    assert socket.subscribed == {2: "quote", 3: "ltp"}
    assert len(socket.sent) - before == 3
    assert len(dial.sockets) == 1


async def test_the_report_holds_state_and_facts(clock, start, ctx, fakes):
    ctx.demand.want(dict.fromkeys(fakes.instruments(1, 2), "full"))
    dial = await start()
    await trio.sleep(1)
    dial.sockets[0].say(fakes.ltp(1))
    await trio.testing.wait_all_tasks_blocked()
    seen = ctx.clock.now_ns()
    await trio.sleep(1.5)
    state, detail, facts = last(ctx)
    assert (state, detail) == ("connected", "")
    by_connection = facts.pop("by_connection")
    assert [(one["connection"], one["state"], one["wanted"]) for one in by_connection] == [
        (0, "connected", 2),
        (1, "idle", 0),
        (2, "idle", 0),
    ]
    assert facts == {
        "connections": 1,
        "subscribed": 2,
        "wanted": 2,
        "capacity": 9000,
        "surplus": 0,
        "surplus_instruments": [],
        "without_feed": 0,
        "without_feed_instruments": [],
        "login": {"from": "option", "user": None, "since_ns": None},
        "login_expires_ns": None,
        "login_expires_in_s": None,
        "unconfirmed": 1,
        "unconfirmed_tokens": [2],
        "last_frame_ns": seen,
        "reconnects": {},
        "instruments": 9,
        "instruments_fetched_ns": facts["instruments_fetched_ns"],
        "dump_loaded_ns": facts["instruments_fetched_ns"],
        "dump_problem": "",
        "clock_ahead_s": None,
        "rest_sent_from": None,
    }
    dial.sockets[0].end("silent", "no frame for 10 s")
    await trio.testing.wait_all_tasks_blocked()
    state, detail, facts = last(ctx)
    assert (state, detail) == ("reconnecting", "no frame for 10 s")
    assert (facts["connections"], facts["subscribed"], facts["reconnects"]) == (0, 0, {"silent": 1})


async def test_what_is_beyond_the_capacity_is_counted_and_told_and_the_rest_lives(clock, start, ctx, fakes):
    wanted = fakes.instruments(*range(1, 3011))
    ctx.demand.want(dict.fromkeys(wanted, "ltp"))
    with capture_logs() as logs:
        dial = await start(stale_after="1h", reconnect_after="1h", connections=1)
        await trio.sleep(5)
    assert len(dial.sockets[0].subscribed) == 3000
    assert ctx.counts["over_capacity"] == 10
    _, detail, facts = last(ctx)
    assert detail == (
        "10 instruments are beyond the limit of 3000 (3000 on each of 1 connections) and left out, such as 3001: "
        "list fewer, or add a source with another api_key"
    )
    assert facts["surplus"] == 10
    (line,) = [line for line in logs if line["event"] == "more instruments wanted than this source can carry"]
    assert (line["wanted"], line["left_out"], len(line["instruments"])) == (3010, 10, 10)
    ctx.demand.want(dict.fromkeys(wanted[:20]))
    await trio.sleep(5)
    assert len(dial.sockets[0].subscribed) == 2990
    assert last(ctx)[2]["surplus"] == 0
    assert ctx.counts["over_capacity"] == 10


async def test_ticks_of_instruments_carry_their_symbol(clock, start, ctx, fakes):
    dial = await start()
    await trio.sleep(1)
    dial.sockets[0].say(fakes.ltp(7))
    await trio.sleep(1)
    (tick,) = ctx.published[-1].ticks
    assert (tick.symbol, tick.source) == ("NSE:S7", "kite")


async def test_a_token_that_travels_unencrypted_is_warned_of(clock, start, ctx):
    with capture_logs() as logs:
        await start(ws_url="ws://sim:1", rest_url="http://127.0.0.1:1")
    assert [line["option"] for line in logs if line["event"] == "the access token travels unencrypted"] == [
        "ws_url"
    ]


async def test_without_a_dialler_the_real_one_is_used(clock, ctx, options, monkeypatch, nursery):
    dialled = []

    class Fake:
        def __init__(self, chosen):
            dialled.append(chosen)

    from tickerd_plugins.kite import dial

    monkeypatch.setattr(dial, "Dialler", Fake)
    chosen = options(access_token=None, rest_url="http://127.0.0.1:1")
    source = KiteSource(chosen)
    await nursery.start(lambda task_status: source.run(ctx, task_status=task_status))
    assert dialled == [chosen]


def test_the_plugin_passes_the_conformance_check():
    check_plugin(kite)


async def test_the_source_passes_the_conformance_check(clock, options, fakes, tmp_path):
    def make():
        socket = fakes.Socket()
        socket.say(*[fakes.ltp(1, 2), fakes.HEARTBEAT] * 20)
        return KiteSource(options(rest_url="http://127.0.0.1:1"), fakes.Dial(socket))

    await check_source(
        make,
        lambda: FakeContext(tmp_path, "kite"),
        items=40,
    )


async def test_a_login_needs_the_source_to_run(ctx, options):
    source = KiteSource(options(api_secret="SECRET"))
    assert isinstance(source, Login)
    assert isinstance(source, Inbound)
    assert source.expires is None
    assert source.url("STATE").startswith("https://kite.zerodha.com/connect/login?v=3&api_key=KEY")
    with pytest.raises(LoginRefused, match="the source is not running"):
        await source.exchange({"request_token": "x"})
    with pytest.raises(Rejected, match="need the source to run"):
        await source.verify(b"{}", {})


async def test_while_it_runs_logins_and_postbacks_reach_it(clock, ctx, options, fakes, nursery):
    source = KiteSource(options(api_secret="SECRET", rest_url="http://127.0.0.1:1"), fakes.Dial())
    await nursery.start(lambda task_status: source.run(ctx, task_status=task_status))
    with pytest.raises(LoginRefused, match="no usable request_token"):
        await source.exchange({"request_token": ""})
    with pytest.raises(Rejected, match="not a JSON object"):
        await source.verify(b"nonsense", {})


def test_its_capacity_follows_from_its_options(options):
    assert KiteSource.capacity_of(options()) == 9000
    assert KiteSource.capacity_of(options(connections=2, per_connection=10)) == 20
