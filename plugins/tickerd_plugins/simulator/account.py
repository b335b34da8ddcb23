"""The one user of the simulated broker: credentials, the login, the life of the access token, the orders."""

import hashlib
import hmac
import itertools
from collections import deque
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import trio

REQUEST_TOKEN_S = 300
MAX_REQUEST_TOKENS = 100
MAX_ORDERS = 1_000
USER_ID = "SIM001"


class Account:
    """Credentials and the current login. Logging in again gives the same token, until it has expired."""

    def __init__(self, api_key: str, api_secret: str, access_token: str, user_id: str = USER_ID) -> None:
        self.api_key = api_key
        self.api_secret = api_secret
        self.user_id = user_id
        self.has_market_data = True
        """Whether the app's plan has ticks; without it the WebSocket refuses every login."""
        self._first_secret = api_secret
        self.access_token = access_token
        """The token of the current login, valid unless `expired`."""
        self.expired = False
        self._first_token = access_token
        self._numbers = itertools.count(2)
        self._requests: dict[str, float] = {}
        self._request_numbers = itertools.count(1)

    def allows(self, api_key: str, access_token: str) -> bool:
        """Whether this pair may use the API now."""
        return not self.expired and api_key == self.api_key and access_token == self.access_token

    def expire(self) -> None:
        """Make the access token invalid until the next login."""
        self.expired = True

    def revive(self) -> None:
        """Take `expire`, `change_secret` and the loss of the plan back."""
        self.expired = False
        self.has_market_data = True
        self.api_secret = self._first_secret

    def log_in_elsewhere(self) -> None:
        """Somebody else logs in with this API key: another access token is valid from now on, the old one is not."""
        self._renew()

    def change_secret(self) -> None:
        """Give the app another secret."""
        self.api_secret = f"{self._first_secret}-changed"

    def _renew(self) -> None:
        self.access_token = f"{self._first_token}-{next(self._numbers)}"
        self.expired = False

    def request_token(self) -> str:
        """A new request token, as the login page gives it out: for one use, within five minutes."""
        number = next(self._request_numbers)
        token = hashlib.sha256(f"{self.api_key}/{number}".encode()).hexdigest()[:32]
        while len(self._requests) >= MAX_REQUEST_TOKENS:
            del self._requests[next(iter(self._requests))]
        self._requests[token] = trio.current_time() + REQUEST_TOKEN_S
        return token

    def login(self, request_token: str, checksum: str) -> str | None:
        """Exchange a request token; returns what was wrong, None when the login is done."""
        deadline = self._requests.pop(request_token, None)
        if deadline is None or deadline < trio.current_time():
            return "Token is invalid or has expired."
        right = hashlib.sha256((self.api_key + request_token + self.api_secret).encode()).hexdigest()
        if not hmac.compare_digest(right, checksum):
            return "Invalid `checksum`."
        if self.expired:
            self._renew()
        return None

    def session(self, now: datetime) -> dict[str, Any]:
        """What a login answers."""
        return self.profile() | {
            "api_key": self.api_key,
            "access_token": self.access_token,
            "public_token": "simulated-public-token",
            "enctoken": "",
            "refresh_token": "",
            "silo": "",
            "login_time": f"{now:%Y-%m-%d %H:%M:%S}",
        }

    def profile(self) -> dict[str, Any]:
        """Who the user is."""
        return {
            "user_id": self.user_id,
            "user_type": "individual",
            "email": "simulated@example.com",
            "user_name": "Simulated User",
            "user_shortname": "Simulated",
            "broker": "ZERODHA",
            "exchanges": ["NSE", "NFO", "BSE", "BFO", "CDS", "BCD", "MCX", "NCO"],
            "products": ["CNC", "NRML", "MIS", "MTF"],
            "order_types": ["MARKET", "LIMIT", "SL", "SL-M"],
            "avatar_url": None,
            "meta": {"demat_consent": "empty"},
        }


class OrderBook:
    """The day's orders. A market order is filled at once, any other stays open."""

    def __init__(self) -> None:
        self.orders: deque[dict[str, Any]] = deque(maxlen=MAX_ORDERS)
        self._numbers = itertools.count(1)

    def place(
        self, variety: str, form: Mapping[str, str], *, token: int, last_price: float, now: datetime
    ) -> dict[str, Any]:
        """Take an order; returns its row.

        Raises:
            ValueError: a parameter is missing or none of the possible ones.
        """
        for name in ("exchange", "tradingsymbol", "transaction_type", "quantity", "product", "order_type"):
            if not form.get(name):
                raise ValueError(f"Missing or empty field `{name}`")
        if form["transaction_type"] not in ("BUY", "SELL"):
            raise ValueError("Invalid `transaction_type`.")
        if not form["quantity"].isdecimal() or not int(form["quantity"]):
            raise ValueError("Invalid `quantity`.")
        try:
            price, trigger_price = float(form.get("price", 0)), float(form.get("trigger_price", 0))
        except ValueError:
            raise ValueError("Invalid `price`.") from None
        quantity = int(form["quantity"])
        filled = quantity if form["order_type"] == "MARKET" else 0
        when = f"{now:%Y-%m-%d %H:%M:%S}"
        number = next(self._numbers)
        order: dict[str, Any] = {
            "placed_by": USER_ID,
            "order_id": f"{now:%y%m%d}{number:013d}",
            "exchange_order_id": f"{1_000_000_000_000 + number}",
            "parent_order_id": None,
            "status": "COMPLETE" if filled else "OPEN",
            "status_message": None,
            "status_message_raw": None,
            "order_timestamp": when,
            "exchange_update_timestamp": when,
            "exchange_timestamp": when,
            "variety": variety,
            "modified": False,
            "exchange": form["exchange"],
            "tradingsymbol": form["tradingsymbol"],
            "instrument_token": token,
            "order_type": form["order_type"],
            "transaction_type": form["transaction_type"],
            "validity": form.get("validity", "DAY"),
            "product": form["product"],
            "quantity": quantity,
            "disclosed_quantity": 0,
            "price": price,
            "trigger_price": trigger_price,
            "average_price": last_price if filled else 0,
            "filled_quantity": filled,
            "pending_quantity": quantity - filled,
            "cancelled_quantity": 0,
            "market_protection": 0,
            "meta": {},
            "tag": form.get("tag"),
            "tags": [form["tag"]] if form.get("tag") else [],
            "guid": f"simulated-{number}",
        }
        self.orders.append(order)
        return order


def postback(order: Mapping[str, Any], api_secret: str) -> dict[str, Any]:
    """An order as it is pushed: the row, who, and a checksum over id, time and secret."""
    text = f"{order['order_id']}{order['order_timestamp']}{api_secret}"
    return {
        **order,
        "user_id": USER_ID,
        "app_id": 1,
        "unfilled_quantity": order["pending_quantity"],
        "checksum": hashlib.sha256(text.encode()).hexdigest(),
    }
