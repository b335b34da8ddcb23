"""What each route answers."""

from dataclasses import replace
from typing import Any

import jsonschema
import pytest
import trio
import trio.testing

from tickerd.observe.picture import SourcePicture
from tickerd.plugin import Principal

# -- health ---------------------------------------------------------------------------------------------


async def test_livez_says_that_it_answers(api: Any) -> None:
    assert (await api.get("/livez", key=None)).json == {"status": "up"}


async def test_readyz_says_up_or_down_to_everybody_and_why_to_those_who_may_know(api: Any) -> None:
    assert (await api.get("/readyz", key=None)).json == {"status": "up"}
    assert (await api.get("/readyz")).json == {"status": "up", "reasons": []}
    api.facade.shown = replace(api.facade.shown, ready=False)
    down = await api.get("/readyz", key=None)
    assert (down.status, down.json) == (503, {"status": "down"})
    assert (await api.get("/readyz", key="nse")).json == {"status": "down"}
    reasons = (await api.get("/readyz")).json["reasons"]
    assert [(reason["component"], reason["problem"]) for reason in reasons] == [("daemon", "not_started")]


async def test_readyz_judges_one_component(api: Any) -> None:
    broken = SourcePicture(name="other", use="x", state="failed", detail="why")
    api.facade.shown = replace(api.facade.shown, sources=(*api.facade.shown.sources, broken))
    assert (await api.get("/readyz")).status == 503
    assert (await api.get("/readyz?component=source.kite")).status == 200
    assert (await api.get("/readyz?component=source.other")).status == 503
    assert (await api.get("/readyz?component=sinks", key=None)).status == 200
    assert (await api.get("/readyz?component=sources", key=None)).status == 503


async def test_readyz_tells_strangers_nothing_of_which_components_there_are(api: Any) -> None:
    assert (await api.get("/readyz?component=source.kite", key=None)).status == 401
    assert (await api.get("/readyz?component=source.nope", key=None)).status == 401
    answer = await api.get("/readyz?component=source.nope")
    assert answer.status == 404
    assert "source.kite" in answer.json["detail"]


async def test_health_and_status_give_the_whole_picture(api: Any) -> None:
    assert (await api.get("/health", key=None)).json == {"status": "up"}
    for path in ("/health", "/v1/status"):
        overview = (await api.get(path)).json
        assert (overview["status"], overview["reasons"]) == ("up", [])
        assert overview["picture"]["sources"][0]["totals"]["ticks"] == 10
        assert overview["picture"]["sinks"][0]["dropped"] == {"slow": 1}


# -- lists ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name"), [("sources", "kite"), ("sinks", "archive")])
async def test_units_are_listed_and_looked_up(kind: str, name: str, api: Any) -> None:
    page = (await api.get(f"/v1/{kind}")).json
    assert [unit["name"] for unit in page["items"]] == [name]
    assert page["next"] is None
    assert (await api.get(f"/v1/{kind}/{name}")).json == page["items"][0]
    answer = await api.get(f"/v1/{kind}/{name}x")
    assert (answer.status, f"did you mean {name!r}" in answer.json["detail"]) == (404, True)
    assert "there is" in (await api.get(f"/v1/{kind}/zzz")).json["detail"]


async def test_plugins_are_listed(api: Any) -> None:
    assert (await api.get("/v1/plugins")).json["items"][0]["name"] == "kite"


async def test_the_configuration_is_shown(api: Any) -> None:
    assert (await api.get("/v1/config")).json["values"]["sources"]["kite"]["api_key"] == "***"


async def all_pages(api: Any, path: str, key: str) -> list[Any]:
    found: list[Any] = []
    after = ""
    while True:
        page = (await api.get(f"{path}limit=2&after={after}")).json
        assert len(page["items"]) <= 2
        found += [item[key] for item in page["items"]]
        if page["next"] is None:
            return found
        after = page["next"].replace(" ", "%20")


