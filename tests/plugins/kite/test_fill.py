"""After a reconnect what stayed quiet is asked for by REST, once, and published as snapshots."""

from types import SimpleNamespace

import pytest
import trio
from structlog.testing import capture_logs

from tickerd.plugin import Retry
from tickerd_plugins.kite.fill import AFTER_S, Fill


@pytest.fixture
def reading(ctx, fakes):
    """A fill over a session that a test makes quiet, and a broker that knows every price."""
    ctx.instruments.load(fakes.instruments(*range(1, 2001)))
    told = SimpleNamespace(calls=[], unknown=set(), errors=[], quiet=set(), wanted={})

    async def read(symbols, mode):
        await trio.sleep(1)
        told.calls.append((mode, list(symbols)))
        if told.errors:
            raise told.errors.pop(0)
        known = [symbol for symbol in symbols if symbol not in told.unknown]
        return {s: {"instrument_token": int(s.removeprefix("NSE:S")), "last_price": 5.0} for s in known}

    class Session:
        number = 2
        wanted = told.wanted
        opened = trio.Event()

        @property
        def unconfirmed(self):
            return sorted(told.quiet)

        def is_quiet(self, token):
            return token in told.quiet

        async def settled(self):
            await self.opened.wait()

    told.session = Session()
    told.fill = Fill(ctx, read)
    return told


def want(told, tokens, mode="ltp", *, open_at_once=True):
    told.wanted.update(dict.fromkeys(tokens, mode))
    told.quiet.update(tokens)
    if open_at_once:
        told.session.opened.set()


def filled(ctx):
    return [(t.instrument_token, t.mode, t.flags, t.connection) for b in ctx.published for t in b.ticks]


async def test_it_waits_for_the_subscriptions_and_for_the_brokers_own_snapshots(
    autojump_clock, reading, ctx, nursery
):
    want(reading, [1, 2, 3], open_at_once=False)
    nursery.start_soon(reading.fill.run, reading.session)
    await trio.sleep(100)
    reading.session.opened.set()
    await trio.sleep(AFTER_S - 0.1)
    assert reading.calls == []
    reading.quiet.discard(2)
    await trio.sleep(2)
    assert reading.calls == [("ltp", ["NSE:S1", "NSE:S3"])]
    assert filled(ctx) == [(1, "ltp", ("snapshot",), 2), (3, "ltp", ("snapshot",), 2)]
    assert ctx.counts["quotes_filled"] == 2


async def test_what_ticks_while_the_answer_is_under_way_is_newer(autojump_clock, reading, ctx, nursery):
    want(reading, [1, 2])
    nursery.start_soon(reading.fill.run, reading.session)
    await trio.sleep(AFTER_S + 0.5)
    reading.quiet.discard(1)
    await trio.sleep(2)
    assert [token for token, *_ in filled(ctx)] == [2]


async def test_many_are_asked_for_in_several_calls_and_none_that_has_ticked(autojump_clock, reading, nursery):
    want(reading, range(1, 1101), "full")
    nursery.start_soon(reading.fill.run, reading.session)
    await trio.sleep(AFTER_S + 0.5)
    reading.quiet.difference_update(range(500, 1050))
    await trio.sleep(10)
    assert [len(symbols) for _, symbols in reading.calls] == [500, 51]


async def test_a_call_in_which_all_have_ticked_is_not_made(autojump_clock, reading, nursery):
    want(reading, range(1, 501), "full")
    want(reading, [600], "ltp")
    nursery.start_soon(reading.fill.run, reading.session)
    await trio.sleep(AFTER_S + 0.5)
    reading.quiet.clear()
    await trio.sleep(10)
    assert [mode for mode, _ in reading.calls] == ["full"]


async def test_what_has_no_name_or_is_not_wanted_any_more_is_not_asked_for(autojump_clock, reading, ctx):
    want(reading, [1, 3000, 2])
    del reading.wanted[2]
    await reading.fill.run(reading.session)
    assert reading.calls == [("ltp", ["NSE:S1"])]


async def test_what_the_broker_does_not_know_or_says_oddly_is_left_out(autojump_clock, reading, ctx):
    want(reading, [1, 2, 3])
    want(reading, [4], "full")
    reading.unknown.update(["NSE:S1", "NSE:S4"])
    ctx.instruments.table[3] = ctx.instruments.table[1999]  # the symbol has another token by now
    await reading.fill.run(reading.session)
    assert [token for token, *_ in filled(ctx)] == [2]
    assert (ctx.counts["quotes_unusable"], ctx.counts["quotes_filled"]) == (1, 1)
    assert len(ctx.published) == 1, "nothing is published where nothing was found"


async def test_a_failure_is_told_once_and_ends_it(autojump_clock, reading, ctx):
    want(reading, range(1, 1101), "full")
    reading.errors.append(Retry("the broker says that we ask too often"))
    with capture_logs() as logs:
        await reading.fill.run(reading.session)
    assert [line["log_level"] for line in logs] == ["warning"]
    assert logs[0]["error"] == "the broker says that we ask too often"
    assert (len(reading.calls), ctx.published, ctx.counts["quotes_failed"]) == (1, [], 1)
