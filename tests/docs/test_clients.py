"""The clients of the stream in the documentation: they are short, they are what the document shows, and they work."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tickerd.plugin import Batch, Instrument, Principal, Row
from tickerd.testing import FakeServingContext, running
from tickerd_plugins.websocket import WebsocketSink
from tickerd_plugins.websocket.options import WebsocketOptions

ADDRESS, KEY = "127.0.0.1:7800", "tkd_live_example"
INFY = Instrument("kite", 408_065, "NSE", "INFY")
ROW = Row(INFY.token, mode="full", last_price=1573.7, volume_traded=1_192_471)


@asynccontextmanager
async def stream(folder: Path) -> AsyncIterator[tuple[FakeServingContext, str]]:
    """A sink whose stream ticks ten times a second, and where it is."""
    ctx = FakeServingContext(folder, "stream")
    ctx.instruments.load([INFY])
    ctx.principals[KEY] = Principal(id="key example", scopes=frozenset({"ticks:read"}))
    sink = WebsocketSink(WebsocketOptions.model_validate({"listen": ADDRESS, "auth": ("keys",), "drain": 0}))

    async def tick() -> None:
        while True:
            ctx.publish(Batch.of([ROW], ts_recv=1))
            await trio.sleep(0.1)

    try:
        async with running(sink, ctx), trio.open_nursery() as nursery:
            nursery.start_soon(tick)
            yield ctx, f"ws://127.0.0.1:{ctx.listening[ADDRESS].socket.getsockname()[1]}"
            nursery.cancel_scope.cancel()
    finally:
        await ctx.aclose()


async def printed(command: list[str], lines: int, **env: str) -> tuple[list[str], str]:
    """The first lines that a program prints, and what it said to stderr; then it is ended."""
    process = await trio.lowlevel.open_process(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **env}
    )
    out, err = b"", b""
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        with trio.fail_after(20):
            while out.count(b"\n") < lines and (chunk := await process.stdout.receive_some()):
                out += chunk
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
    async for chunk in process.stderr:
        err += chunk
    await process.stdout.aclose()
    await process.stderr.aclose()
    return out.decode().splitlines(), err.decode()


def code(text: str) -> list[str]:
    """Its lines, without those that say what it is for."""
    return [line for line in text.splitlines() if line.strip() and not line.startswith(("//", '"""'))]


@pytest.mark.parametrize("name", ["live.py", "live.js"])
def test_each_has_at_most_fifteen_lines_and_is_shown(checkout: Path, name: str) -> None:
    text = (checkout / "docs" / "clients" / name).read_text()
    assert len(code(text)) <= 15
    assert text in (checkout / "docs" / "stream.md").read_text()


async def test_the_python_client_prints_ticks(checkout: Path, tmp_path: Path) -> None:
    program = str(checkout / "docs" / "clients" / "live.py")
    async with stream(tmp_path) as (_, url):
        lines, said = await printed([sys.executable, program, url, "NSE:INFY", "NO:SUCH"], 3, TICKERD_KEY=KEY)
    assert len(lines) >= 3, said
    assert all("'last_price': 1573.7" in line and "'volume_traded': 1192471" in line for line in lines)
    assert "unknown_symbol" in said


async def test_the_python_client_says_why_it_was_sent_away(checkout: Path, tmp_path: Path) -> None:
    program = str(checkout / "docs" / "clients" / "live.py")
    async with stream(tmp_path) as (_, url):
        lines, said = await printed([sys.executable, program, url, "NSE:INFY"], 1, TICKERD_KEY="wrong")
    assert lines == []
    assert "unauthorized" in said


@pytest.mark.full
async def test_the_javascript_client_prints_ticks(need, checkout: Path, tmp_path: Path) -> None:
    node, modules = need("node"), checkout / "tests" / "node" / "node_modules"
    need.that((modules / "ws").is_dir(), "the npm packages in tests/node")
    program = str(checkout / "docs" / "clients" / "live.js")
    async with stream(tmp_path) as (_, url):
        lines, said = await printed(
            [node, program, url, "NSE:INFY", "NO:SUCH"], 30, TICKERD_KEY=KEY, NODE_PATH=str(modules)
        )
    assert "last_price: 1573.7," in "\n".join(lines), said
    assert "unknown_symbol" in said
