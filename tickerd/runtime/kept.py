"""Tasks of the core that must not take the daemon with them."""

from collections.abc import Awaitable, Callable

import structlog
import trio

PAUSE_S = 1.0


async def kept(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run ``work`` until it returns; what it raises is logged, and it is begun anew after a second.

    A cancellation passes, also when it comes together with errors.
    """
    log = structlog.get_logger().bind(unit=name)
    while True:
        try:
            await work()
        except* Exception:
            log.exception("task of the core failed, it is begun anew")
        else:
            return
        await trio.sleep(PAUSE_S)
