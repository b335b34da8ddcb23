"""Loading the instrument table: the download, the copy on disk, and when to try again."""

import sys
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from tickerd.plugin import Clock, Listing
from tickerd.plugin.refreshing import Refreshing
from tickerd.testing import FakeContext
from tickerd_plugins.kite import instruments
from tickerd_plugins.kite.broker import Broker
from tickerd_plugins.kite.clocks import Clocks
from tickerd_plugins.kite.credentials import Credentials
from tickerd_plugins.kite.instruments import (
    COPY,
    DumpError,
    Registry,
    decode,
    download,
    save,
    seconds_until,
)
from tickerd_plugins.kite.rows import Header, pack
from tickerd_plugins.kite.source import KiteSource

ROOT = "https://api.kite.trade"


def rows(n):
    return [(token, "NSE", f"S{token}", "", "NSE", "EQ", "", 0.0, 1, 0.05) for token in range(1, n + 1)]


def dump(n, fetched_ns=None, **header):
    """What the download process says; the time is that of the context when it is left out."""
    fetched_ns = nanoseconds(2026, 11, 23, 3, 0) if fetched_ns is None else fetched_ns
    return pack(Header(**header), rows(n), {"root": ROOT, "fetched_ns": fetched_ns})


def copy_of(n, root=ROOT, fetched_ns=0):
    """The copy on disk."""
    return Listing.of_rows("kite", rows(n)).pack({"root": root, "fetched_ns": fetched_ns})


YESTERDAY = (2026, 11, 22, 3, 0)


def nanoseconds(*when):
    return int(datetime(*when, tzinfo=UTC).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("now", "seconds"),
    [
        ((2026, 11, 23, 2, 0), 3600),  # 07:30 in India
        ((2026, 11, 23, 3, 0), 24 * 3600),  # 08:30 sharp
        ((2026, 11, 23, 4, 0), 23 * 3600),
        ((2026, 11, 23, 19, 0), 8 * 3600),  # past midnight in India
    ],
)
def test_the_next_download_is_at_half_past_eight_in_india(now, seconds):
    assert seconds_until("08:30", nanoseconds(*now)) == seconds


# -- the download process ------------------------------------------------------------------------------------


def python(code):
    return (sys.executable, "-c", code)


async def test_the_request_goes_to_the_input_and_the_answer_comes_from_the_output():
    echo = python("import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())")
    assert await download(b"x" * 300_000, 30, 10**6, echo) == b"x" * 300_000


async def test_a_download_that_takes_too_long_is_ended():
    begun = trio.current_time()
    with pytest.raises(DumpError, match=r"no instrument dump within 0\.3 s"):
        await download(
            b"", 0.3, 10, python("import signal; signal.signal(15, signal.SIG_IGN); signal.pause()")
        )
    assert trio.current_time() - begun < 4


async def test_a_download_that_writes_too_much_is_ended():
    endless = python("import sys\nwhile True: sys.stdout.write('x' * 9999)")
    with pytest.raises(DumpError, match="larger than 100000 bytes"):
        await download(b"", 30, 100_000, endless)


async def test_a_process_that_says_nothing_is_an_error():
    with pytest.raises(DumpError, match="ended with code 3 and without an answer"):
        await download(b"", 30, 10, python("raise SystemExit(3)"))


def test_damaged_bytes_are_refused():
    with pytest.raises(DumpError, match="damaged instrument dump"):
        decode(dump(3)[:-5])
    flipped = bytearray(dump(3))
    flipped[-30] ^= 1
    with pytest.raises(DumpError, match="damaged instrument dump: damaged"):
        decode(bytes(flipped))
    with pytest.raises(DumpError, match="holds no rows"):
        decode(dump(0))
    with pytest.raises(DumpError, match="refused") as caught:
        decode(pack(Header(error="refused", auth=True)))
    assert caught.value.auth


def test_a_copy_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / COPY
    save(path, b"one")
    save(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in tmp_path.iterdir()] == [COPY]


# -- the loader ---------------------------------------------------------------------------------------------


@pytest.fixture
def clock():
    # files are read and written in threads
    return trio.testing.MockClock(autojump_threshold=0.05)


@pytest.fixture
async def ctx(tmp_path):
    """A context whose day begins at half past eight in India."""
    return FakeContext(tmp_path / "state", "kite", Clock(nanoseconds(2026, 11, 23, 3, 0)))


@pytest.fixture
async def start(clock, ctx, options, monkeypatch, nursery):
    """Runs a registry whose downloads are scripted: bytes, or an error."""
    ctx.state_dir.mkdir()

    def begin(*script, **values):
        told = SimpleNamespace(times=[], tokens=[], changes=0)
        steps = iter(script)

        async def scripted(request, limit, max_bytes):
            await trio.lowlevel.checkpoint()
            told.times.append(trio.current_time())
            told.tokens.append(request)
            step = next(steps)
            if isinstance(step, Exception):
                raise step
            return step

        def changed():
            told.changes += 1

        monkeypatch.setattr(instruments, "download", scripted)
        chosen = options(**values)
        told.clocks = Clocks(ctx)
        told.registry = Registry(
            chosen, ctx, Credentials(chosen, lambda _: None), changed, Broker(chosen), told.clocks
        )
        nursery.start_soon(told.registry.run)
        return told

    return begin


