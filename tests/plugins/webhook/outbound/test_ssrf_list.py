"""Everything that a URL can be bent to, one row for each trick; what counts is that no packet leaves."""

import datetime as dt
import gzip
import tracemalloc
from collections import defaultdict
from typing import NamedTuple

import pytest
import trio
import trustme

from tickerd_plugins.webhook.outbound import AllowPrivate, BadUrl, Limits, Policy, Poster, Unreachable

BAD_URL = "the URL is refused"
SENT = "sent"
PUBLIC = "93.184.215.14"


class Trick(NamedTuple):
    row: int
    url: str
    outcome: str = BAD_URL
    answers: object = None
    """What the resolver says to every name."""
    policy: Policy = Policy()
    own: tuple = ()


def tricks(row, *urls, **how):
    return [Trick(row, url, **how) for url in urls]


LAN = Policy(allow=(AllowPrivate.model_validate("192.168.1.0/24"),))

TABLE = [
    *tricks(1, "http://127.0.0.1/", "http://public.test/", "HTTP://127.0.0.1/"),
    *tricks(2, "https://127.0.0.1:8443/"),
    *tricks(3, "https://127.1/"),
    *tricks(4, "https://127.0.1/"),
    *tricks(5, "https://0/"),
    *tricks(6, "https://0.0.0.0/"),
    *tricks(7, "https://2130706433/"),
    *tricks(8, "https://0x7f000001/", "https://0X7F000001/"),
    *tricks(9, "https://0x7f.1/", "https://0x7f.0x0.0x0.0x1/"),
    *tricks(10, "https://0177.0.0.1/", "https://127.0.0.01/"),
    *tricks(11, "https://127.0.0.1./", "https://127.0.0.1../", "https://127.1./"),
    *tricks(12, "https://127.127.127.127/"),
    *tricks(
        13, "https://localhost/", "https://LOCALHOST/", "https://localhost./", "https://LocalHost.:8443/"
    ),
    *tricks(14, "https://foo.localhost/", "https://ip6-localhost/"),
    *tricks(
        14, "https://nas/", "https://nas.local/", "https://a.home.arpa/", "https://1.0.0.127.in-addr.arpa/"
    ),
    *tricks(14, "https://x.onion/", "https://api.default.svc/", "https://api.default.svc.cluster.local/"),
    *tricks(15, "https://[::1]/", "https://[0:0:0:0:0:0:0:1]/", "https://[0000::0001]/"),
    *tricks(16, "https://[::]/"),
    *tricks(17, "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/"),
    *tricks(18, "https://[::ffff:169.254.169.254]/", "https://[0:0:0:0:0:ffff:a9fe:a9fe]/"),
    *tricks(19, "https://[::127.0.0.1]/"),
    *tricks(20, "https://[::ffff:0:127.0.0.1]/"),
    *tricks(21, "https://[64:ff9b::7f00:1]/", "https://[64:ff9b::a9fe:a9fe]/"),
    *tricks(22, "https://[64:ff9b:1::a00:1]/"),
    *tricks(23, "https://[2002:7f00:1::]/", "https://[2002:a00:1::]/"),
    *tricks(24, "https://[2001:0:7f00:1::]/"),
    *tricks(25, "https://[fc00::1]/", "https://[fd00:ec2::254]/"),
    *tricks(26, "https://[fe80::1]/", "https://[fe80::1%25eth0]/", "https://[fe80::1%eth0]/"),
    *tricks(27, "https://[fec0::1]/"),
    *tricks(28, "https://[ff02::1]/"),
    *tricks(
        29, "https://10.0.0.1/", "https://172.16.0.1/", "https://172.31.255.255/", "https://192.168.1.1/"
    ),
    *tricks(30, "https://172.32.0.1/", "https://11.0.0.1/", outcome=SENT),
    *tricks(30, "https://name.test/", answers=["172.15.255.255"], outcome=SENT),
    *tricks(31, "https://169.254.169.254/latest/meta-data/", "https://169.254.170.2/"),
    *tricks(32, "https://metadata.google.internal/", "https://metadata/", answers=["169.254.169.254"]),
    *tricks(32, "https://metadata.test/", answers=["169.254.169.254"], outcome="refused_by_policy"),
    *tricks(33, "https://100.100.100.200/", "https://100.64.0.1/"),
    *tricks(34, "https://192.0.0.192/"),
    *tricks(35, "https://168.63.129.16/"),
    *tricks(36, "https://198.18.0.1/", "https://192.0.2.1/", "https://203.0.113.1/", "https://240.0.0.1/"),
    *tricks(
        36, "https://255.255.255.255/", "https://224.0.0.1/", "https://192.88.99.1/", "https://198.51.100.1/"
    ),
    *tricks(37, "https://2852039166/", "https://0xa9fea9fe/", "https://0251.0376.0251.0376/"),
    *tricks(37, "https://425.510.425.510/", "https://7147006462/"),
    *tricks(
        38, "https://\u2460\u2461\u2466.0.0.1/", "https://\uff11\uff12\uff17.0.0.1/", answers=["127.0.0.1"]
    ),
    *tricks(38, "https://127\u30020\u30020\u30021/", answers=["127.0.0.1"]),
    *tricks(39, "https://%31%32%37.0.0.1/", "https://127.0.0.1%2f@example.com/", answers=["127.0.0.1"]),
    *tricks(40, "https://example.com@127.0.0.1/", "https://user:pw@example.com/", "https://@example.com/"),
    *tricks(41, "https://127.0.0.1#@example.com/", "https://example.com#@127.0.0.1/"),
    *tricks(42, "https://127.0.0.1\\@example.com/", "https://example.com:80\\@127.0.0.1/"),
    *tricks(
        43, "https:///127.0.0.1/", "https:127.0.0.1/", "//127.0.0.1/", "https:/127.0.0.1/", "https://", ""
    ),
    *tricks(44, "https://exa\tmple.com/", "https://example.com\r\nHost: x/", "https://a\0b/"),
    *tricks(44, " https://example.com/", "https://example.com/\n", "https://example.com /"),
    *[
        trick
        for port in (0, 22, 25, 6379, 11211, 2375, 99999)
        for trick in tricks(45, f"https://example.com:{port}/")
    ],
    *tricks(45, "https://example.com:22/", policy=Policy(ports=(22,))),
    *tricks(45, "https://example.com:/", "https://example.com:0443/", "https://example.com:+443/"),
    *tricks(
        46, "file:///etc/passwd", "gopher://127.0.0.1:6379/_x", "dict://127.0.0.1/", "ftp://example.com/"
    ),
    *tricks(
        46, "unix:///run/x", "data:,x", "jar:http://example.com!/", "http+unix://%2frun%2fx/", "javascript:1"
    ),
    *tricks(48, "https://mixed.test/", answers=[PUBLIC, "169.254.169.254"], outcome="refused_by_policy"),
    *tricks(48, "https://mixed.test/", answers=["169.254.169.254", PUBLIC], outcome="refused_by_policy"),
    *tricks(49, "https://cname.test/", answers=["192.168.0.5"], outcome="refused_by_policy"),
    *tricks(50, "https://slow-dns.test/", answers="hangs", outcome="dns"),
    *tricks(
        50, "https://many.test/", answers=[f"8.8.{n // 256}.{n % 256}" for n in range(5000)], outcome="dns"
    ),
    *tricks(50, "https://empty.test/", answers=[], outcome="dns"),
    *tricks(50, "https://unknown.test/", answers=OSError(-2, "Name or service not known"), outcome="dns"),
    *tricks(55, "https://me.test/", answers=["8.8.4.4"], own=(["8.8.4.4"], []), outcome="refused_by_policy"),
    *tricks(
        55,
        "https://nat.test:7801/",
        answers=["8.8.4.4"],
        policy=Policy(ports=(7801,)),
        own=([], [7801]),
        outcome="refused_by_policy",
    ),
    *tricks(
        56,
        "https://xn--pple-43d.com/",
        "https://xn--80ak6aa92e.com/",
        "https://xn--a.com/",
        "https://xn--.com/",
    ),
    *tricks(56, f"https://{'a' * 64}.com/", f"https://{'a.' * 126}com/", "https://a..b/", "https://-a.com/"),
    *tricks(56, f"https://example.com/{'a' * 2048}", "https://a_b.com/", "https://ab--c.com/"),
    *tricks(57, "https://192.168.1.5/", policy=LAN, outcome=SENT),
    *tricks(57, "https://box.test/", answers=["192.168.1.5"], policy=LAN, outcome=SENT),
    *tricks(57, "https://192.168.2.5/", "https://169.254.169.254/", "https://127.0.0.1/", policy=LAN),
    *tricks(57, "https://box.test/", answers=["192.168.2.5"], policy=LAN, outcome="refused_by_policy"),
    *tricks(
        57, "https://box.test/", answers=["192.168.1.5", "10.0.0.1"], policy=LAN, outcome="refused_by_policy"
    ),
    *tricks(59, "https://v6.test/", answers=["64:ff9b::808:808"], outcome="refused_by_policy"),
]

