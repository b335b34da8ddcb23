"""What there is: the description for programs, and pages for people."""

import base64
import hashlib
import re
from functools import cache
from importlib import resources

from tickerd.control.route import Call, Reply, Route

PAGE = "docs.html"
LIVE_PAGE = "live.html"
_STREAMS = "'self' ws: wss:"
"""The address of a stream is not known here; the person at the page writes it."""
_SCRIPT = re.compile(rb"<(script|style)>(.*?)</\1>", re.DOTALL)


@cache
def page(name: str = PAGE, connect: str = "'self'") -> tuple[bytes, str]:
    """A page, and a policy that lets it run its own script and load nothing from elsewhere."""
    text = resources.files("tickerd.control").joinpath("static", name).read_bytes()
    hashes: dict[bytes, list[str]] = {b"script": [], b"style": []}
    for kind, content in _SCRIPT.findall(text):
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        hashes[kind].append(f"'sha256-{digest}'")
    policy = (
        f"default-src 'none'; script-src {' '.join(hashes[b'script'])}; style-src {' '.join(hashes[b'style'])}; "
        f"connect-src {connect}; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return text, policy


async def description(call: Call) -> Reply:
    """The same for everybody."""
    return Reply(body=await call.description())


async def docs(call: Call) -> Reply:
    """The same for everybody."""
    del call
    return _page(*page())


async def live(call: Call) -> Reply:
    """Needs no key: what it connects to does."""
    del call
    return _page(*page(LIVE_PAGE, _STREAMS))


def _page(text: bytes, policy: str) -> Reply:
    return Reply(
        body=text, content_type="text/html; charset=utf-8", headers={"Content-Security-Policy": policy}
    )


ROUTES = (
    Route(
        method="GET",
        path="/openapi.json",
        summary="This description",
        handler=description,
        scope=None,
        answer=dict,
    ),
    Route(
        method="GET",
        path="/docs",
        summary="This description as a page",
        handler=docs,
        scope=None,
        content_type="text/html",
    ),
    Route(
        method="GET",
        path="/live",
        summary="A page that shows live prices",
        handler=live,
        scope=None,
        content_type="text/html",
    ),
)
