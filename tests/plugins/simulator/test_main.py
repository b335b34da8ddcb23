"""``tickerd simulate`` as a process."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Run = Callable[..., subprocess.Popen[str]]
PROGRAM = [sys.executable, "-c", "from tickerd_plugins.simulator.command import simulate; simulate()"]
FREE = ["--ws", "127.0.0.1:0", "--rest", "127.0.0.1:0", "--instruments", "100"]


@pytest.fixture
def run() -> Iterator[Run]:
    """Starts the command; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*PROGRAM, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_listens_and_ends_on_a_signal(
    run: Run, tmp_path: Path, number: signal.Signals
) -> None:
    ready = tmp_path / "ready.json"
    process = run(*FREE, "--ready-file", str(ready))
    assert process.stdout is not None
    line = process.stdout.readline()
    addresses = json.loads(ready.read_text())
    assert line.startswith(
        f"kite simulator: {addresses['ws']} {addresses['rest']} (100 instruments, 2000 ticks/s"
    )
    assert list(tmp_path.iterdir()) == [ready]
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "", "")


def test_a_port_that_is_taken_is_an_error_with_its_address(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        process = run("--ws", address, "--rest", "127.0.0.1:0")
        out, err = process.communicate(timeout=10)
    assert process.returncode == 1
    assert out == ""
    assert err.startswith(f"tickerd simulate: cannot listen on {address}: ")
    assert err.count("\n") == 1


def test_a_command_gets_the_addresses_and_gives_the_exit_code(run: Run) -> None:
    process = run(*FREE, "--", "sh", "-c", "echo $KITE_SIM_WS $KITE_SIM_REST; exit 7")
    out, err = process.communicate(timeout=10)
    assert process.returncode == 7
    announced, told = out.splitlines()
    assert told in announced
    assert told.startswith("ws://127.0.0.1:")
    assert err == ""


def test_a_command_that_dies_of_a_signal_gives_the_shells_code(run: Run) -> None:
    process = run(*FREE, "--", "sh", "-c", "kill -KILL $$")
    process.communicate(timeout=10)
    assert process.returncode == 128 + signal.SIGKILL


def test_a_command_that_is_missing_is_an_error(run: Run) -> None:
    process = run(*FREE, "--", "/no/such/command")
    _, err = process.communicate(timeout=10)
    assert process.returncode == 127
    assert err == "tickerd simulate: cannot run '/no/such/command': No such file or directory\n"


CHILD = "import signal, sys; signal.signal({number}, lambda *_: sys.exit(3)); print('child', flush=True); "
CHILD += "signal.pause()"


def read_until(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    while word not in (line := process.stdout.readline()):
        assert line


def test_the_command_owns_ctrl_c(run: Run) -> None:
    process = run(*FREE, "--", sys.executable, "-c", CHILD.format(number=int(signal.SIGINT)))
    read_until(process, "child")
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == 3


def test_a_sigterm_is_handed_on_to_the_command(run: Run) -> None:
    process = run(*FREE, "--", sys.executable, "-c", CHILD.format(number=int(signal.SIGTERM)))
    read_until(process, "child")
    process.terminate()
    process.communicate(timeout=10)
    assert process.returncode == 3
