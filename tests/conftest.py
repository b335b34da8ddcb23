"""Guards and helpers for all tests: no accidental imports, only loopback, tools that CI must have."""

import ipaddress
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Programs that a shell runs in the background ignore Ctrl-C, and so would the ones that tests start and end by it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

IN_CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci" if IN_CI else "local")


class Need:
    """What a test needs from the machine: skips the test where it is missing, or fails it in CI."""

    def __call__(self, tool: str, how: str = "make test-tools") -> str:
        """The path of a command."""
        path = shutil.which(tool)
        self.that(path is not None, f"the command {tool!r}", how)
        assert path is not None
        return path

    def that(self, there: bool, what: str, how: str = "make test-tools") -> None:
        """Anything else."""
        if there:
            return
        text = f"needs {what}; get it with: {how}"
        if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
            pytest.fail(text, pytrace=False)
        pytest.skip(text)


@pytest.fixture(scope="session")
def need() -> Need:
    """``need("node")`` gives the path of a command; ``need.that(condition, what, how)`` for all else."""
    return Need()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked ``root`` run as root only."""
    if item.get_closest_marker("root") is not None:
        Need().that(os.geteuid() == 0, "root", "run the tests as root")


class OnlyPackagesThatShip:
    """Bans imports that work by accident: with the checkout on ``sys.path`` each folder is a package."""

    BANNED = frozenset({"benchmarks", "config", "docs", "plugins", "systemd", "tests"})

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        if name.partition(".")[0] in self.BANNED and not _asked_by_pytest():
            raise ImportError(f"{name!r} is a folder of the checkout, not a package that is installed")
        return None


def _asked_by_pytest() -> bool:
    """pytest gives test files such names and looks for them."""
    frame = sys._getframe(2)
    while frame is not None and "importlib" in frame.f_code.co_filename:
        frame = frame.f_back  # type: ignore[assignment]
    return frame is not None and f"{os.sep}_pytest{os.sep}" in frame.f_code.co_filename


sys.meta_path.insert(0, OnlyPackagesThatShip())  # type: ignore[arg-type]


class NetworkUsedError(RuntimeError):
    """A test left the machine. Not an `OSError`, lest the code under test takes it for an outage."""


network_used: list[str] = []


def _is_loopback(host: object) -> bool:
    if host in ("localhost", b"localhost"):
        return True
    try:
        return ipaddress.ip_address(str(host).partition("%")[0]).is_loopback
    except ValueError:
        return False


def _is_numeric(host: object) -> bool:
    try:
        ipaddress.ip_address(str(host).partition("%")[0])
    except ValueError:
        return False
    return True


def _leaves_the_machine(event: str, args: tuple[Any, ...]) -> bool:
    if event in ("socket.connect", "socket.bind", "socket.sendto"):
        sock, address = args
        inet = sock.family in (socket.AF_INET, socket.AF_INET6)
        return inet and isinstance(address, tuple) and not _is_loopback(address[0])
    if event == "socket.getaddrinfo":
        return args[0] not in (None, "", b"") and not _is_loopback(args[0]) and not _is_numeric(args[0])
    return False


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if event.startswith("socket.") and _leaves_the_machine(event, args):
        where = args[1] if event != "socket.getaddrinfo" else args[0]
        network_used.append(f"{event} {where!r}")
        raise NetworkUsedError(f"{event} {where!r}: tests use loopback only")


sys.addaudithook(_audit)


@pytest.fixture(autouse=True)
def loopback_only() -> Iterator[list[str]]:
    """Fails a test that tried to leave the machine, even if the code under test swallowed the error."""
    network_used.clear()
    yield network_used
    if network_used:
        pytest.fail(f"the network was used: {', '.join(network_used)}", pytrace=False)


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of the source tree."""
    return Path(__file__).resolve().parent.parent
