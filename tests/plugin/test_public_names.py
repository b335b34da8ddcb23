"""The public names: all of them there, each documented, none leaking from inside."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tickerd.plugin
import tickerd.testing

PUBLIC = [(module, name) for module in (tickerd.plugin, tickerd.testing) for name in module.__all__]


@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=[f"{m.__name__}.{n}" for m, n in PUBLIC])
def test_every_public_name_is_there_and_documented(module: Any, name: str) -> None:
    thing = getattr(module, name)
    if inspect.isclass(thing) or inspect.isfunction(thing):
        assert inspect.getdoc(thing), f"{name} has no docstring"


def test_all_lists_are_sorted_and_hold_what_is_imported() -> None:
    for module in (tickerd.plugin, tickerd.testing):
        assert len(module.__all__) == len(set(module.__all__))
    tree = ast.parse(Path(tickerd.plugin.__file__ or "").read_text())
    imported = {alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported == set(tickerd.plugin.__all__)


def test_the_public_surface_needs_nothing_of_the_core() -> None:
    code = (
        "import sys, tickerd.plugin, tickerd.wire.kite; "
        "inside = {m.split('.')[1] for m in sys.modules if m.startswith('tickerd.')}; "
        "sys.exit(', '.join(inside - {'plugin', 'wire'}) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.full
def test_a_program_that_uses_every_public_name_is_typed(tmp_path: Path) -> None:
    lines = [f"from {module.__name__} import {name} as n{n}" for n, (module, name) in enumerate(PUBLIC)]
    lines += [f"reveal_type(n{n})" for n in range(len(PUBLIC))]
    lines += [USE]
    file = tmp_path / "uses.py"
    file.write_text("\n".join(lines))
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-error-summary",
        "--cache-dir",
        str(tmp_path / "cache"),
    ]
    done = subprocess.run([*command, str(file)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    unknown = [line for line in done.stdout.splitlines() if 'Revealed type is "Any"' in line]
    assert not unknown, "\n".join(unknown)


USE = """
from collections.abc import Sequence
from typing import ClassVar
import trio
from tickerd.plugin import *


class MyOptions(Options):
    pace: Duration = option("1s", doc="How fast.", gt=0)
    room: Size = option("1MiB", doc="How much.")
    key: Secret = option(doc="A key.")


class MySource(Source):
    Options: ClassVar[type[Options]] = MyOptions
    capacity: ClassVar[int | None] = 10

    def __init__(self, options: MyOptions) -> None:
        self.pace: float = options.pace

    async def run(self, ctx: SourceContext, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        ctx.instruments.load([Instrument(ctx.name, 1, "NSE", "INFY")])
        async for change in ctx.demand.changes():
            rows = [Row(one.token, mode=mode, last_price=1.0) for one, mode in change.items() if mode is not None]
            ctx.publish(Batch.of(rows, ts_recv=ctx.clock.now_ns()))
            ctx.publish(Batch.control(Status(state="connected"), Gap(reason="start")))
            ctx.log.info("published", ticks=len(rows))


class MySink(Sink):
    Options: ClassVar[type[Options]] = MyOptions
    overflow: ClassVar[Overflow] = "conflate"

    def __init__(self, options: MyOptions, ctx: SinkContext) -> None:
        self.file = ctx.state_dir / "x"

    async def write(self, batch: Batch) -> Sequence[Reject]:
        for record in batch.records:
            if isinstance(record, Gap) and record.lost is None:
                raise Retry("later", after=1.0)
        prices: list[float | None] = [tick.last_price for tick in batch.ticks]
        return [Reject(tick.position, "no") for tick in batch.ticks if tick.symbol is None] if prices else []


class MyServer(ServingSink):
    Options: ClassVar[type[Options]] = MyOptions

    def __init__(self, options: MyOptions) -> None: ...

    async def run(self, ctx: ServingContext, *, task_status: trio.TaskStatus[None]) -> None:
        listener = await ctx.listen("127.0.0.1:1")
        task_status.started()
        with ctx.subscribe(overflow="disconnect") as (position, subscription):
            batch: Batch = await subscription.receive()
        await listener.accept()


TICKERD_API = API_VERSION


@hookimpl
def tickerd_sources() -> type[Source] | None:
    return MySource


@hookimpl
def tickerd_sinks() -> type[Sink] | type[ServingSink] | None:
    return MyServer
"""
