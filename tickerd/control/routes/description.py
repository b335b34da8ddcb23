"""What there is: the description for programs, and a page for people."""

import base64
import hashlib
import re
from functools import cache
from importlib import resources

from tickerd.control.route import Call, Reply, Route

PAGE = "docs.html"
_SCRIPT = re.compile(rb"<(script|style)>(.*?)</\1>", re.DOTALL)


@cache
def page() -> tuple[bytes, str]:
    """The page, and a policy that lets it run its own script and load nothing from elsewhere."""
    text = resources.files("tickerd.control").joinpath("static", PAGE).read_bytes()
    hashes: dict[bytes, list[str]] = {b"script": [], b"style": []}
    for kind, content in _SCRIPT.findall(text):
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        hashes[kind].append(f"'sha256-{digest}'")
    policy = (
        f"default-src 'none'; script-src {' '.join(hashes[b'script'])}; style-src {' '.join(hashes[b'style'])}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return text, policy


async def description(call: Call) -> Reply:
    """The same for everybody."""
    return Reply(body=call.description())


async def docs(call: Call) -> Reply:
    """The same for everybody."""
    del call
    text, policy = page()
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
)
