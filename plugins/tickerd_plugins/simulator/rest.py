"""The REST face of the simulator: Kite's routes and envelope, and its own under ``/simulator``."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from quart import Response, redirect, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from tickerd.plugin import Stamp
from tickerd.wire.kite import row
from tickerd_plugins.simulator import quotes
from tickerd_plugins.simulator.faults import from_json
from tickerd_plugins.simulator.simulator import Simulator

MAX_BODY = 2**20
VARIETIES = ("regular", "amo", "co", "iceberg", "auction")
_TYPES = {400: "InputException", 403: "TokenException", 404: "DataException", 405: "GeneralException"}
Answer = dict[str, Any] | Response


class KiteError(Exception):
    """Answered in Kite's envelope."""

    def __init__(self, status: int, message: str, error_type: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type or _TYPES.get(status, "GeneralException")


def make_app(simulator: Simulator) -> QuartTrio:
    """The application, with every route."""
    app = QuartTrio("tickerd_simulator")
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.register_error_handler(KiteError, _kite_error)
    app.register_error_handler(HTTPException, _http_error)
    _add_session(app, simulator)
    _add_market(app, simulator)
    _add_orders(app, simulator)
    _add_simulator(app, simulator)
    return app


def _success(data: Any) -> dict[str, Any]:
    return {"status": "success", "data": data}


async def _kite_error(error: KiteError) -> tuple[dict[str, Any], int]:
    body = {"status": "error", "message": str(error), "data": None, "error_type": error.error_type}
    return body, error.status


async def _http_error(error: HTTPException) -> tuple[dict[str, Any], int]:
    status = error.code or 500
    return await _kite_error(KiteError(status, error.description or "error"))


def _authorize(simulator: Simulator) -> None:
    """Refuse a request without ``Authorization: token API_KEY:ACCESS_TOKEN`` of the current login."""
    scheme, _, pair = request.headers.get("Authorization", "").partition(" ")
    api_key, _, access_token = pair.partition(":")
    if scheme != "token" or not simulator.account.allows(api_key, access_token):
        raise KiteError(403, "Incorrect `api_key` or `access_token`.")


def _add_session(app: QuartTrio, simulator: Simulator) -> None:
    account = simulator.account

    @app.get("/connect/login")
    async def login() -> Any:
        """The login page: always says yes."""
        if request.args.get("api_key") != account.api_key:
            raise KiteError(400, "Invalid `api_key`.")
        token = account.request_token()
        target = simulator.options.redirect_url
        if target is None:
            return Response(f"request_token={token}\n", content_type="text/plain; charset=utf-8")
        extra = parse_qsl(request.args.get("redirect_params", ""), keep_blank_values=True)
        parts = urlsplit(target)
        pairs = [
            ("action", "login"),
            ("type", "login"),
            ("status", "success"),
            ("request_token", token),
            *extra,
        ]
        query = "&".join(filter(None, (parts.query, urlencode(pairs))))
        return redirect(urlunsplit(parts._replace(query=query)), 302)

    @app.post("/session/token")
    async def exchange() -> Answer:
        form = await request.form
        if form.get("api_key") != account.api_key:
            raise KiteError(403, "Invalid `api_key`.")
        wrong = account.login(form.get("request_token", ""), form.get("checksum", ""))
        if wrong is not None:
            raise KiteError(403, wrong)
        simulator.shared.notify()
        return _success(account.session(simulator.ist()))

    @app.delete("/session/token")
    async def logout() -> Answer:
        if not account.allows(request.args.get("api_key", ""), request.args.get("access_token", "")):
            raise KiteError(403, "Incorrect `api_key` or `access_token`.")
        account.expire()
        return _success(True)

    @app.get("/user/profile")
    async def profile() -> Answer:
        _authorize(simulator)
        return _success(account.profile())


def _add_market(app: QuartTrio, simulator: Simulator) -> None:
    @app.get("/instruments")
    async def instruments() -> Answer:
        """Like the broker's, it does not look at the login."""
        return Response(simulator.universe.dump(), content_type="text/csv")

    @app.get("/instruments/<exchange>")
    async def instruments_of(exchange: str) -> Answer:
        if exchange not in simulator.universe.exchanges():
            raise KiteError(400, "Invalid `exchange`.")
        return Response(simulator.universe.dump(exchange), content_type="text/csv")

    def quoted(most: int, shape: Callable[..., dict[str, Any]]) -> Answer:
        _authorize(simulator)
        symbols = request.args.getlist("i")
        if not symbols:
            raise KiteError(400, "Missing or empty field `i`")
        if len(symbols) > most:
            raise KiteError(400, f"Too many instruments: at most {most} in one request.")
        lines = {symbol: simulator.line(symbol) for symbol in symbols}
        stamp = Stamp(None, None, None, 0, 0, 0, 0)
        return _success({s: shape(row(line.snapshot("full"), stamp)) for s, line in lines.items() if line})

    @app.get("/quote")
    async def quote() -> Answer:
        return quoted(500, quotes.quote)

    @app.get("/quote/ohlc")
    async def ohlc() -> Answer:
        return quoted(1000, quotes.ohlc)

    @app.get("/quote/ltp")
    async def ltp() -> Answer:
        return quoted(1000, quotes.ltp)


def _add_orders(app: QuartTrio, simulator: Simulator) -> None:
    @app.get("/orders")
    async def orders() -> Answer:
        _authorize(simulator)
        return _success(list(simulator.orders.orders))

    @app.post("/orders/<variety>")
    async def place(variety: str) -> Answer:
        _authorize(simulator)
        if variety not in VARIETIES:
            raise KiteError(400, "Invalid `variety`.")
        try:
            order = simulator.place_order(variety, (await request.form).to_dict())
        except ValueError as error:
            raise KiteError(400, str(error)) from None
        return _success({"order_id": order["order_id"]})

    @app.get("/orders/<order_id>")
    async def history(order_id: str) -> Answer:
        _authorize(simulator)
        found = [order for order in simulator.orders.orders if order["order_id"] == order_id]
        if not found:
            raise KiteError(404, "Couldn't find that `order_id`.", "GeneralException")
        return _success(found)


def _add_simulator(app: QuartTrio, simulator: Simulator) -> None:
    @app.get("/simulator/state")
    async def state() -> Answer:
        return simulator.state()

    @app.post("/simulator/faults")
    async def inject() -> Answer:
        try:
            simulator.inject(from_json(await request.get_data()))
        except ValueError as error:
            raise KiteError(400, str(error)) from None
        return _success(simulator.state()["faults"])

    @app.delete("/simulator/faults")
    async def clear() -> Answer:
        simulator.clear()
        return _success(simulator.state()["faults"])
