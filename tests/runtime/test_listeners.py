"""Listening sockets that outlive the units that use them."""

import socket

import pytest
import trio
import trio.testing

from tickerd.runtime.listeners import Listeners


@pytest.fixture
async def listeners():
    made = Listeners()
    yield made
    await made.aclose()


async def test_a_tcp_address_is_opened_once_and_lent_again(listeners):
    first = await listeners.lend("127.0.0.1:0")
    second = await listeners.lend("127.0.0.1:0")
    assert first.socket.getsockname() == second.socket.getsockname()
    assert first.socket.getsockname()[1] > 0


async def test_whoever_accepts_next_finds_what_waited_when_a_loan_was_given_back(listeners):
    first = await listeners.lend("127.0.0.1:0")
    async with await trio.open_tcp_stream(*first.socket.getsockname()) as client:
        listeners.give_back(first)
        with pytest.raises(trio.ClosedResourceError):
            await first.accept()
        second = await listeners.lend("127.0.0.1:0")
        async with await second.accept() as stream:
            await stream.send_all(b"hello")
            assert await client.receive_some(5) == b"hello"


async def test_two_borrowers_may_accept_at_the_same_time(listeners):
    async with trio.open_nursery() as nursery:
        loans = [await listeners.lend("127.0.0.1:0") for _ in range(2)]
        for loan in loans:
            nursery.start_soon(loan.accept)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


async def test_only_what_is_still_used_or_permanent_stays_open(listeners, tmp_path):
    for name in ("a", "b", "c"):
        await listeners.lend(f"unix:{tmp_path}/{name}", permanent=name == "a")
    await listeners.keep([f"unix:{tmp_path}/b"])
    for name in ("a", "b"):
        await (await trio.open_unix_socket(f"{tmp_path}/{name}")).aclose()


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


async def test_a_port_that_is_taken_is_named(listeners):
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(OSError, match=f"cannot listen on {address}: .*in use"):
            await listeners.lend(address)


@pytest.mark.parametrize("address", ["7800", "localhost", ":80", "127.0.0.1:http"])
async def test_what_is_no_address_is_refused(listeners, address):
    with pytest.raises(ValueError, match="is no address"):
        await listeners.lend(address)


async def test_a_socket_that_was_open_before_is_used_and_never_bound_again(tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as unix, socket.socket() as tcp, socket.socket() as other:
        unix.bind(str(path))
        for one in (tcp, other):
            one.bind(("127.0.0.1", 0))
        for one in (unix, tcp, other):
            one.listen()
        made = Listeners([one.dup() for one in (unix, tcp, other)])
        port = tcp.getsockname()[1]
        lent = await made.lend(f"unix:{path}")
        assert lent.socket.getsockname() == str(path)
        assert (await made.lend(f"localhost:{port}")).socket.getsockname() == ("127.0.0.1", port)
        assert made.unused() == [f"127.0.0.1:{other.getsockname()[1]}"]
        await made.aclose()
        client = await trio.open_tcp_stream("127.0.0.1", port)  # still open in whoever opened it
        await client.aclose()
