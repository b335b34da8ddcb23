"""The application: made from the table of routes, it parses what they take and serializes what they answer."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin

import msgspec
import structlog
import trio
from pydantic import ValidationError
from quart import Response, g, request
from quart.wrappers.response import ResponseBody
from quart_trio import QuartTrio
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException

from tickerd.control.access_protocol import Access
from tickerd.control.facade import Facade
from tickerd.control.figures import ApiFigures
from tickerd.control.limits import Limits
from tickerd.control.problem import CONTENT_TYPE, Problem
from tickerd.control.reception import Exchange, Reach, Reception
from tickerd.control.route import Call, Input, Reply, Route, adapter

_MOST_ERRORS = 20


class Application:
    """Holds the Quart application and what it works with.

    Args:
        routes: all that there are; the description is generated from the same table.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        facade: Facade,
        access: Access,
        reach: Reach,
        figures: ApiFigures | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.figures = figures or ApiFigures()
        self._routes = {route.operation: route for route in routes}
        self._facade = facade
        self._limits = limits or Limits()
        self._reception = Reception(access, reach, self.figures)
        self._log = structlog.get_logger()
        self._described: bytes | None = None
        self._searches = trio.CapacityLimiter(1)
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
            with trio.move_on_after(self._limits.handler_s) as limit:
                call = Call(
                    facade=self._facade,
                    principal=exchange.principal,
                    request_id=exchange.id,
                    path=path,
                    query=parse_query(route.query, request.args),
                    body=await self._body(route),
                    headers=exchange.caller.headers,
                    description=self._description,
                    collectors=self.figures.collectors,
                    searches=self._searches,
                    stopping=request.scope["state"]["stopping"],
                )
                return answer(route, await route.handler(call))
            assert limit.cancelled_caught
            raise Problem(503, f"no answer within {self._limits.handler_s:g} s; try again", code="too-slow")

        return view

    def renew(self, reach: Reach) -> None:
        """Go by these from now on."""
        self._reception.renew(reach)

    async def warm(self) -> None:
        """Make beforehand what would otherwise hold the loop up at its first use, in a thread."""
        await trio.to_thread.run_sync(self._description, abandon_on_cancel=True)

    def _description(self) -> bytes:
        if self._described is None:
            from tickerd.control.openapi import describe  # noqa: PLC0415 - imports and makes a lot

            self._described = msgspec.json.encode(describe(list(self._routes.values())))
        return self._described

    async def _body(self, route: Route) -> Input | None:
        headers = request.headers
        data: bytes = await request.get_data(cache=True, as_text=False, parse_form_data=False)
        if route.body is None:
            if data:
                raise Problem(400, "this route takes no body")
            return None
        if headers.get("Content-Encoding", "identity") != "identity":
            raise Problem(415, "send the body without Content-Encoding")
        if request.mimetype != "application/json":
            raise Problem(415, "send the body as application/json")
        try:
            return route.body.model_validate_json(data)
        except ValidationError as error:
            raise invalid(error, "body") from None

    async def _problem(self, problem: Problem) -> Response:
        exchange: Exchange = g.exchange
        return problem_response(problem, exchange.id)

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


def answer(route: Route, given: Any) -> Response:
    """What a handler returned, as an answer."""
    if not isinstance(given, Reply):
        given = Reply(body=adapter(route.answer).dump_json(given))
    elif not isinstance(given.body, bytes | ResponseBody):
        body = adapter(route.answer).dump_json(given.body)
        given = Reply(body=body, status=given.status, headers=given.headers)
    response = Response(
        given.body, status=given.status, headers=dict(given.headers), content_type=given.content_type
    )
    if given.endless:
        response.timeout = None
        if request.method == "HEAD":
            response.set_data(b"")
    return response


def parse_query(model: type[Input] | None, given: "MultiDict[str, str]") -> Input | None:
    """The query string as the route's model.

    Raises:
        Problem: with every mistake in it.
    """
    if model is None:
        if given:
            raise Problem(400, "this route takes no query parameters")
        return None
    values: dict[str, Any] = {}
    errors: list[dict[str, str]] = []
    for name, texts in given.lists():
        field = model.model_fields.get(name)
        if field is not None and _is_list(field.annotation):
            values[name] = tuple(texts)
        elif len(texts) > 1:
            errors.append({"at": f"query.{_short(name)}", "problem": "given more than once"})
        else:
            values[name] = texts[0]
    if errors:
        raise Problem(400, "a query parameter is wrong", errors=errors)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise invalid(error, "query") from None


def invalid(error: ValidationError, where: str) -> Problem:
    """Every mistake that pydantic found: its place, and what was expected; never what was sent."""
    errors = [
        {"at": ".".join([where, *(_short(str(part)) for part in mistake["loc"])]), "problem": _text(mistake)}
        for mistake in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    first = errors[0]
    return Problem(400, f"{first['at']}: {first['problem']}", code="invalid", errors=errors[:_MOST_ERRORS])


def _text(mistake: Mapping[str, Any]) -> str:
    if mistake["type"] == "json_invalid":
        return "this is not JSON"
    if mistake["type"] == "extra_forbidden":
        return "unknown field"
    text = str(mistake["msg"])
    return text[:1].lower() + text[1:]


def _short(text: str) -> str:
    return text if len(text) <= 64 else f"{text[:64]}…"


def _is_list(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return any(map(_is_list, get_args(annotation)))
    return origin in (list, tuple, set, frozenset)
