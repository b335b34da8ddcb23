"""What a refusal is told as."""

import os

import pytest
import trio

from tickerd_plugins.kite.credentials import Credentials
from tickerd_plugins.kite.diagnosis import Diagnosis
from tickerd_plugins.kite.outage import Outage
from tickerd_plugins.kite.saved import SavedLogin

REFUSED = Outage("auth", "refused (HTTP 403)", 7)


class FakeBroker:
    """Says what a test has put into it, the last again and again."""

    def __init__(self, *verdicts):
        self.verdicts = list(verdicts)
        self.asked = 0

    async def verdict(self, access_token):
        await trio.lowlevel.checkpoint()
        self.asked += 1
        return self.verdicts.pop(0) if len(self.verdicts) > 1 else self.verdicts[0]


@pytest.fixture
async def made(ctx, options):
    def make(*verdicts, **values):
        credentials = Credentials(options(**values), ctx.hide, ctx.clock.now_ns, "kite")
        broker = FakeBroker(*verdicts)
        return Diagnosis(broker, credentials, ctx), credentials, broker

    return make


async def test_a_plan_without_market_data_is_told(made):
    diagnosis, credentials, _ = made("good")
    await credentials.access_token()
    told = await diagnosis.explain(REFUSED, "TOKEN")
    assert "takes the login but refuses market data" in told.detail
    assert "Personal plan" in told.detail
    assert (told.reason, told.retry_after) == ("auth", 7)


async def test_a_token_that_was_never_good_is_unknown(made):
    diagnosis, credentials, _ = made("dead")
    await credentials.access_token()
    assert "does not know this access token" in (await diagnosis.explain(REFUSED, "TOKEN")).detail


@pytest.mark.parametrize("how", ["accepted", "login"])
async def test_a_token_that_was_good_has_been_ended_by_somebody(made, ctx, how):
    diagnosis, credentials, _ = made("dead", api_secret="S")
    if how == "accepted":
        credentials.accept("TOKEN")
    else:
        now_ns = ctx.clock.now_ns()
        credentials.log_in(SavedLogin(api_key="KEY", access_token="TOKEN", user_id="U", since_ns=now_ns))
    await credentials.access_token()
    told = (await diagnosis.explain(REFUSED, "TOKEN")).detail
    assert "was ended before its time" in told
    assert "a login elsewhere" in told
    assert "tickerd login kite" in told


async def test_a_token_of_yesterday_has_ended_at_6(made, tmp_path):
    path = tmp_path / "token"
    path.write_text("TOKEN")
    os.utime(path, (1_768_360_800, 1_768_360_800))
    diagnosis, credentials, _ = made("dead", access_token_file=path)
    await credentials.access_token()
    told = (await diagnosis.explain(REFUSED, "TOKEN")).detail
    assert told.startswith("the access token has ended at 2026-01-15 06:00 IST (HTTP 403): log in again")


async def test_when_the_broker_cannot_say_the_words_stay(made):
    diagnosis, _, _ = made("unknown")
    assert await diagnosis.explain(REFUSED, "TOKEN") is REFUSED


async def test_a_new_token_is_tried_out_before_a_connection_that_works_is_given_up(made):
    diagnosis, _, broker = made("good")
    assert await diagnosis.is_usable("NEW")
    assert broker.asked == 1
    diagnosis, _, _ = made("dead")
    assert not await diagnosis.is_usable("NEW")
    assert "the one before stays in use" in diagnosis.problem


async def test_it_asks_until_the_broker_can_tell(made, autojump_clock):
    diagnosis, _, broker = made("unknown", "unknown", "good")
    assert await diagnosis.is_usable("NEW")
    assert broker.asked == 3
    assert 9 < trio.current_time() < 11


async def test_a_login_is_good_by_itself(made, ctx):
    diagnosis, credentials, broker = made("dead")
    now_ns = ctx.clock.now_ns()
    credentials.log_in(SavedLogin(api_key="KEY", access_token="NEW", user_id="U", since_ns=now_ns))
    await credentials.access_token()
    assert await diagnosis.is_usable("NEW")
    assert broker.asked == 0
