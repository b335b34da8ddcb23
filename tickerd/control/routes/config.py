"""The configuration in force."""

from tickerd.control.facade import ConfigShown
from tickerd.control.route import Call, Route


async def effective(call: Call) -> ConfigShown:
    """With every default filled in and every secret masked."""
    return call.facade.config()


ROUTES = (
    Route(
        method="GET",
        path="/v1/config",
        summary="The configuration in force, secrets hidden",
        handler=effective,
        scope="admin:config",
        answer=ConfigShown,
    ),
)
