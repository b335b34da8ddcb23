"""The simulated login and the order book."""

import hashlib
from datetime import UTC, datetime

import pytest
import trio
from trio.testing import MockClock

from tickerd_plugins.simulator.account import (
    MAX_REQUEST_TOKENS,
    REQUEST_TOKEN_S,
    Account,
    OrderBook,
    postback,
)

NOW = datetime(2026, 1, 14, 9, 15, tzinfo=UTC)
ORDER = {"exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "quantity": "10", "product": "CNC",
         "order_type": "MARKET"}  # fmt: skip


@pytest.fixture
def account() -> Account:
    return Account("key", "secret", "token")


def checksum(request_token: str, secret: str = "secret") -> str:
    return hashlib.sha256(f"key{request_token}{secret}".encode()).hexdigest()


async def test_a_login_needs_a_request_token_and_its_checksum(account: Account) -> None:
    token = account.request_token()
    assert account.login(token, checksum(token)) is None
    assert account.login(token, checksum(token)) == "Token is invalid or has expired."
    token = account.request_token()
    assert account.login(token, checksum(token, "wrong")) == "Invalid `checksum`."
    assert account.login(token, checksum(token)) == "Token is invalid or has expired."
    assert account.login("made up", checksum("made up")) == "Token is invalid or has expired."


async def test_a_request_token_lives_five_minutes(account: Account, mock_clock: MockClock) -> None:
    token = account.request_token()
    mock_clock.jump(REQUEST_TOKEN_S + 1)
    assert account.login(token, checksum(token)) == "Token is invalid or has expired."


async def test_unused_request_tokens_do_not_pile_up(account: Account) -> None:
    first = account.request_token()
    tokens = [account.request_token() for _ in range(MAX_REQUEST_TOKENS)]
    assert account.login(first, checksum(first)) is not None
    assert account.login(tokens[-1], checksum(tokens[-1])) is None


async def test_the_token_stays_the_same_until_it_expires(account: Account) -> None:
    token = account.request_token()
    account.login(token, checksum(token))
    assert account.access_token == "token"
    account.expire()
    assert not account.allows("key", "token")
    token = account.request_token()
    account.login(token, checksum(token))
    assert account.access_token == "token-2"
    assert account.allows("key", "token-2")
    assert not account.allows("key", "token")


def test_only_the_right_pair_is_allowed(account: Account) -> None:
    assert account.allows("key", "token")
    assert not account.allows("key", "other")
    assert not account.allows("other", "token")
    account.expire()
    account.revive()
    assert account.allows("key", "token")


def test_a_session_answers_as_the_broker_does(account: Account) -> None:
    session = account.session(NOW)
    assert session["login_time"] == "2026-01-14 09:15:00"
    assert session["access_token"] == "token"
    assert session["refresh_token"] == ""
    assert "secret" not in str(session)


def test_a_market_order_is_filled_at_once() -> None:
    order = OrderBook().place("regular", ORDER | {"tag": "t1"}, token=408065, last_price=1573.7, now=NOW)
    assert order["status"] == "COMPLETE"
    assert (order["filled_quantity"], order["pending_quantity"], order["average_price"]) == (10, 0, 1573.7)
    assert order["tags"] == ["t1"]
    assert len(order["order_id"]) == 19


def test_a_limit_order_stays_open() -> None:
    book = OrderBook()
    form = ORDER | {"order_type": "LIMIT", "price": "1500.5"}
    order = book.place("regular", form, token=408065, last_price=1573.7, now=NOW)
    assert (order["status"], order["filled_quantity"], order["price"]) == ("OPEN", 0, 1500.5)
    assert order["tags"] == []
    assert list(book.orders) == [order]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"exchange": ""}, "Missing or empty field `exchange`"),
        ({"transaction_type": "HOLD"}, "transaction_type"),
        ({"quantity": "0"}, "quantity"),
        ({"quantity": "-1"}, "quantity"),
        ({"quantity": "ten"}, "quantity"),
        ({"price": "cheap"}, "price"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(change: dict[str, str], said: str) -> None:
    book = OrderBook()
    with pytest.raises(ValueError, match=said):
        book.place("regular", ORDER | change, token=1, last_price=1, now=NOW)
    assert not book.orders


def test_a_postback_carries_the_brokers_checksum() -> None:
    order = OrderBook().place("regular", ORDER, token=408065, last_price=1573.7, now=NOW)
    pushed = postback(order, "secret")
    text = order["order_id"] + "2026-01-14 09:15:00" + "secret"
    assert pushed["checksum"] == hashlib.sha256(text.encode()).hexdigest()
    assert pushed["unfilled_quantity"] == 0


def test_orders_are_bounded() -> None:
    book = OrderBook()
    for _ in range(1_001):
        book.place("regular", ORDER, token=1, last_price=1, now=NOW)
    assert len(book.orders) == 1_000
    assert len({order["order_id"] for order in book.orders}) == 1_000


async def test_time_is_trios(account: Account, autojump_clock: MockClock) -> None:
    token = account.request_token()
    await trio.sleep(REQUEST_TOKEN_S - 1)
    assert account.login(token, checksum(token)) is None


def test_a_login_from_elsewhere_makes_another_token_valid(account: Account) -> None:
    account.log_in_elsewhere()
    assert not account.allows("key", "token")
    assert account.allows("key", account.access_token)
    account.revive()
    assert not account.allows("key", "token"), "what somebody else did stays"


async def test_with_another_secret_a_login_fails_by_its_checksum(account: Account) -> None:
    account.change_secret()
    token = account.request_token()
    assert account.login(token, checksum(token)) == "Invalid `checksum`."
    account.revive()
    token = account.request_token()
    assert account.login(token, checksum(token)) is None


def test_the_user_can_be_chosen() -> None:
    assert Account("key", "secret", "token", "AB1234").profile()["user_id"] == "AB1234"
