"""The REST face, as the official client and as plain HTTP see it."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import pytest
import trio
from kiteconnect import KiteConnect
from kiteconnect.exceptions import GeneralException, InputException, TokenException

from tickerd_plugins.simulator import Simulator, SimulatorOptions, open_simulator

T = TypeVar("T")
INFY, NIFTY = 408065, 256265


async def call(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """The official client blocks."""
    return await trio.to_thread.run_sync(lambda: function(*args, **kwargs))


@pytest.fixture
async def kite(sim: Simulator):
    client = KiteConnect(sim.api_key, access_token=sim.access_token, root=sim.rest_url)
    yield client
    client.reqsession.close()


async def test_a_login_by_the_official_client(request_) -> None:
    options = SimulatorOptions(instruments=100, redirect_url="https://example.com/done?x=1")
    async with open_simulator(options) as sim:
        client = KiteConnect(sim.api_key, root=sim.rest_url)
        with pytest.raises(TokenException):
            await call(client.profile)
        token = sim.account.request_token()
        with pytest.raises(TokenException, match="Invalid `checksum`"):
            await call(client.generate_session, token, "wrong secret")
        with pytest.raises(TokenException, match="invalid or has expired"):
            await call(client.generate_session, token, "demo-secret")
        token = sim.account.request_token()
        session = await call(client.generate_session, token, "demo-secret")
        assert session["access_token"] == "demo-token"
        assert isinstance(session["login_time"], datetime)
        assert (await call(client.profile))["user_id"] == session["user_id"]
        assert await call(client.invalidate_access_token)
        with pytest.raises(TokenException):
            await call(client.profile)
        client.reqsession.close()


async def test_a_dead_token_fires_the_clients_hook(sim: Simulator, kite: KiteConnect) -> None:
    fired: list[str] = []
    kite.set_session_expiry_hook(lambda: fired.append("expired"))
    sim.inject("expire")
    with pytest.raises(TokenException) as caught:
        await call(kite.orders)
    assert caught.value.code == 403
    assert fired == ["expired"]
    token = sim.account.request_token()
    await call(kite.generate_session, token, "demo-secret")
    assert kite.access_token == "demo-token-2" == sim.access_token
    assert await call(kite.orders) == []


async def test_another_api_key_cannot_log_in(sim: Simulator) -> None:
    client = KiteConnect("other", root=sim.rest_url)
    with pytest.raises(TokenException, match="Invalid `api_key`"):
        await call(client.generate_session, "x", "y")
    client.reqsession.close()


async def test_the_login_page_redirects_with_a_request_token(sim: Simulator, request_) -> None:
    object.__setattr__(sim.options, "redirect_url", "https://example.com/done?x=1")
    answer = await request_(
        "GET", "/connect/login?v=3&api_key=demo&redirect_params=state%3Dabc%26e%3D", login=False
    )
    assert answer.status == 302
    address, _, query = answer.headers["Location"].partition("?")
    assert address == "https://example.com/done"
    pairs = dict(pair.split("=") for pair in query.split("&"))
    assert pairs["x"] == "1"
    assert (pairs["status"], pairs["state"], pairs["e"]) == ("success", "abc", "")
    form = {"api_key": "demo", "request_token": pairs["request_token"], "checksum": "x"}
    assert "checksum" in (await request_("POST", "/session/token", form=form)).json["message"]


async def test_the_login_page_shows_the_token_where_it_cannot_redirect(request_) -> None:
    answer = await request_("GET", "/connect/login?v=3&api_key=demo", login=False)
    assert answer.status == 200
    assert answer.body.startswith(b"request_token=")
    assert (await request_("GET", "/connect/login?api_key=other", login=False)).status == 400


async def test_instruments_by_the_official_client(sim: Simulator, kite: KiteConnect) -> None:
    rows = await call(kite.instruments)
    assert len(rows) == 500
    assert {row["instrument_token"] for row in rows} == set(sim.universe.tokens)
    nfo = await call(kite.instruments, "NFO")
    assert {row["exchange"] for row in nfo} == {"NFO"}
    assert nfo[0]["expiry"] >= sim.ist().date()
    with pytest.raises(InputException):
        await call(kite.instruments, "NYSE")


async def test_the_dump_needs_no_login(request_) -> None:
    answer = await request_("GET", "/instruments", login=False)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/csv")


async def test_quotes_by_the_official_client(sim: Simulator, kite: KiteConnect) -> None:
    quotes = await call(kite.quote, ["NSE:INFY", "NSE:NIFTY 50", "NSE:NOSUCH"])
    assert quotes.keys() == {"NSE:INFY", "NSE:NIFTY 50"}
    infy, nifty = quotes["NSE:INFY"], quotes["NSE:NIFTY 50"]
    assert infy["instrument_token"] == INFY
    assert isinstance(infy["last_trade_time"], datetime)
    assert len(infy["depth"]["buy"]) == 5
    assert infy["lower_circuit_limit"] < infy["last_price"] < infy["upper_circuit_limit"]
    assert nifty["instrument_token"] == NIFTY
    assert "volume" not in nifty
    assert (await call(kite.ltp, "NSE:INFY"))["NSE:INFY"] == {
        "instrument_token": INFY,
        "last_price": infy["last_price"],
    }
    assert (await call(kite.ohlc, "NSE:INFY"))["NSE:INFY"]["ohlc"] == infy["ohlc"]


async def test_a_quote_follows_the_market(sim: Simulator, kite: KiteConnect) -> None:
    for _ in range(50):
        sim.tick("NSE:INFY")
    line = sim.line("NSE:INFY")
    assert line is not None
    assert (await call(kite.ltp, "NSE:INFY"))["NSE:INFY"]["last_price"] == line.price


async def test_quotes_have_limits(kite: KiteConnect) -> None:
    with pytest.raises(InputException, match="Missing or empty field `i`"):
        await call(kite.quote)
    with pytest.raises(InputException, match="at most 500"):
        await call(kite.quote, ["NSE:INFY"] * 501)
    assert await call(kite.ltp, ["NSE:INFY"] * 501)


async def test_an_order_is_placed_listed_and_pushed(sim: Simulator, kite: KiteConnect, connect) -> None:
    async with connect(sim) as client:
        order_id = await call(
            kite.place_order,
            "regular",
            "NSE",
            "INFY",
            "BUY",
            10,
            "CNC",
            "MARKET",
            market_protection=-1,
            tag="abc",
        )
        pushed = await client.text()
    assert pushed["type"] == "order"
    assert pushed["data"]["order_id"] == order_id
    (listed,) = await call(kite.orders)
    assert (listed["order_id"], listed["status"], listed["tag"]) == (order_id, "COMPLETE", "abc")
    assert isinstance(listed["order_timestamp"], datetime)
    (step,) = await call(kite.order_history, order_id)
    assert step["order_id"] == order_id


async def test_orders_that_make_no_sense_are_refused(kite: KiteConnect) -> None:
    with pytest.raises(InputException, match="does not exist"):
        await call(kite.place_order, "regular", "NSE", "NOSUCH", "BUY", 10, "CNC", "MARKET")
    with pytest.raises(InputException, match="transaction_type"):
        await call(kite.place_order, "regular", "NSE", "INFY", "HOLD", 10, "CNC", "MARKET")
    with pytest.raises(InputException, match="variety"):
        await call(kite.place_order, "odd", "NSE", "INFY", "BUY", 10, "CNC", "MARKET")
    with pytest.raises(GeneralException, match="order_id"):
        await call(kite.order_history, "1")


@pytest.mark.parametrize(
    "path", ["/user/profile", "/orders", "/orders/1", "/quote?i=NSE:INFY", "/quote/ltp", "/quote/ohlc"]
)
async def test_everything_else_needs_the_login(request_, path: str) -> None:
    answer = await request_("GET", path, login=False)
    assert answer.status == 403
    assert answer.json["error_type"] == "TokenException"
    assert answer.json["status"] == "error"


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("PUT", "/orders", 405)])
async def test_errors_of_http_wear_the_envelope_too(request_, method: str, path: str, status: int) -> None:
    answer = await request_(method, path)
    assert answer.status == status
    assert answer.json["status"] == "error"


async def test_logging_out_needs_the_token(request_) -> None:
    answer = await request_("DELETE", "/session/token?api_key=demo&access_token=other")
    assert answer.status == 403


async def test_faults_by_http(sim: Simulator, request_, connect) -> None:
    async with connect(sim) as client:
        answer = await request_(
            "POST", "/simulator/faults", body={"fault": "text", "kind": "error", "data": "no"}
        )
        assert answer.status == 200
        assert (await client.text())["data"] == "no"
        answer = await request_(
            "POST", "/simulator/faults", body={"fault": "mute-instrument", "instrument": "NSE:INFY"}
        )
        assert answer.json["data"]["muted_instruments"] == [INFY]
        state = (await request_("GET", "/simulator/state")).json
        assert state["connections"][0]["connection"] == 1
        assert state["ws"] == sim.ws_url
        answer = await request_("DELETE", "/simulator/faults")
        assert answer.json["data"]["muted_instruments"] == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{}", "not a fault"),
        ({"fault": "drop", "connection": 9}, "no connection 9 is open"),
        ({"fault": "mute-instrument", "instrument": "NSE:NOSUCH"}, "no instrument 'NSE:NOSUCH'"),
    ],
)
async def test_a_fault_that_is_none_is_refused(request_, body: Any, said: str) -> None:
    answer = await request_("POST", "/simulator/faults", body=body)
    assert answer.status == 400
    assert said in answer.json["message"]


async def test_a_body_that_is_too_large_is_refused(request_) -> None:
    answer = await request_("POST", "/simulator/faults", body=b"x" * (2**20 + 1))
    assert answer.status == 413
