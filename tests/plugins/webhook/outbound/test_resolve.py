"""Name look-ups: one, in time, of a sane size."""

import socket
import threading
from ipaddress import ip_address

import pytest
import trio

from tickerd_plugins.webhook.outbound import Unreachable
from tickerd_plugins.webhook.outbound.resolve import SystemResolver, addresses_of
from tickerd_plugins.webhook.outbound.target import parse


async def found(url, resolver, within=0.05, most=16):
    return [str(address) for address in await addresses_of(parse(url), resolver, within=within, most=most)]


async def test_an_address_is_not_looked_up(net):
    resolver = net.Resolver()
    assert await found("https://8.8.8.8/", resolver) == ["8.8.8.8"]
    assert await found("https://[2606:2800::1]/", resolver) == ["2606:2800::1"]
    assert resolver.asked == []


async def test_a_name_is_looked_up_once_and_each_address_counts_once(net):
    resolver = net.Resolver(**{"a.test": [net.public, net.public6, net.public]})
    assert await found("https://A.test./", resolver) == [net.public, net.public6]
    assert resolver.asked == ["a.test"]


async def test_sixteen_addresses_are_enough_and_more_are_suspicious(net):
    resolver = net.Resolver(
        **{"a.test": [f"8.8.8.{n}" for n in range(16)], "b.test": [f"8.8.8.{n}" for n in range(17)]}
    )
    assert len(await found("https://a.test/", resolver)) == 16
    with pytest.raises(Unreachable) as refused:
        await found("https://b.test/", resolver)
    assert "17 addresses" in refused.value.detail


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (OSError(-2, "Name or service not known"), "Name or service not known"),
        (UnicodeError("label too long"), "label too long"),
        ([], "no address"),
        ("hangs", "not resolved within 0.05 s"),
    ],
)
async def test_a_failed_look_up_says_why(net, answer, why):
    with pytest.raises(Unreachable) as refused:
        await found("https://a.test/", net.Resolver(**{"a.test": answer}))
    assert refused.value.kind == "dns"
    assert why in refused.value.detail
    assert "a.test" in refused.value.detail
    assert str(refused.value) == Unreachable.public_text


async def test_the_system_is_asked_in_a_thread_and_left_behind_when_it_hangs(monkeypatch):
    let_go = threading.Event()

    def hang(*_arguments, **_more):
        let_go.wait(10)
        raise OSError("too late")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    resolver = SystemResolver()
    try:
        for _ in range(3):  # one more than there are threads
            with pytest.raises(Unreachable, match=Unreachable.public_text):
                await found("https://a.test/", resolver)
    finally:
        let_go.set()


async def test_the_system_is_asked_for_all_addresses(monkeypatch):
    def answer(name, port, *, type):  # noqa: A002
        assert (name, port, type) == ("a.test", None, socket.SOCK_STREAM)
        return [(2, 1, 6, "", ("8.8.8.8", 0)), (10, 1, 6, "", ("fe80::1%eth0", 0, 0, 2))]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    with trio.fail_after(5):
        assert await SystemResolver()("a.test") == [ip_address("8.8.8.8"), ip_address("fe80::1%eth0")]
