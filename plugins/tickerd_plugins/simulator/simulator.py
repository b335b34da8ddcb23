"""The simulated broker as its users see it: its parts, what can be asked of it, what goes wrong."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import trio

from tickerd.plugin import Clock
from tickerd_plugins.simulator.account import Account, OrderBook, postback
from tickerd_plugins.simulator.connection import Connection
from tickerd_plugins.simulator.faults import (
    AnyFault,
    ChangeSecret,
    Clear,
    Close,
    Expire,
    LoginElsewhere,
    Mute,
    MuteInstrument,
    NoMarketData,
    Reject,
    Slow,
    Targeted,
    parse,
    text_frame,
)
from tickerd_plugins.simulator.market import Line, Market
from tickerd_plugins.simulator.numbered import NumberedLog
from tickerd_plugins.simulator.options import SimulatorOptions
from tickerd_plugins.simulator.shared import Shared
from tickerd_plugins.simulator.universe import Universe

IST = timezone(timedelta(hours=5, minutes=30), "IST")


class Simulator:
    """A running fake broker, obtained from `open_simulator`. All methods but `until` return at once."""

    def __init__(self, options: SimulatorOptions, numbered: NumberedLog | None = None) -> None:
        self.options = options
        self.clock = Clock()
        self.universe = Universe(self.ist().date(), options.instruments, seed=options.seed)
        self.account = Account(options.api_key, options.api_secret, options.access_token, options.user_id)
        self.orders = OrderBook()
        self.shared = Shared(options, Market(self.universe, seed=options.seed), self.clock, numbered)
        self.connections: dict[int, Connection] = {}
        """Open connections by number; numbers begin at 1 and are not used again."""
        self.ws_url = self.rest_url = ""

    @property
    def api_key(self) -> str:
        """The one API key there is."""
        return self.account.api_key

    @property
    def access_token(self) -> str:
        """The access token of the current login."""
        return self.account.access_token

    @property
    def counters(self) -> Mapping[str, int]:
        """What happened so far, by name."""
        return self.shared.counters

    def ist(self) -> datetime:
        """The time in India."""
        return datetime.fromtimestamp(self.clock.now_ns() // 1_000_000_000, IST)

    async def until(self, condition: Callable[["Simulator"], bool]) -> None:
        """Wait until the condition holds; looked at when connections, subscriptions or faults change."""
        while not condition(self):
            await self.shared.change()

    # -- the market --------------------------------------------------------------------------------------

    def line(self, instrument: str | int) -> Line | None:
        """The market's line of a symbol or token, None when there is none."""
        token = self.universe.token(instrument) if isinstance(instrument, str) else instrument
        return None if token is None else self.shared.market.line(token, self.shared.now())

    def tick(self, *instruments: str | int) -> None:
        """Let these instruments (symbols or tokens) tick once, or every watched one, and send it.

        Raises:
            ValueError: there is no such instrument.
        """
        shared, now = self.shared, self.shared.now()
        lines: Iterable[Line] = map(self._known, instruments) if instruments else shared.market.watched
        for line in list(lines):
            shared.market.tick(line, now, shared.muted_tokens)
            shared.counters["ticks"] += 1
        self.flush()

    def run_market(self, count: int) -> None:
        """Let the next ``count`` watched instruments tick, each in its turn, and send it."""
        shared = self.shared
        shared.counters["ticks"] += shared.market.run(count, shared.now(), shared.muted_tokens)
        self.flush()

    def flush(self) -> None:
        """Queue what the market has moved at every connection."""
        for connection in list(self.connections.values()):
            connection.flush()

    def push(self, message: str | bytes) -> None:
        """Send a text or binary frame, as it is, to every client."""
        for connection in list(self.connections.values()):
            connection.put(message)

    def place_order(self, variety: str, form: Mapping[str, str]) -> dict[str, Any]:
        """Take an order and push it to every client. Raises ValueError as `OrderBook.place` does."""
        line = self.line(f"{form.get('exchange')}:{form.get('tradingsymbol')}")
        if line is None:
            raise ValueError("The instrument you are placing an order for does not exist.")
        order = self.orders.place(variety, form, token=line.token, last_price=line.price, now=self.ist())
        self.push(text_frame("order", postback(order, self.account.api_secret)))
        return order

    def _known(self, instrument: str | int) -> Line:
        line = self.line(instrument)
        if line is None:
            raise ValueError(f"no instrument {instrument!r} in the simulated market")
        return line

    # -- faults ------------------------------------------------------------------------------------------

    def inject(self, fault: AnyFault | str) -> None:
        """Let a fault happen; a str is read as the command line's (``"reject=403:3"``).

        Raises:
            ValueError: there is no such fault, instrument or connection.
        """
        if isinstance(fault, str):
            fault = parse(fault)
        match fault:
            case Clear():
                self.clear()
            case MuteInstrument():
                self.shared.muted_tokens.add(self._known(fault.instrument).token)
            case Reject():
                self.shared.reject, self.shared.rejects_left = fault, fault.count or 0
            case Expire() | LoginElsewhere() | NoMarketData() | ChangeSecret():
                self._inject_into_account(fault)
            case _:
                self._inject_into(fault)
        self.shared.counters[f"fault_{type(fault).__name__.lower()}"] += 1
        self.shared.notify()

    def _inject_into_account(self, fault: Expire | LoginElsewhere | NoMarketData | ChangeSecret) -> None:
        match fault:
            case Expire():
                self.account.expire()
            case LoginElsewhere():
                self.account.log_in_elsewhere()
            case NoMarketData():
                self.account.has_market_data = False
            case ChangeSecret():
                self.account.change_secret()
        if isinstance(fault, Expire | LoginElsewhere) and fault.cut:
            self._inject_into(Close(reason="session expired"))

    def _inject_into(self, fault: Targeted) -> None:
        """A fault of the connections; without a target, mute and slow hold for those to come as well."""
        if fault.connection is None:
            match fault:
                case Mute():
                    self.shared.muted_until = fault.until(trio.current_time())
                case Slow():
                    self.shared.rate = fault.bytes_per_second
            targets = list(self.connections.values())
        elif fault.connection in self.connections:
            targets = [self.connections[fault.connection]]
        else:
            raise ValueError(f"no connection {fault.connection} is open")
        for connection in targets:
            connection.inject(fault)

    def clear(self) -> None:
        """Lift every fault that lasts, an expired token included; a login from elsewhere stays."""
        self.shared.clear()
        self.account.revive()
        for connection in list(self.connections.values()):
            connection.clear()
        self.shared.notify()

    def state(self) -> dict[str, Any]:
        """What ``GET /simulator/state`` answers."""
        shared = self.shared
        return {
            "ws": self.ws_url,
            "rest": self.rest_url,
            "instruments": len(self.universe),
            "watched": len(shared.market.watched),
            "connections": [connection.state() for connection in self.connections.values()],
            "counters": dict(self.counters),
            "faults": shared.faults()
            | {"token_expired": self.account.expired, "no_market_data": not self.account.has_market_data},
        }