ELSEWHERE = {47, 51, 52, 53, 54, 58, 60}
"""Rows that need more than one request or a server; each has tests below."""


@pytest.mark.parametrize("trick", TABLE, ids=lambda trick: f"{trick.row}-{ascii(trick.url)[:60]}")
async def test_no_trick_lets_a_packet_out(trick, net):
    resolver, dialer = net.Resolver(), net.Dialer()
    if trick.answers is not None:
        resolver.names = defaultdict(lambda: trick.answers)
    poster = Poster(trick.policy, Limits(dns=0.05), resolver=resolver, dialer=dialer, own=net.Own(*trick.own))
    try:
        response = await poster.post(trick.policy.parse(trick.url), [], b"{}")
        outcome = str(response.status)
    except BadUrl:
        outcome = BAD_URL
        assert resolver.asked == []
    except Unreachable as error:
        outcome = SENT if error.kind == "connect" else error.kind
    assert outcome == trick.outcome
    assert len(dialer.dialled) == (trick.outcome == SENT)
    assert len(resolver.asked) <= 1


def test_every_row_has_a_test():
    assert {trick.row for trick in TABLE} | ELSEWHERE == set(range(1, 61))
    names = " ".join(name for name in globals() if name.startswith("test_row_"))
    assert all(f"test_row_{row}_" in names for row in ELSEWHERE)


