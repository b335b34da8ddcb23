"""What ``tickerd simulate`` does: listen, say so, and run until a signal or until the child has ended."""

import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import trio

from tickerd_plugins.simulator.options import SimulatorOptions
from tickerd_plugins.simulator.server import open_simulator
from tickerd_plugins.simulator.simulator import Simulator

FAILED = 1
COMMAND_NOT_FOUND = 127
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def main(given: Mapping[str, Any]) -> int:
    """Run with the command line's options; returns the exit code."""
    settings = dict(given)
    ready_file, command = settings.pop("ready_file"), settings.pop("command")
    code = FAILED
    try:
        code = trio.run(_run, SimulatorOptions(**settings), ready_file, command)
    except* OSError as group:
        for error in _leaves(group):
            click.echo(f"tickerd simulate: {error.strerror or error}", err=True)
    return code


def _leaves(group: BaseExceptionGroup[OSError]) -> list[OSError]:
    found: list[OSError] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


async def _run(options: SimulatorOptions, ready_file: Path | None, command: Sequence[str]) -> int:
    # opened first and closed last: a signal must find us listening for it at any time
    with trio.open_signal_receiver(*_SIGNALS) as signals:
        async with open_simulator(options) as simulator:
            _announce(simulator, ready_file)
            if command:
                return await _run_command(command, simulator, signals)
            async for _ in signals:
                break
    return 0


def _announce(simulator: Simulator, ready_file: Path | None) -> None:
    if ready_file is not None:
        part = ready_file.with_name(f".{ready_file.name}.{os.getpid()}")
        part.write_text(json.dumps({"ws": simulator.ws_url, "rest": simulator.rest_url}))
        part.replace(ready_file)
    o = simulator.options
    click.echo(
        f"kite simulator: {simulator.ws_url} {simulator.rest_url} "
        f"({len(simulator.universe)} instruments, {o.rate} ticks/s, api key {o.api_key})"
    )
    sys.stdout.flush()


async def _run_command(command: Sequence[str], simulator: Simulator, signals: Any) -> int:
    """Run the command to its end. Ctrl-C reaches it from the terminal; a SIGTERM to us is handed on to it."""
    environment = os.environ | {"KITE_SIM_WS": simulator.ws_url, "KITE_SIM_REST": simulator.rest_url}
    try:
        process = await trio.lowlevel.open_process(list(command), env=environment)
    except (FileNotFoundError, PermissionError) as error:
        click.echo(f"tickerd simulate: cannot run {command[0]!r}: {error.strerror}", err=True)
        return COMMAND_NOT_FOUND
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_hand_on, signals, process)
        try:
            code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
        nursery.cancel_scope.cancel()
    return 128 - code if code < 0 else code


async def _hand_on(signals: Any, process: trio.Process) -> None:
    async for number in signals:
        if number == signal.SIGTERM:
            with suppress(ProcessLookupError):
                process.terminate()
