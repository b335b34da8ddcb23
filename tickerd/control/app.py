"""The application: made from the table of routes, it parses what they take and serializes what they answer."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn

import msgspec
import structlog
import trio
from quart import Response, g, request
from quart.wrappers.response import ResponseBody
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from tickerd.control import replies
from tickerd.control.access_protocol import Access
from tickerd.control.changes import Changes
from tickerd.control.desk import Desk
from tickerd.control.facade import Facade
from tickerd.control.figures import ApiFigures
from tickerd.control.inputs import parse_body, parse_query
from tickerd.control.limits import Limits
from tickerd.control.problem import CONTENT_TYPE, Problem
from tickerd.control.reception import Exchange, Reach, Reception
from tickerd.control.route import Call, Reply, Route, adapter
from tickerd.control.steering import Code, Refused
from tickerd.control.syntax import SYNTAX
from tickerd.state import StateError
from tickerd.state.keys import By

_STATUSES: dict[Code, int] = {
    "unknown": 404,
    "conflict": 409,
    "invalid": 422,
    "refused": 403,
    "unavailable": 503,
}


class Application:
    """Holds the Quart application and what it works with. `run` it beside the server.

    Args:
        routes: all that there are; the description is generated from the same table.
        desk: what routes change things with.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        facade: Facade,
        access: Access,
        reach: Reach,
        figures: ApiFigures | None = None,
        limits: Limits | None = None,
        *,
        desk: Desk,
    ) -> None:
        self.figures = figures or ApiFigures()
        self._routes = {route.operation: route for route in routes}
        self._facade = facade
        self._desk = desk
        self._limits = limits or Limits()
        self._reception = Reception(access, reach, self.figures)
        self._log = structlog.get_logger()
        self._described: bytes | None = None
        self._describing = trio.Lock()
        self._searches = trio.CapacityLimiter(1)
        self._taps: list[object] = []
        self._changes = Changes()
        self._replies = replies.Replies()
        with SYNTAX:
            self.quart = self._quart()

    def _quart(self) -> QuartTrio:
        app = QuartTrio("tickerd.control", static_folder=None, template_folder=None)
        app.config["MAX_CONTENT_LENGTH"] = self._limits.body_bytes
        app.config["BODY_TIMEOUT"] = self._limits.body_s
        app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
        app.url_map.merge_slashes = False
        for name, route in self._routes.items():
            app.add_url_rule(route.path, endpoint=name, view_func=self._view(route), methods=[route.method])
        app.before_request(self._enter)
        app.after_request(self._leave)
        app.register_error_handler(Problem, self._problem)
        app.register_error_handler(Refused, self._refused)
        app.register_error_handler(StateError, self._state_error)
        app.register_error_handler(HTTPException, self._http_exception)
        app.register_error_handler(Exception, self._bug)
        return app

    async def _enter(self) -> Response | None:
        exchange = g.exchange = self._reception.open(request, self._routes.get(request.endpoint or ""))
        await self._reception.enter(exchange, request)
        return self._reception.preflight(exchange, request)

    async def _leave(self, response: Response) -> Response:
        self._reception.leave(g.exchange, request, response)
        return response

    def _view(self, route: Route) -> Callable[..., Coroutine[Any, Any, Response]]:
        async def view(**path: str) -> Response:
            exchange: Exchange = g.exchange
            self._reception.admit(exchange, route)
            call = self._call(route, exchange, path, await self._body(route))
            if route.changes:
                return response_of(await self._change(route, call))
            with trio.move_on_after(self._limits.handler_s) as limit:
                return response_of(as_reply(route, await route.handler(call)))
            assert limit.cancelled_caught
            raise Problem(503, f"no answer within {self._limits.handler_s:g} s; try again", code="too-slow")

        return view

    def _call(self, route: Route, exchange: Exchange, path: dict[str, str], body: Any) -> Call:
        principal = exchange.principal
        return Call(
            facade=self._facade,
            desk=self._desk,
            principal=principal,
            by=By(principal.id if principal else "anybody", exchange.origin_text),
            request_id=exchange.id,
            path=path,
            query=parse_query(route.query, request.args),
            body=body,
            headers=exchange.caller.headers,
            description=self._description,
            collectors=self.figures.collectors,
            searches=self._searches,
            taps=self._taps,
            stopping=request.scope["state"]["stopping"],
        )

    async def _change(self, route: Route, call: Call) -> Reply:
        """Carried out in a task of its own, and once for each idempotency key."""
        key = replies.parse_key(call.headers.get(replies.HEADER))
        work = partial(self._done, route, call)
        if key is not None:
            asked = (request.method, request.full_path, await request.get_data(as_text=False))
            work = partial(self._done_once, work, call.by.who, key, msgspec.msgpack.encode(asked))
        return await self._changes.make(work, route.seconds or self._limits.handler_s)

    async def _done(self, route: Route, call: Call) -> Reply:
        return as_reply(route, await route.handler(call))

    async def _done_once(
        self, work: Callable[[], Coroutine[Any, Any, Reply]], caller: str, key: str, asked: bytes
    ) -> Reply:
        known = self._replies.begin(caller, key, asked, trio.current_time())
        if known is not None:
            return replace(known, headers={**known.headers, replies.REPLAYED: "true"})
        try:
            reply = await work()
        except BaseException:
            self._replies.drop(caller, key)
            raise
        self._replies.keep(caller, key, reply)
        return reply

    def renew(self, reach: Reach) -> None:
        """Go by these from now on."""
        self._reception.renew(reach)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> NoReturn:
        """Own what outlives a request; until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._warm)
            await nursery.start(self._changes.run)
            task_status.started()
        raise AssertionError

    async def _warm(self) -> None:
        """Make beforehand what whoever asks first would have to wait for."""
        try:
            await self._description()
        except Exception as error:  # noqa: BLE001 - whoever asks will be told
            self._log.error("the API cannot describe itself", exc_info=error)

    async def _description(self) -> bytes:
        """Made once, in a thread: it would hold the loop up."""
        async with self._describing:
            if self._described is None:
                self._described = await trio.to_thread.run_sync(self._describe, abandon_on_cancel=True)
            return self._described

    def _describe(self) -> bytes:
        from tickerd.control.openapi import describe  # noqa: PLC0415 - imports and makes a lot

        with SYNTAX:
            return msgspec.json.encode(describe(list(self._routes.values())))

    async def _body(self, route: Route) -> Any:
        data: bytes = await request.get_data(cache=True, as_text=False, parse_form_data=False)
        encoding = request.headers.get("Content-Encoding", "identity")
        return parse_body(route, data, request.mimetype, encoding)

    async def _problem(self, problem: Problem) -> Response:
        exchange: Exchange = g.exchange
        return problem_response(problem, exchange.id)

    async def _refused(self, refused: Refused) -> Response:
        return await self._problem(Problem(_STATUSES[refused.code], refused.text))

    async def _state_error(self, error: StateError) -> Response:
        """Nothing was changed; the log has it where it happened."""
        self._log.error("state file cannot be used", reason=str(error), path=request.path)
        return await self._problem(Problem(503, str(error), code="state-unusable"))

    async def _http_exception(self, error: HTTPException) -> Response:
        """What Quart itself turns away."""
        status = error.code or 500
        headers = {}
        detail = None
        if status == 404:
            detail = "there is nothing here; /openapi.json lists every route"
        elif status == 405:
            allowed = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
            headers, detail = {"Allow": allowed}, f"this path takes {allowed}"
        elif status in (408, 413):
            headers = {"Connection": "close"}
        return await self._problem(Problem(status, detail, headers=headers))

    async def _bug(self, error: Exception) -> Response:
        """An exception that nobody expected: the caller learns a number to look for in the log."""
        exchange: Exchange = g.exchange
        self._log.error("request failed", request_id=exchange.id, path=request.path, exc_info=error)
        return await self._problem(Problem(500, f"look for request_id {exchange.id} in the log"))


def problem_response(problem: Problem, request_id: str) -> Response:
    """A problem as an answer."""
    body = problem.json(request_id)
    return Response(body, status=problem.status, headers=dict(problem.headers), content_type=CONTENT_TYPE)


def as_reply(route: Route, given: Any) -> Reply:
    """What a handler returned, with its body serialized."""
    if not isinstance(given, Reply):
        return Reply(body=adapter(route.answer).dump_json(given), status=route.status)
    if isinstance(given.body, bytes | ResponseBody):
        return given
    return replace(given, body=adapter(route.answer).dump_json(given.body))


def response_of(reply: Reply) -> Response:
    """A reply as an answer."""
    response = Response(
        reply.body, status=reply.status, headers=dict(reply.headers), content_type=reply.content_type
    )
    if reply.endless:
        response.timeout = None
        if request.method == "HEAD":
            response.set_data(b"")
    return response