async def test_row_47_a_name_is_looked_up_once_and_what_was_checked_is_connected_to(net):
    resolver = net.Resolver(**{"rebind.test": [[net.public], ["10.0.0.7"]]})
    dialer = net.Dialer()
    poster = Poster(resolver=resolver, dialer=dialer, own=net.Own())
    target = Policy().parse("https://rebind.test/")
    with pytest.raises(Unreachable) as first:
        await poster.post(target, [], b"")
    assert first.value.kind == "connect"
    assert (resolver.asked, dialer.dialled) == (["rebind.test"], [(net.public, 443)])
    with pytest.raises(Unreachable) as second:
        await poster.post(target, [], b"")
    assert second.value.kind == "refused_by_policy"
    assert len(dialer.dialled) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_row_51_a_redirect_is_an_answer_that_nobody_follows(net, status):
    answer = (
        b"HTTP/1.1 %d Elsewhere\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n" % status
    )
    async with net.serve(net.answering(answer)) as server, net.on_loopback(server) as poster:
        response = await poster.post(poster_target(server), [], b"{}")
    assert (response.status, response.location) == (status, "http://169.254.169.254/")
    assert len(server.requests) == 1


def poster_target(server):
    rule = AllowPrivate(network="127.0.0.1/32", host="127.0.0.1", port=server.port, http=True)
    return Policy(allow=(rule,)).parse(server.target)


