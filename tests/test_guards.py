"""The guards that tests/conftest.py puts around every test."""

import importlib
import socket

import pytest
import trio


@pytest.mark.parametrize("name", ["config", "plugins", "plugins.tickerd_plugins", "tests.helpers", "systemd"])
def test_folders_of_the_checkout_cannot_be_imported(name: str) -> None:
    with pytest.raises(ImportError, match="folder of the checkout"):
        importlib.import_module(name)


def test_what_ships_can_be_imported() -> None:
    assert importlib.import_module("tickerd_plugins")


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("8.8.8.8", 53)])
def test_a_connection_to_another_machine_is_refused(
    address: tuple[str, int], loopback_only: list[str]
) -> None:
    with socket.socket() as sock, pytest.raises(RuntimeError, match="loopback only"):
        sock.connect(address)
    assert loopback_only == [f"socket.connect {address!r}"]
    loopback_only.clear()


async def test_so_is_one_by_trio_and_by_name(loopback_only: list[str]) -> None:
    with pytest.raises(RuntimeError, match="loopback only"):
        await trio.open_tcp_stream("example.com", 80)
    loopback_only.clear()


def test_a_listener_for_other_machines_is_refused(loopback_only: list[str]) -> None:
    with socket.socket() as sock, pytest.raises(RuntimeError, match="loopback only"):
        sock.bind(("0.0.0.0", 0))
    loopback_only.clear()


async def test_loopback_is_free() -> None:
    listeners = await trio.open_tcp_listeners(0, host="localhost")
    port = listeners[0].socket.getsockname()[1]
    async with await trio.open_tcp_stream("127.0.0.1", port):
        pass
    for listener in listeners:
        await listener.aclose()


def test_a_missing_tool_skips_with_a_hint(need, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(
        pytest.skip.Exception, match="needs the command 'no-such-tool'; get it with: make test-tools"
    ):
        need("no-such-tool")


def test_a_missing_tool_fails_in_ci(need, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no-such-tool"):
        need("no-such-tool", "apt install it")


def test_a_tool_that_is_there_is_named(need) -> None:
    assert need("sh").endswith("/sh")
