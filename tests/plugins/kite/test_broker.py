"""The REST calls of a login, by the real client against the simulator and against servers that answer nonsense."""

import subprocess
import sys

import pytest
import trio

from tickerd_plugins.kite import broker
from tickerd_plugins.kite.broker import Broker, Exchanged, Refused
from tickerd_plugins.kite.options import KiteOptions
from tickerd_plugins.simulator import SimulatorOptions, open_simulator


@pytest.fixture
async def simulator():
    async with open_simulator(SimulatorOptions(seed=1, instruments=50)) as found:
        yield found


@pytest.fixture
def asked(simulator):
    return Broker(KiteOptions(api_key=simulator.api_key, rest_url=simulator.rest_url))


@pytest.fixture
async def answering(nursery):
    """A server that gives everybody the same bytes; its options."""

    async def serve(answer):
        async def handle(stream):
            await stream.receive_some()
            if answer is None:
                await trio.sleep_forever()
            await stream.send_all(answer)
            await stream.aclose()

        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(trio.serve_listeners, handle, listeners)
        port = listeners[0].socket.getsockname()[1]
        return Broker(KiteOptions(api_key="KEY", rest_url=f"http://127.0.0.1:{port}"))

    return serve


def http(status, kind, body):
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body.encode()


async def test_a_request_token_becomes_an_access_token(simulator, asked):
    found = await asked.exchange(simulator.account.request_token(), "demo-secret")
    assert found == Exchanged(simulator.access_token, "SIM001")
    assert simulator.access_token not in repr(found)
    assert await asked.user_of(simulator.access_token) == "SIM001"
    assert await asked.verdict(simulator.access_token) == "good"


async def test_a_changed_secret_is_told_from_a_used_token(simulator, asked):
    with pytest.raises(Refused, match="has it been made anew"):
        await asked.exchange(simulator.account.request_token(), "old-secret")
    token = simulator.account.request_token()
    await asked.exchange(token, "demo-secret")
    with pytest.raises(Refused, match="works once and for a few minutes"):
        await asked.exchange(token, "demo-secret")


async def test_an_unknown_api_key_is_told(simulator):
    other = Broker(KiteOptions(api_key="other", rest_url=simulator.rest_url))
    with pytest.raises(Refused, match="does not know this api_key"):
        await other.exchange("x", "y")


async def test_a_dead_token_is_told_from_no_answer(simulator, asked):
    simulator.inject("expire")
    assert await asked.verdict(simulator.access_token) == "dead"
    with pytest.raises(Refused, match="does not know this access token"):
        await asked.user_of(simulator.access_token)
    nowhere = Broker(KiteOptions(api_key="KEY", rest_url="http://127.0.0.1:1"))
    assert await nowhere.verdict("T") == "unknown"
    with pytest.raises(Refused, match="no usable answer \\(ConnectionError\\); try again"):
        await nowhere.exchange("x", "SECRET")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (http(502, "text/html", "<html>SECRET</html>"), "DataException"),
        (http(200, "application/json", "not json"), "DataException"),
        (http(200, "application/json", '{"status":"success","data":{"user_id":"A"}}'), "no usable answer"),
        (http(200, "application/json", '{"status":"success","data":{}}'), "no usable answer"),
        (http(200, "application/json", "[]"), "no usable answer"),
        (
            http(
                200,
                "application/json",
                '{"status":"success","data":{"login_time":"","access_token":"a b\\n"}}',
            ),
            "no usable answer",
        ),
        (
            http(429, "application/json", '{"status":"error","error_type":"NetworkException","message":"x"}'),
            "too often",
        ),
        (
            http(503, "application/json", '{"status":"error","error_type":"New","message":"SECRET"}'),
            "GeneralException, HTTP 503",
        ),
    ],
    ids=["html", "no-json", "half", "empty", "list", "odd-token", "too-often", "unknown-error"],
)
async def test_nonsense_is_no_usable_answer_and_never_shown(answering, answer, words):
    asked = await answering(answer)
    with pytest.raises(Refused, match=words) as caught:
        await asked.exchange("REQUEST", "SECRET")
    assert "SECRET" not in str(caught.value)
    assert "REQUEST" not in str(caught.value)


async def test_a_silent_broker_is_not_waited_for(answering, monkeypatch):
    monkeypatch.setattr(broker, "CALL_S", 0.2)
    monkeypatch.setattr(broker, "_SILENT_S", 0.5)
    asked = await answering(None)
    with pytest.raises(Refused, match=r"did not answer within 0\.2 s"):
        await asked.user_of("T")


async def test_a_file_of_certificates_that_is_none_is_a_refusal(tmp_path):
    path = tmp_path / "ca.pem"
    path.write_text("nothing")
    asked = Broker(KiteOptions(api_key="KEY", ca_file=path))
    with pytest.raises(Refused, match="no usable answer"):
        await asked.user_of("T")