async def test_subscriptions_are_paged_by_source_and_instrument(api: Any) -> None:
    assert await all_pages(api, "/v1/subscriptions?", "instrument") == ["NSE:A", "BSE:INFY", "NSE:INFY"]
    assert (await api.get("/v1/subscriptions?after=nonsense")).status == 400
    api.facade.want = lambda *_: None  # gone between the two looks
    assert (await api.get("/v1/subscriptions")).json["items"] == []


async def test_pages_have_bounds(api: Any) -> None:
    for bad in ("limit=0", "limit=1001", "limit=x", f"after={'a' * 257}"):
        assert (await api.get(f"/v1/sources?{bad}")).status == 400


# -- instruments ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=infy", ["BSE:INFY", "NFO:INFY26NOVFUT", "NSE:INFY"]),
        ("q=infosys%20nse", ["NSE:INFY"]),
        ("q=infy&exchange=BSE", ["BSE:INFY"]),
        ("instrument_type=FUT", ["NFO:INFY26NOVFUT"]),
        ("expiry=2026-11-26", ["NFO:INFY26NOVFUT"]),
        ("name=INFOSYS", ["BSE:INFY", "NSE:INFY"]),
        ("segment=INDICES", ["NSE:NIFTY 50"]),
        ("q=nothing", []),
    ],
)
async def test_instruments_are_found_by_words_and_by_fields(query: str, found: list[str], api: Any) -> None:
    items = (await api.get(f"/v1/instruments?{query}")).json["items"]
    assert [item["symbol"] for item in items] == found


async def test_a_search_is_paged(api: Any) -> None:
    assert await all_pages(api, "/v1/instruments?", "symbol") == sorted(
        ["BSE:INFY", "NFO:INFY26NOVFUT", "NSE:INFY", "NSE:NIFTY 50", "NSE:RELIANCE"]
    )


async def test_a_search_shows_only_what_the_key_may_see(api: Any) -> None:
    items = (await api.get("/v1/instruments?q=infy", key="nse")).json["items"]
    assert [item["symbol"] for item in items] == ["NSE:INFY"]
    assert (await api.get("/v1/instruments/NSE:INFY", key="nse")).status == 200
    assert (await api.get("/v1/instruments/BSE:INFY", key="nse")).status == 403


async def test_an_instrument_is_looked_up_by_symbol_or_token(api: Any) -> None:
    assert (await api.get("/v1/instruments/408065")).json["symbol"] == "NSE:INFY"
    assert (await api.get("/v1/instruments/NSE:NIFTY%2050")).json["token"] == 256265
    answer = await api.get("/v1/instruments/NSE:INFI")
    assert (answer.status, answer.json["detail"]) == (
        404,
        "no instrument 'NSE:INFI' (did you mean 'NSE:INFY'?)",
    )
    assert (await api.get("/v1/instruments/99999999999")).status == 404


# -- quotes ---------------------------------------------------------------------------------------------


async def test_quotes_of_many_instruments_come_at_once(api: Any) -> None:
    class Tick:
        json = b'{"instrument_token":408065,"last_price":1500.5}'

    api.facade.ticks["NSE:INFY"] = Tick()
    expected = {
        "quotes": {"NSE:INFY": {"instrument_token": 408065, "last_price": 1500.5}, "BSE:INFY": None},
        "unknown": ["X:Y"],
        "denied": [],
    }
    assert (await api.get("/v1/quotes?i=NSE:INFY&i=BSE:INFY&i=X:Y&i=NSE:INFY")).json == expected
    body = {"instruments": ["NSE:INFY", "BSE:INFY", "X:Y"]}
    assert (await api.post("/v1/quotes", body)).json == expected
    assert (await api.get("/v1/quotes?i=408065")).json["quotes"]["408065"]["last_price"] == 1500.5


async def test_quotes_show_only_what_the_key_may_see(api: Any) -> None:
    answer = (await api.get("/v1/quotes?i=NSE:INFY&i=BSE:INFY", key="nse")).json
    assert answer == {"quotes": {"NSE:INFY": None}, "unknown": [], "denied": ["BSE:INFY"]}