async def test_row_52_a_kept_connection_ends_and_the_next_one_is_checked_again(net, client_tls, server_tls):
    resolver = net.Resolver(**{"public.test": [[net.public], ["127.0.0.1"]]})
    target = Policy().parse("https://public.test/")
    async with net.serve(net.answering(net.ok), tls=server_tls("public.test")) as server:
        dialer = net.Dialer(server.port)
        limits = Limits(age=0.2)
        async with Poster(
            limits=limits, resolver=resolver, dialer=dialer, own=net.Own(), tls=client_tls
        ) as poster:
            assert not (await poster.post(target, [], b"")).reused
            assert (await poster.post(target, [], b"")).reused
            start = trio.current_time()
            while trio.current_time() < start + limits.age:
                await trio.sleep(0.01)
            with pytest.raises(Unreachable) as refused:
                await poster.post(target, [], b"")
    assert refused.value.kind == "refused_by_policy"
    assert len(dialer.dialled) == 1


async def post_over_tls(net, tls, client_tls):
    async with net.serve(net.answering(net.ok), tls=tls) as server:
        dialer = net.Dialer(server.port)
        async with Poster(resolver=net.Resolver(), dialer=dialer, own=net.Own(), tls=client_tls) as poster:
            with pytest.raises(Unreachable) as refused:
                await poster.post(Policy().parse("https://public.test/"), [], b"secret")
    assert server.requests == []
    assert len(dialer.dialled) == 1
    return refused.value


async def test_row_53_a_certificate_for_another_name_is_refused(net, client_tls, server_tls):
    error = await post_over_tls(net, server_tls("other.test"), client_tls)
    assert error.kind == "tls"
    assert "public.test" in error.detail


async def test_row_53_an_expired_certificate_is_refused(net, client_tls, server_tls):
    old = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    error = await post_over_tls(net, server_tls("public.test", not_after=old), client_tls)
    assert error.kind == "tls"
    assert "expired" in error.detail


async def test_row_53_a_certificate_of_an_unknown_authority_is_refused(net, client_tls, server_tls):
    error = await post_over_tls(net, server_tls("public.test", ca=trustme.CA()), client_tls)
    assert error.kind == "tls"
    assert "certificate" in error.detail


async def test_row_54_the_environment_names_no_proxy(net, monkeypatch, tmp_path):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "*")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    async with net.serve(net.answering(net.ok)) as server, net.on_loopback(server) as poster:
        assert (await poster.post(poster_target(server), [], b"{}")).status == 200
    assert server.requests[0].startswith(b"POST /hook HTTP/1.1\r\n")
    assert b"authorization" not in server.requests[0].lower()


async def test_row_58_a_target_of_before_is_checked_by_the_policy_of_now(net):
    target = LAN.parse("https://192.168.1.5/")
    unusual = Policy(ports=(9443,)).parse("https://public.test:9443/")
    dialer = net.Dialer()
    poster = Poster(Policy(), resolver=net.Resolver(), dialer=dialer, own=net.Own())
    for stored in (target, unusual):
        with pytest.raises(Unreachable) as refused:
            await poster.post(stored, [], b"")
        assert refused.value.kind == "refused_by_policy"
    assert refused.value.detail.startswith("port 9443 is not among")
    assert dialer.dialled == []


HEAD = b"HTTP/1.1 200 OK\r\n"


async def flood(server, stream, start, piece, pause=0.0):
    await server.request(stream)
    await stream.send_all(start)
    while True:
        server.sent = getattr(server, "sent", 0) + len(piece)
        await stream.send_all(piece)
        await trio.sleep(pause)


