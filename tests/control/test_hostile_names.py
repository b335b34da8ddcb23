"""Names in paths and values that mean mischief: refused, and nothing of them is in the log as it came."""

from typing import Any

import pytest

from tickerd.control.route import Route
from tickerd.control.routes import ROUTES

NAMED = [route for route in ROUTES if "<" in route.path]
NAMES = (
    "..",
    ".",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e%2fstate",
    "..%5cstate",
    "%2fetc%2fpasswd",
    "a%2fb",
    "a%00.jsonl",
    "%00",
    "%c0%ae%c0%ae",
    "%0d%0aX-Forged:%201",
    "%1b%5b2Jx",
    "%e2%80%aex",
    "x" * 5000,
)


@pytest.mark.parametrize("route", NAMED, ids=lambda route: route.operation)
async def test_no_name_in_a_path_leads_anywhere(
    route: Route, api: Any, log_output: list[dict[str, Any]]
) -> None:
    head, _, rest = route.path.partition("<")
    tail = rest.partition(">")[2].replace("<id>", "1")
    for name in NAMES:
        answer = await api.raw(
            route.method, f"{head}{name}{tail}", b"{}" if route.body else b"", Authorization="Bearer all"
        )
        assert answer.status in (400, 404, 405), (name, answer.body[:300])
        assert "X-Forged" not in answer.headers
        assert not {"\x1b", "\0"} & set(answer.body.decode()), name
    assert api.steering.asked == []
    assert await api.desk.keys.every() == []
    for line in log_output:
        assert len(line.get("path", "")) < 600


FORGED = (
    "INFY\n09:15 [error] forged",
    "\x1b[2J\x1b[31mINFY",
    "\u202eYFNI",
    "NSE:" + "A" * 1_000_000,
    "\0",
    "",
)


@pytest.mark.parametrize("symbol", FORGED, ids=["newline", "ansi", "bidi", "1 MB", "nul", "empty"])
async def test_no_symbol_forges_a_line_of_the_log(
    symbol: str, api: Any, log_output: list[dict[str, Any]]
) -> None:
    answer = await api.post("/v1/quotes", {"instruments": [symbol]})
    assert answer.status in (200, 400, 404, 413)
    assert len(answer.body) < 10_000
    assert not {"\x1b", "\n", "\0"} & set(answer.body.decode())
    assert all(symbol not in str(line) for line in log_output if symbol)
    answer = await api.post("/v1/subscriptions", {"instruments": [symbol]})
    assert answer.status < 500
    assert all(symbol not in str(line) for line in log_output if symbol)