async def test_as_many_quotes_as_are_allowed_come_and_no_more(api: Any) -> None:
    many = [f"NSE:X{number}" for number in range(3000)]
    assert len((await api.post("/v1/quotes", {"instruments": many})).json["unknown"]) == 3000
    assert (await api.post("/v1/quotes", {"instruments": [*many, "NSE:Y"]})).status == 400
    assert (await api.post("/v1/quotes", {"instruments": []})).status == 400
    assert (await api.get("/v1/quotes")).status == 400
    assert (await api.get(f"/v1/quotes?i={'a' * 65}")).status == 400


# -- metrics and description ----------------------------------------------------------------------------


async def test_metrics_come_in_the_format_that_the_scraper_likes(api: Any) -> None:
    await api.get("/nowhere")
    plain = await api.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b'tickerd_ticks_total{source="kite"} 10.0' in plain.body
    assert b'tickerd_api_requests_total{method="other",route="other",status="404"} 1.0' in plain.body
    assert b"process_open_fds" in plain.body
    openmetrics = await api.get("/metrics", Accept="application/openmetrics-text;version=1.0.0")
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
    assert openmetrics.body.endswith(b"# EOF\n")


async def test_requests_that_no_route_saw_are_counted_too(api: Any) -> None:
    await api.running.ask(b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b'tickerd_control_refused_total{status="405"} 1.0' in (await api.get("/metrics")).body


async def test_answers_fit_their_description(api: Any) -> None:
    document = (await api.get("/openapi.json", key=None)).json
    paths = {
        "/readyz": "/readyz",
        "/health": "/health",
        "/v1/status": "/v1/status",
        "/v1/sources": "/v1/sources",
        "/v1/sources/{name}": "/v1/sources/kite",
        "/v1/sinks": "/v1/sinks",
        "/v1/plugins": "/v1/plugins",
        "/v1/instruments": "/v1/instruments",
        "/v1/instruments/{key}": "/v1/instruments/NSE:INFY",
        "/v1/quotes": "/v1/quotes?i=NSE:INFY",
        "/v1/subscriptions": "/v1/subscriptions",
        "/v1/config": "/v1/config",
    }
    for path, target in paths.items():
        content = document["paths"][path]["get"]["responses"]["200"]["content"]
        schema = content["application/json"]["schema"] | {"components": document["components"]}
        jsonschema.validate((await api.get(target)).json, schema)
    schema = {"$ref": "#/components/schemas/Problem", "components": document["components"]}
    jsonschema.validate((await api.get("/nowhere")).json, schema)


@pytest.mark.parametrize("path", ["/docs", "/live"])
async def test_the_pages_for_people_need_no_other_host(api: Any, path: str) -> None:
    answer = await api.get(path, key=None)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "script-src 'sha256-" in policy
    assert "unsafe" not in policy
    text = answer.body.decode()
    assert "http://" not in text
    assert "https://" not in text
    assert "innerHTML" not in text
    assert " style=" not in text
    assert " on" + "click=" not in text


# -- events ---------------------------------------------------------------------------------------------


async def open_stream(api: Any, target: str = "/v1/events", **headers: str) -> trio.SocketStream:
    lines = {"Host": "localhost", "Authorization": "Bearer all"} | headers
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    stream: trio.SocketStream = await api.running.connect()
    await stream.send_all(f"GET {target} HTTP/1.1\r\n{head}\r\n".encode())
    return stream


async def read_until(stream: trio.SocketStream, wanted: bytes) -> bytes:
    received = b""
    with trio.fail_after(5):
        while wanted not in received:
            data = await stream.receive_some()
            assert data, received
            received += data
    return received


async def test_events_come_as_they_happen(api: Any) -> None:
    async with await open_stream(api) as stream:
        head = await read_until(stream, b"retry: 2000\n\n")
        assert b"content-type: text/event-stream" in head
        api.facade.events.publish("unit", {"name": "kite", "state": "running"})
        received = await read_until(stream, b"running")
        assert b'id: 7-1\nevent: unit\ndata: {"name":"kite","state":"running"}\n\n' in received


async def test_only_the_kinds_asked_for_come(api: Any) -> None:
    async with await open_stream(api, "/v1/events?kinds=unit&kinds=key") as stream:
        await read_until(stream, b"retry")
        for kind in ("record", "unit", "key"):
            api.facade.events.publish(kind, {})
        assert b"record" not in await read_until(stream, b"event: key")


async def test_who_comes_back_goes_on_where_it_was(api: Any) -> None:
    for number in range(5):
        api.facade.events.publish("unit", {"n": number})
    async with await open_stream(api, Last_Event_ID="7-3") as stream:
        received = await read_until(stream, b'{"n":4}')
        assert b'{"n":2}' not in received
        assert b'{"n":3}' in received
    async with await open_stream(api, "/v1/events?after=6-99") as stream:  # of an earlier run
        assert b'{"n":0}' in await read_until(stream, b'{"n":4}')
    for bad in ("x", "7-x", "7", "-1-1"):
        assert (await api.get(f"/v1/events?after={bad}")).status == 400


@pytest.mark.parametrize(
    ("scopes", "sees"),
    [
        (("status:read",), False),
        (("status:read", "ticks:read:NSE"), False),
        (("status:read", "ticks:read"), True),
    ],
)
async def test_what_tells_of_the_account_is_for_those_who_may_see_all_ticks(
    api: Any, scopes: tuple[str, ...], sees: bool
) -> None:
    api.access.keys["one"] = Principal(id="key one", scopes=frozenset(scopes))
    async with await open_stream(api, Authorization="Bearer one") as stream:
        await read_until(stream, b"retry")
        api.facade.events.publish("record", {"n": 1}, private=True)
        api.facade.events.publish("record", {"n": 2})
        assert (b'{"n":1}' in await read_until(stream, b'{"n":2}')) is sees


async def test_a_stream_ends_when_the_key_is_revoked(api: Any) -> None:
    async with await open_stream(api) as stream:
        await read_until(stream, b"retry")
        api.access.keys["all"].validity.end("revoked")
        assert (await read_until(stream, b"0\r\n\r\n")).count(b"event: bye") == 1


async def test_a_stream_ends_when_the_server_stops(api: Any) -> None:
    async with await open_stream(api) as stream:
        await read_until(stream, b"retry")
        await trio.testing.wait_all_tasks_blocked(0.05)
        api.running.server.stop()
        await read_until(stream, b"event: bye")  # what is cut off at the limit says nothing


async def test_a_listener_that_leaves_is_forgotten(api: Any) -> None:
    async with await open_stream(api) as stream:
        await read_until(stream, b"retry")
        assert len(api.facade.events) == 1
    with trio.fail_after(2):
        while len(api.facade.events):
            await trio.sleep(0.01)


async def test_there_are_only_so_many_streams(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tickerd.control.routes.events.MOST_STREAMS", 1)
    async with await open_stream(api) as stream:
        await read_until(stream, b"retry")
        answer = await api.get("/v1/events")
        assert (answer.status, answer.headers["retry-after"]) == (503, "10")


async def test_a_quiet_stream_shows_that_it_lives(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tickerd.control.routes.events.HEARTBEAT_S", 0.05)
    async with await open_stream(api) as stream:
        await read_until(stream, b": alive\n\n")
        api.facade.events.publish("unit", {})
        await read_until(stream, b"event: unit")


async def test_a_slow_listener_is_told_how_much_it_missed(api: Any) -> None:
    async with await open_stream(api) as stream:
        await read_until(stream, b"retry")
        for _ in range(300):
            api.facade.events.publish("unit", {})
        assert b'event: dropped\ndata: {"count":44}\n\n' in await read_until(stream, b"id: 7-300")


async def test_asking_only_for_the_head_of_a_stream_does_not_open_one(api: Any) -> None:
    answer = await api.raw("HEAD", "/v1/events", Authorization="Bearer all")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
    assert len(api.facade.events) == 0
