"""Listening sockets that outlive the units that use them."""

import socket

import pytest
import trio

from tickerd.runtime.listeners import Listeners


@pytest.fixture
async def listeners():
    made = Listeners()
    yield made
    await made.aclose()


async def test_a_tcp_address_is_opened_once_and_lent_again(listeners):
    first = await listeners.lend("127.0.0.1:0")
    assert await listeners.lend("127.0.0.1:0") is first
    assert first.socket.getsockname()[1] > 0


async def test_a_unix_socket_is_for_owner_and_group(listeners, tmp_path):
    path = tmp_path / "s"
    await listeners.lend(f"unix:{path}")
    assert path.stat().st_mode & 0o777 == 0o660


async def test_a_left_over_socket_file_is_replaced(listeners, tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
    await listeners.lend(f"unix:{path}")
    await (await trio.open_unix_socket(str(path))).aclose()


async def test_a_socket_file_that_is_in_use_is_not_taken_over(listeners, tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(OSError, match="in use by another process"):
            await listeners.lend(f"unix:{path}")


async def test_a_path_that_cannot_be_bound_is_an_error(listeners, tmp_path):
    with pytest.raises(OSError, match="No such file"):
        await listeners.lend(f"unix:{tmp_path}/nowhere/s")


@pytest.mark.parametrize("address", ["7800", "localhost", ":80", "127.0.0.1:http"])
async def test_what_is_no_address_is_refused(listeners, address):
    with pytest.raises(ValueError, match="is no address"):
        await listeners.lend(address)
