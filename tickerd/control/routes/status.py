"""The whole picture, for those who may see it."""

from tickerd.control.route import Call, Route
from tickerd.control.routes.health import SCOPE, Overview, word
from tickerd.observe.health import assess


async def status(call: Call) -> Overview:
    """What `tickerd status` and `tickerd top` show."""
    picture = call.facade.picture()
    verdict = assess(picture, call.facade.thresholds)
    return Overview(status=word(verdict), reasons=verdict.reasons, picture=picture)


ROUTES = (
    Route(
        method="GET",
        path="/v1/status",
        summary="The verdict, its reasons and the whole picture",
        handler=status,
        scope=SCOPE,
        answer=Overview,
    ),
)
