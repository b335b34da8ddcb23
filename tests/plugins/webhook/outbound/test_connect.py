"""Connecting: to the address that was checked, in time, and to nobody who cannot prove who he is."""

import socket
import ssl
from ipaddress import ip_address
from pathlib import Path

import pytest
import trio

from tickerd_plugins.webhook.outbound import Limits, Policy, Unreachable, tls_context
from tickerd_plugins.webhook.outbound.connect import Connector, Link, dial

TARGET = Policy().parse("https://public.test/")
TWO = ["8.8.8.8", "2606:2800::1"]


def connector(net, dialer, *, tls=None, tls_limit=5.0):
    resolver = net.Resolver(**{"two.test": TWO, "six.test": [f"8.8.8.{n}" for n in range(6)]})
    return Connector(
        Policy(), Limits(tls=tls_limit), resolver=resolver, dialer=dialer, own=net.Own(), tls=tls
    )


async def refusal(connecting, target=TARGET):
    with pytest.raises(Unreachable) as refused:
        await connecting.connect(target)
    return refused.value


async def test_the_dialer_connects_to_exactly_that_address_and_says_where_it_is():
    async with trio.open_nursery() as nursery:
        listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
        port = listener.socket.getsockname()[1]
        link = await dial(ip_address("127.0.0.1"), port)
        async with link.stream, listener, await listener.accept() as other:
            assert link.peer == ("127.0.0.1", port)
            assert not link.readable()
            await other.send_all(b"x")
            with trio.fail_after(5):
                while not link.readable():
                    await trio.sleep(0.001)
        nursery.cancel_scope.cancel()


async def test_a_failed_dial_leaves_no_socket_open():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        before = len(list(Path("/proc/self/fd").iterdir()))
        with pytest.raises(OSError, match="refused"):
            await dial(ip_address("127.0.0.1"), bound.getsockname()[1])
        assert len(list(Path("/proc/self/fd").iterdir())) == before


async def test_the_addresses_are_tried_in_their_order_and_at_most_four(net):
    dialer = net.Dialer()
    error = await refusal(connector(net, dialer), Policy().parse("https://two.test/"))
    assert [address for address, _ in dialer.dialled] == TWO
    assert (error.kind, error.detail) == ("connect", "[2606:2800::1]:443: Connection refused")
    await refusal(connector(net, dialer), Policy().parse("https://six.test/"))
    assert len(dialer.dialled) == 2 + 4


async def test_an_address_that_does_not_answer_leaves_time_for_the_next(net, mock_clock):
    mock_clock.autojump_threshold = 0.05
    dialled = []

    async def never(address, _port):
        dialled.append((str(address), trio.current_time()))
        await trio.sleep_forever()

    began = trio.current_time()
    error = await refusal(connector(net, never), Policy().parse("https://two.test/"))
    assert error.kind == "connect"
    assert "did not answer within 2.5 s" in error.detail
    assert [address for address, _ in dialled] == TWO
    assert trio.current_time() - began == pytest.approx(5)


@pytest.mark.parametrize("peer", [("10.0.0.1", 443), ("93.184.215.14", 444), ("::ffff:93.184.215.14", 443)])
async def test_another_peer_than_the_one_asked_for_gets_nothing(net, peer):
    async with net.serve(net.answering(net.ok)) as server:
        error = await refusal(connector(net, net.Dialer(server.port, peer=peer)))
    assert error.kind == "refused_by_policy"
    assert server.requests == []


async def test_the_name_is_sent_in_the_tls_handshake_and_checked(net, client_tls, server_tls):
    asked = []
    tls = server_tls("public.test")
    tls.sni_callback = lambda _socket, name, _context: asked.append(name)
    async with net.serve(net.answering(net.ok), tls=tls) as server:
        link = await connector(net, net.Dialer(server.port), tls=client_tls).connect(TARGET)
        assert link.peer == (net.public, 443)
        await trio.aclose_forcefully(link.stream)
    assert asked == ["public.test"]


async def test_an_address_in_the_url_must_be_in_the_certificate(net, client_tls, server_tls):
    target = Policy().parse(f"https://{net.public}/")
    for name, fits in ((net.public, True), ("public.test", False)):
        async with net.serve(net.answering(net.ok), tls=server_tls(name)) as server:
            connecting = connector(net, net.Dialer(server.port), tls=client_tls)
            if fits:
                await trio.aclose_forcefully((await connecting.connect(target)).stream)
            else:
                assert (await refusal(connecting, target)).kind == "tls"


@pytest.mark.parametrize(
    ("said", "why"),
    [(b"HTTP/1.1 400 Bad Request\r\n\r\n", "TLS failed"), (b"", "ended during the TLS handshake")],
)
async def test_a_server_without_tls_gets_nothing_in_the_clear(net, client_tls, said, why):
    heard = []

    async def behave(_server, stream):
        heard.append(await stream.receive_some())
        if said:
            await stream.send_all(said)

    async with net.serve(behave) as server:
        error = await refusal(connector(net, net.Dialer(server.port), tls=client_tls))
    assert error.kind == "tls"
    assert why in error.detail
    assert heard[0].startswith(b"\x16\x03")


async def test_a_handshake_has_a_limit_and_its_connection_is_closed(net, client_tls):
    closed = trio.Event()

    async def behave(_server, stream):
        while await stream.receive_some():
            pass
        closed.set()

    async with net.serve(behave) as server:
        error = await refusal(connector(net, net.Dialer(server.port), tls=client_tls, tls_limit=0.05))
        assert error.kind == "tls"
        assert "within 0.05 s" in error.detail
        with trio.fail_after(5):
            await closed.wait()


async def test_old_tls_is_refused(net, client_tls, server_tls):
    tls = server_tls("public.test")
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    async with net.serve(net.answering(net.ok), tls=tls) as server:
        link = await connector(net, net.Dialer(server.port), tls=client_tls).connect(TARGET)
        await trio.aclose_forcefully(link.stream)
    context = tls_context()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


def test_the_machines_authorities_are_read_once_for_all_endpoints(net):
    one, two = (connector(net, net.Dialer()) for _ in range(2))
    assert one._tls is two._tls
    assert one._tls.verify_mode == ssl.CERT_REQUIRED
    assert one._tls.check_hostname


def test_a_file_of_authorities_replaces_the_machines(tmp_path, authority):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    assert len(tls_context(tmp_path / "ca.pem").get_ca_certs()) == 1
    with pytest.raises(OSError, match="No such file"):
        tls_context(tmp_path / "none.pem")


async def test_admitted_connects_to_nothing(net):
    dialer = net.Dialer()
    assert await connector(net, dialer).admitted(TARGET) == [ip_address(net.public)]
    assert dialer.dialled == []


async def test_cancelling_a_connect_closes_what_was_opened(net, client_tls):
    closed = []

    class Stream(trio.abc.Stream):
        async def receive_some(self, max_bytes=None):
            await trio.sleep_forever()

        async def send_all(self, data):
            await trio.lowlevel.checkpoint()

        async def wait_send_all_might_not_block(self):
            await trio.lowlevel.checkpoint()

        async def aclose(self):
            closed.append(True)
            await trio.lowlevel.checkpoint()

    async def dialer(address, port):
        await trio.lowlevel.checkpoint()
        return Link(Stream(), (str(address), port), lambda: False)

    with trio.move_on_after(0.1) as scope:
        await connector(net, dialer, tls=client_tls).connect(TARGET)
    assert scope.cancelled_caught
    assert closed == [True]