async def test_the_table_is_loaded_and_a_copy_kept(clock, start, ctx):
    told = start(dump(5, skipped=1))
    await trio.sleep(1)
    assert len(ctx.instruments) == 5
    assert ctx.instruments.get(3).symbol == "NSE:S3"
    assert (told.registry.rows, told.registry.problem, told.changes) == (5, "", 1)
    assert ctx.counts["instrument_rows_skipped"] == 1
    copy = Listing.unpack((ctx.state_dir / COPY).read_bytes())
    assert copy.about["fetched_ns"] == told.registry.fetched_ns
    assert len(copy) == 5


async def test_it_is_loaded_again_every_day(clock, start, ctx):
    told = start(*[dump(n) for n in range(5, 100)])
    await trio.sleep(3 * 24 * 3600 + 60)
    assert len(told.times) == 4
    assert told.times[2] - told.times[1] == pytest.approx(24 * 3600, abs=5)
    assert len(ctx.instruments) == 8


async def test_yesterdays_copy_is_used_at_once_and_kept_when_the_download_fails(clock, start, ctx):
    ctx.state_dir.joinpath(COPY).write_bytes(copy_of(4, fetched_ns=nanoseconds(*YESTERDAY)))
    told = start(DumpError("no answer in time"), DumpError("no answer in time"), dump(5))
    await trio.sleep(0.3)
    assert len(ctx.instruments) == 4
    assert told.registry.problem == "no answer in time; the one of 2026-11-22 08:30 IST stays in use"
    await trio.sleep(60)
    assert len(ctx.instruments) == 5
    assert told.registry.problem == ""
    assert ctx.counts["instruments_failed"] == 2


async def test_a_copy_of_today_needs_no_download_until_tomorrow(clock, start, ctx):
    ctx.state_dir.joinpath(COPY).write_bytes(copy_of(4, fetched_ns=nanoseconds(2026, 11, 23, 3, 0)))
    told = start(dump(5))
    await trio.sleep(60)
    assert (len(ctx.instruments), told.times, told.registry.problem) == (4, [], "")
    await trio.sleep(24 * 3600)
    assert (len(ctx.instruments), len(told.times)) == (5, 1)


async def test_a_copy_of_yesterday_is_said_to_be_one_until_the_download_is_there(
    clock, start, ctx, monkeypatch
):
    ctx.state_dir.joinpath(COPY).write_bytes(copy_of(4, fetched_ns=nanoseconds(*YESTERDAY)))
    problems = []
    told = start(dump(5))
    load = ctx.instruments.load

    def noted(listing):
        problems.append(told.registry.problem)
        load(listing)

    monkeypatch.setattr(ctx.instruments, "load", noted)
    await trio.sleep(1)
    assert problems == ["", "the instruments are those of 2026-11-22 08:30 IST"]
    assert told.registry.problem == ""


async def test_it_is_loaded_again_when_somebody_asks_but_not_more_than_once_a_minute(clock, start, ctx):
    told = start(*[dump(n) for n in range(5, 100)])
    await trio.sleep(100)
    assert len(told.times) == 1
    told.registry.refresh()
    await trio.sleep(5)
    assert len(told.times) == 2
    for _ in range(10):
        told.registry.refresh()
        await trio.sleep(10)
    assert told.times == [0, 100, 160]
    await trio.sleep(20)
    assert told.times == [0, 100, 160, 220]


async def test_one_who_asks_does_not_wait_for_the_next_try(clock, start, ctx):
    told = start(DumpError("x"), dump(5))
    told.registry._backoff = SimpleNamespace(next=lambda: 1e6, reset=lambda: None)
    await trio.sleep(100)
    assert (len(told.times), len(ctx.instruments)) == (1, 0)
    told.registry.refresh()
    await trio.sleep(1)
    assert len(ctx.instruments) == 5


@pytest.mark.parametrize("copy", [None, b"rubbish", copy_of(4)[:-3], copy_of(4, root="http://simulator")])
async def test_without_a_usable_copy_the_feed_goes_on_without_symbols(clock, start, ctx, copy):
    if copy is not None:
        ctx.state_dir.joinpath(COPY).write_bytes(copy)
    told = start(*[DumpError("dns")] * 100)
    await trio.sleep(1)
    assert len(ctx.instruments) == 0
    assert told.registry.problem == "dns; symbols cannot be resolved, tokens can be subscribed"


async def test_a_failure_later_keeps_the_table_that_is_there(clock, start, ctx):
    told = start(dump(5), *[DumpError("the dump is cut off in row 3")] * 300)
    await trio.sleep(24 * 3600 + 10)
    assert len(ctx.instruments) == 5
    assert (
        told.registry.problem == "the dump is cut off in row 3; the one of 2026-11-23 08:30 IST stays in use"
    )


