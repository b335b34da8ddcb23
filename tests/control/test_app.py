"""The application: every route is declared, guarded and described; every mistake is a problem."""

import inspect
from ipaddress import ip_network
from typing import Any

import msgspec
import pytest
import trio

from tickerd.control.limits import Limits
from tickerd.control.problem import Problem
from tickerd.control.reception import Reach
from tickerd.control.route import Call, Input, Reply, Route
from tickerd.control.routes import ROUTES
from tickerd.plugin.ratelimit import RATE_CLASSES
from tickerd.plugin.scopes import SCOPES


async def test_every_route_of_the_application_is_in_the_table(api: Any) -> None:
    rules = {
        (rule.rule, method) for rule in api.application.quart.url_map.iter_rules() for method in rule.methods
    }
    declared = {(route.path, route.method) for route in ROUTES}
    heads = {(route.path, "HEAD") for route in ROUTES if route.method == "GET"}
    assert rules == declared | heads


def test_every_route_has_a_scope_or_is_known_to_be_open() -> None:
    assert all(route.scope is None or route.scope in SCOPES for route in ROUTES)
    open_to_all = {route.path for route in ROUTES if route.scope is None}
    assert open_to_all == {"/livez", "/readyz", "/health", "/openapi.json", "/docs", "/live"}


def test_every_route_has_a_rate_class_and_a_summary_and_an_async_handler() -> None:
    for route in ROUTES:
        assert route.rate in RATE_CLASSES
        assert 5 < len(route.summary) < 80
        assert not route.summary.endswith(".")
        assert inspect.iscoroutinefunction(route.handler)


async def test_unauthenticated_callers_are_told_how_to_authenticate_and_cut_off(api: Any) -> None:
    answer = await api.get("/v1/status", key=None)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="tickerd"'
    assert answer.headers["connection"] == "close"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["type"] == "urn:tickerd:problem:unauthorized"


async def test_a_wrong_credential_is_refused_even_where_none_is_needed_but_for_probes(api: Any) -> None:
    assert (await api.get("/health", key="wrong")).status == 401
    assert (await api.get("/nowhere", key="wrong")).status == 401
    assert (await api.raw("GET", "/health", Authorization="Basic eDp5")).status == 401
    assert (await api.get("/livez", key="wrong")).status == 200
    assert (await api.get("/readyz", key="wrong")).status == 200


async def test_what_is_not_there_is_a_problem_with_a_request_id(api: Any) -> None:
    answer = await api.get("/nowhere")
    assert (answer.status, answer.json["title"]) == (404, "not found")
    assert answer.json["request_id"] == answer.headers["x-request-id"]


async def test_a_wrong_method_is_told_which_are_right(api: Any) -> None:
    answer = await api.raw("DELETE", "/v1/quotes")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, POST")
    assert (await api.raw("OPTIONS", "/v1/quotes")).status == 405


async def test_a_callers_own_request_id_is_kept_if_it_is_harmless(api: Any) -> None:
    assert (await api.get("/livez", X_Request_Id="abc-1.2_Z")).headers["x-request-id"] == "abc-1.2_Z"
    for bad in ("a b", "a" * 65, "caf\xe9", "<script>"):
        assert (await api.get("/livez", X_Request_Id=bad)).headers["x-request-id"] != bad


