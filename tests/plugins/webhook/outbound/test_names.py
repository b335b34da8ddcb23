"""Host names: one spelling each, and none that two parsers read differently."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd_plugins.webhook.outbound.names import address_in, canonical, is_local


@pytest.mark.parametrize(
    ("written", "spelt"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("8.8.8.8.", "8.8.8.8"),
        ("2001:0DB8::0001", "2001:db8::1"),
        ("::FFFF:1.2.3.4", "::ffff:102:304"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("xn--e1afmkfd.xn--p1ai", "xn--e1afmkfd.xn--p1ai"),
        ("xn--fsq.com", "xn--fsq.com"),
        ("1.example.com", "1.example.com"),
        ("a--b.com", "a--b.com"),
        ("nas", "nas"),
    ],
)
def test_a_host_has_one_spelling(written, spelt):
    assert canonical(written) in (spelt, "::ffff:1.2.3.4" if "FFFF" in written else spelt)
    assert canonical(canonical(written)) == canonical(written)


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", "empty"),
        (".", "empty"),
        ("a..b", "empty"),
        ("a.b..", "empty"),
        ("-a.com", "characters"),
        ("a-.com", "characters"),
        ("a_b.com", "characters"),
        ("a" * 64 + ".com", "longer than 63"),
        ("a." * 126 + "com", "longer than 253"),
        ("127.1", "four decimal numbers"),
        ("0x7f.1", "four decimal numbers"),
        ("example.0x", "four decimal numbers"),
        ("example.1", "four decimal numbers"),
        ("256.1.1.1", "four decimal numbers"),
        ("1.2.3.4.5", "four decimal numbers"),
        ("01.2.3.4", "four decimal numbers"),
        ("fe80::1%eth0", "zone"),
        ("1:2", "not an IPv6 address"),
        ("bücher.example", "outside ASCII"),
        ("ab--c.com", "IDNA"),
        ("xn--a.com", "IDNA"),
        ("xn--.com", "characters"),
        ("xn--pple-43d.com", "imitates"),
        ("xn--80ak6aa92e.com", "imitates"),
    ],
)
def test_what_is_no_host_is_refused_with_the_reason(written, why):
    with pytest.raises(ValueError, match=why):
        canonical(written)


@given(st.text("0123456789abcdefx.", max_size=20))
def test_what_the_system_takes_for_ipv4_is_ipv4_here_too_or_refused(text):
    try:
        packed = socket.inet_aton(text)
    except OSError:
        return
    try:
        host = canonical(text)
    except ValueError:
        return
    assert address_in(host) is not None
    assert address_in(host).packed == packed


@pytest.mark.parametrize(
    "name", ["localhost", "a.localhost", "nas", "printer.local", "x.svc.cluster.local", "x.internal"]
)
def test_names_of_this_machine_or_network_are_local(name):
    assert is_local(name)


@pytest.mark.parametrize("name", ["example.com", "localhost.com", "notlocal.example", "internal.example"])
def test_other_names_are_not_local(name):
    assert not is_local(name)