async def test_a_damaged_dump_never_replaces_the_copy(clock, start, ctx):
    good = copy_of(4, fetched_ns=nanoseconds(*YESTERDAY))
    ctx.state_dir.joinpath(COPY).write_bytes(good)
    start(dump(10)[:-3], *[DumpError("x")] * 100)
    await trio.sleep(1)
    assert ctx.state_dir.joinpath(COPY).read_bytes() == good
    assert len(ctx.instruments) == 4


async def test_a_dump_that_lost_half_of_its_rows_needs_a_second_one_that_agrees(clock, start, ctx):
    told = start(dump(100), dump(20), dump(30), dump(30))
    await trio.sleep(24 * 3600 + 1)
    assert len(ctx.instruments) == 100
    assert told.registry.problem.startswith("the instrument dump has 20 rows after 100 before")
    await trio.sleep(30)
    assert len(ctx.instruments) == 30
    assert told.registry.problem == ""
    assert len(told.times) == 4


async def test_a_dump_that_lacks_a_tenth_of_what_has_not_expired_needs_a_second_one_that_agrees(
    clock, start, ctx
):
    lost = {"compared": 100, "lost": 11}
    told = start(dump(100), dump(99, **lost), dump(99, **lost))
    await trio.sleep(24 * 3600 + 1)
    assert told.registry.problem.startswith(
        "the instrument dump lacks 11 of 100 symbols that have not expired; used if the next one agrees"
    )
    assert len(ctx.instruments) == 100
    await trio.sleep(30)
    assert len(ctx.instruments) == 99


async def test_what_a_new_dump_changed_is_one_record(clock, start, ctx):
    start(dump(100), dump(103, compared=100, lost=2, added=5, expired=0, changed=1))
    await trio.sleep(1)
    assert ctx.published == []
    await trio.sleep(24 * 3600)
    (change,) = ctx.published[0].records
    assert (change.symbol, change.change) == ("*", "changed")
    assert change.detail == "5 added, 1 changed, 2 lost, 103 in all"


async def test_the_download_process_is_told_what_to_compare_with(clock, start, ctx):
    told = start(dump(5))
    await trio.sleep(1)
    assert str(ctx.state_dir / COPY).encode() in told.tokens[0]


async def test_failures_are_retried_with_waits_that_grow_to_a_cap(clock, start):
    told = start(*[DumpError("x")] * 1000)
    await trio.sleep(2 * 3600)
    assert 24 < len(told.times) < 140


async def test_a_new_token_is_tried_at_once_after_a_refusal(clock, start, ctx, tmp_path):
    path = tmp_path / "token"
    path.write_text("old")
    told = start(*[DumpError("HTTP 403", auth=True)] * 5, dump(5), access_token_file=path)
    while len(told.times) < 5:
        await trio.sleep(5)
    path.write_text("new")
    await trio.sleep(5)
    assert len(ctx.instruments) == 5
    assert b'"new"' in told.tokens[-1]


async def test_a_disk_that_cannot_be_written_does_not_harm_the_table(clock, start, ctx, monkeypatch):
    def full(path, raw):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(instruments, "save", full)
    told = start(dump(5))
    await trio.sleep(1)
    assert len(ctx.instruments) == 5
    assert told.registry.problem == ""
    assert ctx.counts["instruments_copy_failed"] == 1


async def test_the_source_hands_on_that_somebody_asks(options):
    source = KiteSource(options())
    assert isinstance(source, Refreshing)
    source.refresh_instruments()  # it does not run
    asked = []
    source._feed = SimpleNamespace(refresh_instruments=lambda: asked.append(1))
    source.refresh_instruments()
    assert asked == [1]


async def test_a_clock_ten_minutes_wrong_is_told_once_and_shown(clock, start, ctx):
    ctx.clock.skew_s = lambda: 0.0
    with capture_logs() as logs:
        told = start(*[dump(n, host_ahead_s=600.0) for n in range(5, 10)], dump(10, host_ahead_s=1.0))
        await trio.sleep(24 * 3600 + 60)
    lines = [line for line in logs if line["event"] == "the clock is wrong, by the broker's"]
    assert [line["ahead_s"] for line in lines] == [600]
    assert told.clocks.ahead_s == 600
    await trio.sleep(4 * 24 * 3600)
    assert told.clocks.ahead_s == 1


async def test_a_host_that_was_set_right_since_the_start_leaves_our_clock_wrong(clock, start, ctx):
    ctx.clock.skew_s = lambda: -600.0
    told = start(dump(5, host_ahead_s=0.0))
    await trio.sleep(1)
    assert told.clocks.ahead_s == 600


async def test_after_a_429_it_waits_as_long_as_the_broker_says(clock, start, ctx):
    too_often = pack(Header(error="HTTP 429", too_often=True, retry_after=200.0))
    told = start(too_often, dump(5))
    await trio.sleep(199)
    assert len(told.times) == 1
    await trio.sleep(5)
    assert len(told.times) == 2
    assert len(ctx.instruments) == 5
