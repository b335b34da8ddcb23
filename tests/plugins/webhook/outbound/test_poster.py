"""Posting to one endpoint: what goes out, which connections are kept, and that everything ends."""

import pytest
import trio

from tickerd_plugins.webhook.outbound import AllowPrivate, Limits, Policy, Poster, Unreachable

CLOSE = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


def target_of(server, path="/hook"):
    rule = AllowPrivate(network="127.0.0.1/32", host="127.0.0.1", port=server.port, http=True)
    return Policy(allow=(rule,)).parse(f"http://127.0.0.1:{server.port}{path}")


async def wait_until(condition):
    with trio.fail_after(5):
        while not condition():
            await trio.sleep(0.002)


async def test_exactly_the_given_headers_and_bytes_go_out(net):
    async with net.serve(net.answering(net.ok)) as server, net.on_loopback(server) as poster:
        response = await poster.post(
            target_of(server, "/a?b=c"), [("webhook-id", "msg_1"), ("x-a", "b")], b'{"c": "d"}'
        )
    assert server.requests == [
        b"POST /a?b=c HTTP/1.1\r\nhost: 127.0.0.1:%d\r\nwebhook-id: msg_1\r\nx-a: b\r\ncontent-length: 10\r\n"
        b'accept-encoding: identity\r\n\r\n{"c": "d"}' % server.port
    ]
    assert (response.status, response.body, response.reused) == (200, b"ok", False)
    assert response.header("content-length") == "2"
    assert response.header("none") is None
    assert 0 <= response.took_s < 10


async def test_what_helps_to_come_again_is_in_the_response(net):
    said = b"HTTP/1.1 503 Later\r\nRetry-After: 7\r\nLocation: /b\r\ncontent-length: 0\r\n\r\n"
    async with net.serve(net.answering(said)) as server, net.on_loopback(server) as poster:
        response = await poster.post(target_of(server), [], b"")
    assert (response.status, response.retry_after, response.location) == (503, "7", "/b")


@pytest.mark.parametrize(
    "header", [("Host", "a"), ("x-a", "b\r\nc: d"), ("Content-Length", "0"), ("x\n", "a")]
)
async def test_a_header_that_cannot_be_sent_is_refused_before_anything_happens(net, header):
    dialer = net.Dialer()
    poster = Poster(resolver=net.Resolver(), dialer=dialer, own=net.Own())
    with pytest.raises(ValueError, match="header"):
        await poster.post(Policy().parse("https://public.test/"), [header], b"")
    assert dialer.dialled == []


async def test_a_connection_is_kept_for_the_next_request(net):
    async with net.serve(net.answering(net.ok)) as server, net.on_loopback(server) as poster:
        responses = [await poster.post(target_of(server, f"/{n}"), [], b"%d" % n) for n in range(3)]
    assert [response.reused for response in responses] == [False, True, True]
    assert server.connections == 1
    assert [request[-1:] for request in server.requests] == [b"0", b"1", b"2"]


async def test_a_connection_is_kept_over_tls_too(net, client_tls, server_tls):
    async with net.serve(net.answering(net.ok), tls=server_tls("public.test")) as server:
        dialer = net.Dialer(server.port)
        async with Poster(resolver=net.Resolver(), dialer=dialer, own=net.Own(), tls=client_tls) as poster:
            target = Policy().parse("https://public.test/")
            responses = [await poster.post(target, [], bytes(100_000)) for _ in range(3)]
    assert [response.reused for response in responses] == [False, True, True]
    assert len(dialer.dialled) == 1
    assert len(server.requests[-1]) > 100_000


async def test_a_connection_that_the_server_closes_is_not_kept(net):
    async with net.serve(net.answering(CLOSE)) as server, net.on_loopback(server) as poster:
        for _ in range(2):
            assert not (await poster.post(target_of(server), [], b"")).reused
    assert server.connections == 2


async def test_a_kept_connection_that_was_closed_meanwhile_is_replaced_and_nobody_notices(net):
    async with net.serve(net.answering(net.ok, close=True)) as server, net.on_loopback(server) as poster:
        for _ in range(3):
            assert (await poster.post(target_of(server), [], b"")).status == 200
    assert server.connections == 3


async def test_a_kept_connection_that_closes_upon_the_request_is_tried_once_again(net):
    async def behave(server, stream):
        await server.request(stream)
        await stream.send_all(net.ok)
        await server.request(stream)  # and hangs up

    async with net.serve(behave) as server, net.on_loopback(server) as poster:
        await poster.post(target_of(server), [], b"first")
        response = await poster.post(target_of(server), [], b"second")
    assert (response.status, response.reused) == (200, False)
    assert [request[-6:] for request in server.requests][1:] == [b"second", b"second"]


async def test_a_new_connection_that_closes_upon_the_request_is_not_tried_again(net):
    async def behave(server, stream):
        await server.request(stream)

    async with net.serve(behave) as server, net.on_loopback(server) as poster:
        with pytest.raises(Unreachable) as failed:
            await poster.post(target_of(server), [], b"")
    assert failed.value.kind == "protocol"
    assert len(server.requests) == 1