def test_the_client_comes_without_its_ticker_and_others_still_get_that():
    program = (
        "import sys\n"
        "from tickerd_plugins.kite.broker import official\n"
        "assert official().__name__ == 'KiteConnect'\n"
        "assert official() is official()\n"
        "assert 'twisted.internet' not in sys.modules\n"
        "import kiteconnect\n"
        "assert not hasattr(kiteconnect, 'nothing')\n"
        "from kiteconnect import KiteTicker\n"
        "assert KiteTicker.__name__ == 'KiteTicker'\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


async def test_the_orders_of_the_day_are_read(simulator, asked):
    rows = await asked.orders(simulator.access_token)
    assert isinstance(rows, list)
    assert all("order_id" in row for row in rows)


def too_often(*head):
    lines = "".join(f"{line}\r\n" for line in head)
    lines += "Content-Type: text/html\r\nContent-Length: 0\r\nConnection: close\r\n"
    return f"HTTP/1.1 429 X\r\n{lines}\r\n".encode()


async def test_after_a_429_it_is_not_asked_before_the_time_that_it_says(answering):
    asked = await answering(too_often("Retry-After: 40"))
    with pytest.raises(Refused, match=r"HTTP 429\); try again in 40 s") as caught:
        await asked.orders("T")
    assert caught.value.cause == "rate_limited"
    with pytest.raises(Refused, match=r"not asked again for (40|39) s") as caught:
        await asked.user_of("T")
    assert caught.value.cause == "rate_limited"
    assert await asked.verdict("T") == "unknown"


@pytest.mark.parametrize(
    ("status", "kind", "cause"),
    [
        (403, "TokenException", "auth"),
        (403, "PermissionException", "permission"),
        (400, "InputException", "input"),
        (400, "OrderException", "order"),
        (502, "DataException", "broker"),
        (503, "NetworkException", "broker"),
        (500, "GeneralException", "broker"),
        (429, "NetworkException", "rate_limited"),
    ],
)
async def test_the_brokers_errors_are_told_apart(answering, status, kind, cause):
    body = f'{{"status":"error","error_type":"{kind}","message":"SECRET"}}'
    asked = await answering(http(status, "application/json", body))
    with pytest.raises(Refused) as caught:
        await asked.orders("T")
    assert caught.value.cause == cause
    assert "SECRET" not in str(caught.value)


async def test_a_broker_that_is_not_there_is_unreachable():
    with pytest.raises(Refused) as caught:
        await Broker(KiteOptions(api_key="KEY", rest_url="http://127.0.0.1:1")).orders("T")
    assert caught.value.cause == "unreachable"


async def test_quotes_are_read_by_symbol(simulator, asked):
    symbols = ["NSE:INFY", "NSE:NIFTY 50", "NSE:NOT THERE"]
    prices = await asked.quotes(symbols, "ltp", simulator.access_token)
    everything = await asked.quotes(symbols, "full", simulator.access_token)
    assert prices.keys() == everything.keys() == {"NSE:INFY", "NSE:NIFTY 50"}
    assert "depth" in everything["NSE:INFY"]
    assert "depth" not in prices["NSE:INFY"]


async def test_as_many_long_symbols_as_one_call_may_have_are_answered(simulator, asked):
    symbols = [f"NFO:BANKNIFTY26N{number:04}.5CE" for number in range(500)] + ["NSE:INFY"]
    assert await asked.quotes(symbols[1:], "full", simulator.access_token) != {}


async def test_an_answer_that_is_no_quotes_is_none(answering):
    asked = await answering(http(200, "application/json", '{"status":"success","data":[1]}'))
    with pytest.raises(Refused, match="no usable answer"):
        await asked.quotes(["NSE:INFY"], "ltp", "T")


async def test_two_sources_with_one_key_ask_for_quotes_once_a_second_together(simulator, asked):
    begun = trio.current_time()
    another = Broker(KiteOptions(api_key=simulator.api_key, rest_url=simulator.rest_url))
    for each in (asked, another):
        await each.quotes(["NSE:INFY"], "ltp", simulator.access_token)
    assert trio.current_time() - begun >= 1


async def test_a_restart_does_not_make_the_broker_asked_before_its_time(answering):
    first = await answering(too_often("Retry-After: 40"))
    with pytest.raises(Refused):
        await first.orders("T")
    with pytest.raises(Refused, match="not asked again"):
        await Broker(KiteOptions(api_key="KEY", rest_url="http://127.0.0.1:1")).orders("T")


async def test_a_429_for_quotes_holds_quotes_alone(answering):
    asked = await answering(too_often("Retry-After: 40"))
    with pytest.raises(Refused, match="HTTP 429"):
        await asked.quotes(["NSE:INFY"], "ltp", "T")
    with pytest.raises(Refused, match="not asked again"):
        await asked.quotes(["NSE:INFY"], "ltp", "T")
    with pytest.raises(Refused, match="HTTP 429"):
        await asked.orders("T")


async def test_it_knows_which_address_a_call_left_from_and_what_time_the_broker_has(simulator, asked):
    dates = []
    asked.on_date = dates.append
    assert asked.sent_from is None
    await asked.user_of(simulator.access_token)
    assert asked.sent_from == "127.0.0.1"
    assert dates == [pytest.approx(simulator.clock.now_ns() / 1e9, abs=10)]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("Date: Mon, 05 Jul 2021 05:11:27 GMT", [1625461887]),
        ("Date: yesterday", []),
        ("Date: Mon, 05 Jul 2021 05:11:27", []),
        ("X: y", []),
    ],
)
async def test_the_time_of_an_answer_counts_even_where_the_answer_is_an_error(answering, head, expected):
    asked = await answering(too_often(head))
    dates = []
    asked.on_date = dates.append
    with pytest.raises(Refused):
        await asked.orders("T")
    assert dates == expected