BOMB = gzip.compress(bytes(100 * 2**20), 9)
CHUNK = b"1;" + b"x" * 8000 + b"\r\na\r\n"
HOSTILE = {
    "100 MB": (HEAD + b"content-length: 104857600\r\n\r\n", bytes(65536), 0, "too_large"),
    "gzip bomb": (HEAD + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(BOMB), BOMB, 0, "too_large"),
    "headers without end": (HEAD, b"x-filler: " + b"a" * 100 + b"\r\n", 0, "too_large"),
    "one header without end": (HEAD + b"x-filler: ", bytes(1000).replace(b"\0", b"a"), 0, "too_large"),
    "65 headers": (HEAD + b"a: b\r\n" * 65 + b"content-length: 0\r\n\r\n", b"", 1, "too_large"),
    "drip in the body": (HEAD + b"content-length: 9999\r\n\r\n", b"a", 0.05, "timeout"),
    "drip in the head": (b"", b"H", 0.05, "timeout"),
    "silence": (b"", b"", 0.05, "timeout"),
    "1xx flood": (b"", b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n", 0, "too_large"),
    "switching protocols": (b"HTTP/1.1 101 Go\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", b"", 1, "protocol"),
    "HTTP/0.9": (b"<html>", b"hello\n", 0, "protocol"),
    "HTTP/2": (b"\0\0\x12\4\0\0\0\0\0", b"\0", 0, "protocol"),
    "negative length": (HEAD + b"content-length: -1\r\n\r\n", b"", 1, "protocol"),
    "two lengths": (HEAD + b"content-length: 1\r\ncontent-length: 2\r\n\r\n", b"a", 1, "protocol"),
    "length and chunks": (
        HEAD + b"content-length: 3\r\ntransfer-encoding: gzip, chunked\r\n\r\n", b"a", 1, "protocol"
    ),
    "chunk of 2**80 bytes": (
        HEAD + b"transfer-encoding: chunked\r\n\r\n" + b"f" * 20 + b"\r\n", bytes(65536), 0, "too_large"
    ),
    "chunk size without end": (HEAD + b"transfer-encoding: chunked\r\n\r\n", b"f" * 999, 0, "too_large"),
    "negative chunk": (HEAD + b"transfer-encoding: chunked\r\n\r\n-1\r\n", b"a", 1, "protocol"),
    "chunk extensions": (HEAD + b"transfer-encoding: chunked\r\n\r\n", CHUNK, 0, "too_large"),
    "chunk extension without end": (HEAD + b"transfer-encoding: chunked\r\n\r\n1;", b"x" * 999, 0, "too_large"),
    "trailers without end": (HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n", 0, "too_large"),
    "NUL in a header": (HEAD + b"a: b\0c\r\ncontent-length: 0\r\n\r\n", b"", 1, "protocol"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
async def test_row_60_a_hostile_answer_is_one_failed_attempt_of_bounded_size(net, what):
    start, piece, pause, kind = HOSTILE[what]

    async def behave(server, stream):
        await flood(server, stream, start, piece, pause)

    async with (
        net.serve(behave) as server,
        net.on_loopback(server, total=0.3 if kind == "timeout" else 10) as poster,
    ):
        with pytest.raises(Unreachable) as failed:
            await poster.post(poster_target(server), [], b"{}")
        assert failed.value.kind == kind
        assert len(poster._kept) == 0
    assert server.connections == 1


@pytest.mark.parametrize(
    "what", ["100 MB", "gzip bomb", "headers without end", "1xx flood", "chunk of 2**80 bytes"]
)
async def test_row_60_a_hostile_answer_takes_little_memory(net, what):
    start, piece, pause, _ = HOSTILE[what]

    async def behave(server, stream):
        await flood(server, stream, start, piece, pause)

    async with net.serve(behave) as server, net.on_loopback(server) as poster:
        target = poster_target(server)
        tracemalloc.start()
        try:
            with pytest.raises(Unreachable):
                await poster.post(target, [], b"{}")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\ncon", HEAD + b"content-length: 5\r\n\r\nab"])
async def test_row_60_an_early_close_is_one_failed_attempt(net, said):
    async def behave(server, stream):
        await server.request(stream)
        if said:
            await stream.send_all(said)

    async with net.serve(behave) as server, net.on_loopback(server) as poster:
        with pytest.raises(Unreachable) as failed:
            await poster.post(poster_target(server), [], b"{}")
    assert failed.value.kind == "protocol"
    assert server.connections == 1