async def test_every_answer_carries_what_keeps_browsers_from_mischief(api: Any) -> None:
    for path in ("/livez", "/nowhere", "/v1/status"):
        headers = (await api.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert "server" not in headers


# -- names and pages ------------------------------------------------------------------------------------


async def test_the_host_is_checked_but_for_probes_and_callers_who_are_known(open_api: Any) -> None:
    async with open_api(hosts=["ticks.example.com"]) as api:
        for host, status in [("localhost:1", 200), ("ticks.example.com:7801", 200), ("evil.example", 421)]:
            assert (await api.get("/health", key=None, Host=host)).status == status
        assert (await api.get("/livez", key=None, Host="10.0.0.7:7801")).status == 200
        assert (await api.get("/readyz", key=None, Host="10.0.0.7:7801")).status == 200
        assert (await api.get("/metrics", Host="10.0.0.7:7801")).status == 200
        assert (await api.get("/metrics", key=None, Host="10.0.0.7:7801")).status == 421


async def test_names_can_be_changed_while_it_runs(open_api: Any) -> None:
    async with open_api() as api:
        assert (await api.get("/health", key=None, Host="new.example")).status == 421
        api.application.renew(Reach(listeners=[], hosts=["new.example"]))
        assert (await api.get("/health", key=None, Host="new.example")).status == 200


async def test_a_request_without_a_host_is_refused_like_one_with_a_wrong_host(api: Any) -> None:
    data = await api.running.ask(b"GET /health HTTP/1.0\r\n\r\n")
    assert data.startswith(b"HTTP/1.1 421 ")


async def test_nobody_is_led_to_a_unix_socket_by_a_name(open_api: Any) -> None:
    async with open_api(unix=True) as api:
        assert (await api.get("/v1/status", key=None, Host="evil.example")).status == 200


async def test_the_origin_is_always_checked(open_api: Any) -> None:
    async with open_api(origins=["https://page.example"]) as api:
        for origin, status in [
            ("https://page.example", 200),
            ("http://localhost", 200),  # our own page
            ("https://localhost", 403),
            ("https://evil.example", 403),
            ("null", 403),
            ("", 403),
        ]:
            for path in ("/livez", "/v1/status"):
                answer = await api.get(path, Origin=origin)
                assert answer.status == status, origin
        assert (await api.get("/livez", Origin="https://page.example")).headers[
            "access-control-allow-origin"
        ] == "https://page.example"
        assert "access-control-allow-origin" not in (await api.get("/livez")).headers


async def test_a_page_at_a_rebound_name_is_not_ours(api: Any) -> None:
    answer = await api.get("/v1/status", Host="evil.example", Origin="http://evil.example")
    assert answer.status == 403


async def test_browsers_may_ask_beforehand_for_pages_that_are_listed(open_api: Any) -> None:
    async with open_api(origins=["https://page.example"]) as api:
        answer = await api.raw("OPTIONS", "/v1/quotes", Origin="https://page.example")
        assert answer.status == 204
        assert "Authorization" in answer.headers["access-control-allow-headers"]
        assert (await api.raw("OPTIONS", "/v1/quotes", Origin="https://evil.example")).status == 403


# -- who calls ------------------------------------------------------------------------------------------


async def test_a_caller_on_the_unix_socket_may_do_what_the_socket_may(open_api: Any) -> None:
    async with open_api(unix=True, scopes=frozenset({"status:read"})) as api:
        assert (await api.get("/v1/status", key=None)).status == 200
        assert (await api.get("/v1/config", key=None)).status == 403


async def test_a_proxy_on_the_unix_socket_speaks_for_somebody_elsewhere(open_api: Any) -> None:
    async with open_api(unix=True) as api:
        assert (await api.get("/v1/status", key=None, X_Forwarded_For="203.0.113.9")).status == 401
        assert api.access.requests[-1].peer == "203.0.113.9"
        assert (await api.get("/v1/status", X_Forwarded_For="203.0.113.9")).status == 200


async def test_forwarding_headers_count_only_from_trusted_proxies(open_api: Any) -> None:
    async with open_api() as api:
        await api.get("/livez", X_Forwarded_For="203.0.113.9")
        assert api.access.requests[-1].peer == "127.0.0.1"
    async with open_api(trusted_proxies=[ip_network("127.0.0.0/8")]) as api:
        await api.get("/livez", X_Forwarded_For="1.1.1.1, 203.0.113.9")
        assert api.access.requests[-1].peer == "203.0.113.9"


async def test_authenticators_are_handed_the_request_as_it_came(api: Any) -> None:
    await api.get("/livez", key="all", X_Token="t", Cookie="a=b")
    request = api.access.requests[-1]
    assert request.credential.text == "all"
    assert (request.headers["x-token"], request.headers["cookie"]) == ("t", "a=b")
    assert "remote-addr" not in request.headers
    assert request.listener.auth == ("keys",)
    await api.raw("GET", "/livez", Authorization="Basic eDp5")
    assert api.access.requests[-1].credential is None


# -- how often ------------------------------------------------------------------------------------------


async def test_answers_say_how_much_is_left(api: Any) -> None:
    headers = (await api.get("/v1/status")).headers
    assert headers["ratelimit-policy"] == '"reads";q=10;w=60'
    assert headers["ratelimit"] == '"reads";r=999;t=13'
    assert api.access.hits == [("reads", "key all")]


async def test_who_calls_too_often_is_told_when_to_come_back(api: Any) -> None:
    api.access.left["reads"] = 0
    answer = await api.get("/v1/status")
    assert answer.status == 429
    assert 6 <= int(answer.headers["retry-after"]) <= 7
    assert answer.json["retry_after"] == int(answer.headers["retry-after"])
    assert answer.json["type"] == "urn:tickerd:problem:quota-exceeded"
    assert answer.json["violated-policies"] == ["reads"]
    assert answer.headers["ratelimit"] == '"reads";r=0;t=13'


async def test_an_address_over_its_limit_is_not_even_asked_for_its_key(api: Any) -> None:
    api.access.left["addresses"] = -1
    answer = await api.get("/livez")
    assert (answer.status, answer.json["violated-policies"]) == (429, ["addresses"])
    assert api.access.requests == []


# -- what routes take -----------------------------------------------------------------------------------


class Query(Input):
    """What the route below takes."""

    n: int = 0
    names: tuple[str, ...] = ()
    perhaps: list[str] | None = None


class Body(Input):
    """What the route below takes."""

    size: int


async def _echo(call: Call) -> Reply:
    body = {"query": call.query and call.query.model_dump(), "body": call.body and call.body.model_dump()}
    return Reply(body=msgspec.json.encode(body), status=201)


async def _fail(call: Call) -> Reply:
    match call.path["how"]:
        case "group":
            async with trio.open_nursery():
                raise ValueError("secret inside")
        case "problem":
            async with trio.open_nursery():
                raise Problem(409, "there is one already")
        case "slow":
            await trio.sleep_forever()
        case _:
            raise ValueError("secret inside")


ODD = (
    Route(method="POST", path="/echo", summary="x", handler=_echo, scope=None, query=Query, body=Body),
    Route(method="GET", path="/plain", summary="x", handler=_echo, scope=None),
    Route(method="GET", path="/fail/<how>", summary="x", handler=_fail, scope=None),
)


async def test_what_a_route_takes_is_parsed_and_checked(open_api: Any) -> None:
    async with open_api(ODD) as api:
        answer = await api.post("/echo?n=3&names=a&names=b&perhaps=c", {"size": 1})
        assert answer.status == 201
        assert answer.json == {
            "query": {"n": 3, "names": ["a", "b"], "perhaps": ["c"]},
            "body": {"size": 1},
        }


@pytest.mark.parametrize(
    ("query", "body", "headers", "status", "detail"),
    [
        ("?n=x", b'{"size": 1}', {}, 400, "query.n: input should be a valid integer"),
        ("?n=1&n=2", b'{"size": 1}', {}, 400, "a query parameter is wrong"),
        ("?m=1", b'{"size": 1}', {}, 400, "query.m: unknown field"),
        ("", b'{"size": 1, "x": 2}', {}, 400, "body.x: unknown field"),
        ("", b'{"size": "hush-hush"}', {}, 400, "body.size: input should be a valid integer"),
        ("", b"{}", {}, 400, "body.size: field required"),
        ("", b"{", {}, 400, "body: this is not JSON"),
        ("", b"[" * 100_000, {}, 400, "body: this is not JSON"),
        ("", b'{"size": 1' + b"0" * 10_000 + b"}", {}, 400, "body"),
        ("", b'{"size": "\\ud800"}', {}, 400, "body"),
        ("", b'{"size": NaN}', {}, 400, "body"),
        ("", b"\xff\xfe", {}, 400, "body"),
        ("", b"size=1", {"Content_Type": "application/x-www-form-urlencoded"}, 415, "application/json"),
        ("", b"--", {"Content_Type": "multipart/form-data"}, 415, "application/json"),
        (
            "",
            b"&a=" * 100_000,
            {"Content_Type": "application/x-www-form-urlencoded"},
            415,
            "application/json",
        ),
        ("", b"\x1f\x8b", {"Content_Encoding": "gzip"}, 415, "without Content-Encoding"),
    ],
)
async def test_mistakes_are_told_by_place_without_quoting_what_was_sent(
    query: str, body: bytes, headers: dict[str, str], status: int, detail: str, open_api: Any
) -> None:
    async with open_api(ODD) as api:
        answer = await api.raw("POST", f"/echo{query}", body, **headers)
        assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
        assert detail in answer.json["detail"]
        assert b"hush" not in answer.body


async def test_a_route_that_takes_nothing_refuses_everything(open_api: Any) -> None:
    async with open_api(ODD) as api:
        assert (await api.raw("GET", "/plain")).status == 201
        assert (await api.raw("GET", "/plain?x=1")).status == 400
        assert (await api.raw("GET", "/plain", b"{}")).status == 400


async def test_many_mistakes_are_cut_and_long_names_shortened(open_api: Any) -> None:
    async with open_api(ODD) as api:
        answer = await api.raw("GET", "/plain?" + "&".join(f"a{i}=1" for i in range(50)))
        assert answer.status == 400
        answer = await api.post("/echo", {"size": 1, **{f"x{i}": 1 for i in range(50)}, "y" * 500: 1})
        assert len(answer.json["errors"]) == 20
        assert len(answer.body) < 4000


@pytest.mark.parametrize("how", ["alone", "group"])
async def test_a_bug_in_a_route_is_a_500_that_gives_nothing_away(
    how: str, open_api: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_api(ODD) as api:
        answer = await api.raw("GET", f"/fail/{how}")
        assert answer.status == 500
        assert b"secret" not in answer.body
        assert answer.json["request_id"] in answer.json["detail"]
        assert "secret inside" in capsys.readouterr().out  # the log has it
        assert (await api.raw("GET", "/plain")).status == 201


async def test_a_problem_inside_a_nursery_is_answered_like_any_other(open_api: Any) -> None:
    async with open_api(ODD) as api:
        answer = await api.raw("GET", "/fail/problem")
        assert (answer.status, answer.json["detail"]) == (409, "there is one already")


async def test_a_route_that_takes_too_long_is_given_up(open_api: Any) -> None:
    async with open_api(ODD, Limits(handler_s=0.1)) as api:
        answer = await api.raw("GET", "/fail/slow")
        assert (answer.status, answer.json["type"]) == (503, "urn:tickerd:problem:too-slow")


# -- the log --------------------------------------------------------------------------------------------


async def test_requests_are_logged_without_their_query_and_probes_only_when_they_fail(
    api: Any, log_output: list[dict[str, Any]]
) -> None:
    await api.get("/v1/instruments?q=topsecret", User_Agent="a" * 5000)
    await api.get("/livez")
    await api.get("/nowhere/%1b%5b31m%0d%0aX")
    lines = [line for line in log_output if line["event"] == "request" and line["log_level"] == "info"]
    assert [line["status"] for line in lines] == [200, 404]
    assert "topsecret" not in str(log_output)
    assert lines[0]["caller"] == "key all"
    assert len(lines[0]["agent"]) == 200


async def test_head_gives_what_get_would_without_the_body(api: Any) -> None:
    answer = await api.raw("HEAD", "/livez")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-length"] == str(len(b'{"status":"up"}'))


async def test_connections_are_used_again(api: Any) -> None:
    async with await api.running.connect() as stream:
        for _ in range(3):
            await stream.send_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            received = b""
            with trio.fail_after(3):
                while not received.endswith(b'{"status":"up"}'):
                    received += await stream.receive_some()
    assert api.running.server.figures.accepted.total() == 1


async def test_connections_that_are_not_used_again_are_closed(open_api: Any) -> None:
    """quart-trio would otherwise be cancelled in the middle of what hypercorn does in its last send."""
    async with open_api(limits=Limits(idle_s=0.2)) as api:
        answer = await api.running.ask(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", seconds=3)
        assert answer.endswith(b'{"status":"up"}')