async def test_an_unused_connection_is_closed_by_itself(net):
    ended = trio.Event()

    async def behave(server, stream):
        await net.answering(net.ok)(server, stream)
        ended.set()

    async with net.serve(behave) as server, net.on_loopback(server, idle=0.05) as poster:
        for _ in range(2):
            await poster.post(target_of(server), [], b"")
        with trio.fail_after(5):
            await ended.wait()
        await wait_until(lambda: not poster._kept)
        assert not (await poster.post(target_of(server), [], b"")).reused


async def test_no_more_connections_are_kept_than_allowed(net):
    together = trio.Event()

    async def behave(server, stream):
        while await server.request(stream):
            if len(server.requests) == 5:
                together.set()
            await together.wait()
            await stream.send_all(net.ok)

    async with net.serve(behave) as server, net.on_loopback(server, idle_connections=2) as poster:
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(poster.post, target_of(server), [], b"")
        assert server.connections == 5
        assert len(poster._kept) == 2


async def test_a_connection_to_another_place_is_not_used(net):
    async with net.serve(net.answering(net.ok)) as one, net.serve(net.answering(net.ok)) as two:
        rules = [
            AllowPrivate(network="127.0.0.1/32", host="127.0.0.1", port=s.port, http=True) for s in (one, two)
        ]
        async with Poster(Policy(allow=tuple(rules)), own=net.Own()) as poster:
            for server in (one, two, one):
                assert not (await poster.post(target_of(server), [], b"")).reused
    assert (len(one.requests), len(two.requests)) == (2, 1)


async def test_forgetting_gives_up_kept_connections_and_those_in_use_after_their_request(net):
    go = trio.Event()

    async def behave(server, stream):
        while request := await server.request(stream):
            if request.endswith(b"slow"):
                await go.wait()
            await stream.send_all(net.ok)

    async with net.serve(behave) as server, net.on_loopback(server) as poster:
        await poster.post(target_of(server), [], b"")
        await poster.forget()
        assert not poster._kept
        async with trio.open_nursery() as nursery:
            nursery.start_soon(poster.post, target_of(server), [], b"slow")
            await wait_until(lambda: len(server.requests) == 2)
            await poster.forget()
            go.set()
        assert not poster._kept


async def test_the_total_limit_ends_a_request_in_every_phase_and_says_which(net):
    hanging = Poster(
        limits=Limits(total=0.05),
        resolver=net.Resolver(**{"a.test": "hangs"}),
        dialer=net.Dialer(),
        own=net.Own(),
    )
    with pytest.raises(Unreachable) as failed:
        await hanging.post(Policy().parse("https://a.test/"), [], b"")
    assert failed.value.kind == "timeout"
    assert "while connecting" in failed.value.detail

    async def silent(server, stream):
        await server.request(stream)
        await trio.sleep_forever()

    async with net.serve(silent) as server, net.on_loopback(server, total=0.05) as poster:
        with pytest.raises(Unreachable) as failed:
            await poster.post(target_of(server, "/T0KEN"), [], b"")
    assert "while waiting for the answer" in failed.value.detail
    assert "T0KEN" not in failed.value.detail


async def test_a_server_that_does_not_read_is_given_up(net):
    async def deaf(_server, _stream):
        await trio.sleep_forever()

    async with net.serve(deaf) as server, net.on_loopback(server, total=0.1) as poster:
        with pytest.raises(Unreachable) as failed:
            await poster.post(target_of(server), [], bytes(20 * 2**20))
    assert failed.value.kind == "timeout"


async def test_cancelling_a_request_closes_its_connection(net):
    ended = trio.Event()

    async def behave(server, stream):
        await server.request(stream)
        assert not await stream.receive_some()
        ended.set()

    async with net.serve(behave) as server, net.on_loopback(server) as poster:
        with trio.move_on_after(0.05) as scope:
            await poster.post(target_of(server), [], b"")
        assert scope.cancelled_caught
        with trio.fail_after(5):
            await ended.wait()
        assert not poster._kept


async def _post_and_fail(poster, target):
    async with poster:
        await poster.post(target, [], b"")
        raise KeyError


async def test_leaving_closes_what_is_kept_and_lets_exceptions_out_as_they_are(net):
    ended = trio.Event()

    async def behave(server, stream):
        await net.answering(net.ok)(server, stream)
        ended.set()

    async with net.serve(behave) as server:
        poster = net.on_loopback(server)
        with pytest.raises(KeyError):  # no group
            await _post_and_fail(poster, target_of(server))
        with trio.fail_after(5):
            await ended.wait()


async def test_what_ends_after_leaving_is_not_kept(net):
    async with net.serve(net.answering(net.ok)) as server:
        async with net.on_loopback(server) as poster:
            pass
        assert (await poster.post(target_of(server), [], b"")).status == 200
        assert not poster._kept


async def test_a_check_looks_up_and_connects_to_nothing(net):
    dialer = net.Dialer()
    resolver = net.Resolver(**{"lan.test": ["10.0.0.1"]})
    poster = Poster(resolver=resolver, dialer=dialer, own=net.Own())
    await poster.check(Policy().parse("https://public.test/"))
    with pytest.raises(Unreachable) as refused:
        await poster.check(Policy().parse("https://lan.test/"))
    assert refused.value.kind == "refused_by_policy"
    assert dialer.dialled == []
