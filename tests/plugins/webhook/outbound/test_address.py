"""The address table against every address that has been used for an attack, and against too much zeal."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd_plugins.webhook.outbound.address import (
    METADATA,
    PRIVATE,
    RESERVED,
    behind_nat64,
    forbidden,
    may_open,
    not_public,
)


def _words(text):
    return text.split()


DENIED = _words("""
0/8 10/8 100.64/10 127/8 169.254/16 172.16/12 192.0.0/24 192.0.2/24 192.88.99/24 192.168/16 198.18/15 198.51.100/24
203.0.113/24 224/4 240/4 255.255.255.255/32 168.63.129.16/32 ::/8 64:ff9b::/96 64:ff9b:1::/48 100::/64 2001::/23
2001:db8::/32 2002::/16 3fff::/20 5f00::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8
""")


def _network(text):
    address, _, bits = text.partition("/")
    if ":" not in address:
        address += ".0" * (3 - address.count("."))
    return ip_network(f"{address}/{bits}")


@pytest.mark.parametrize("text", DENIED)
def test_the_edges_and_the_middle_of_every_special_network_are_not_public(text):
    network = _network(text)
    for address in (network[0], network[-1], network[network.num_addresses // 2]):
        assert not_public(address)


@pytest.mark.parametrize(
    "text",
    _words(
        "1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255 "
        "169.255.0.0 172.15.255.255 172.32.0.0 191.255.255.255 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 "
        "223.255.255.255 168.63.129.15 168.63.129.17 2000:: 2001:200:: 2606:4700::1111 2a00:1450::1 2003::"
    ),
)
def test_neighbours_of_special_networks_are_public(text):
    assert not_public(ip_address(text)) is None


@given(st.ip_addresses())
def test_public_implies_what_python_says_and_nothing_forbidden(address):
    if not_public(address) is None:
        assert address.is_global
        assert not any(
            (address.is_multicast, address.is_reserved, address.is_link_local, address.is_loopback)
        )
        assert forbidden(address) is None
        assert address.version == 4 or str(address)[0] in "23"


@given(st.ip_addresses(v=4))
def test_no_way_of_writing_ipv4_within_ipv6_is_public(address):
    number = int(address)
    for prefix, shift in (
        ("::", 0),
        ("::ffff:0:0", 0),
        ("::ffff:0:0:0", 0),
        ("64:ff9b::", 0),
        ("2002::", 80),
    ):
        assert not_public(IPv6Address(int(IPv6Address(prefix)) + (number << shift)))


def test_the_text_says_which_network_it_is():
    assert not_public(ip_address("10.1.2.3")) == "10.1.2.3 is a private network (10.0.0.0/8)"
    assert forbidden(ip_address("169.254.169.254")).endswith("(169.254.0.0/16)")
    assert "not a public address" in not_public(ip_address("4000::1"))


def test_private_networks_are_not_public_but_not_forbidden():
    for block in PRIVATE:
        assert not_public(block.network[-1])
        assert forbidden(block.network[-1]) is None
    for block in METADATA + RESERVED:
        if block.network != ip_network("::/8"):
            assert forbidden(block.network[0])


@pytest.mark.parametrize(
    "text",
    _words(
        "10.0.0.0/8 10.1.0.0/16 192.168.1.5/32 127.0.0.1/32 ::1/128 fd12::/16 100.64.0.0/10 64:ff9b::/96 "
        "8.8.8.8"
    ),
)
def test_an_exception_may_name_a_part_of_a_private_network_or_one_public_address(text):
    assert may_open(ip_network(text))


@pytest.mark.parametrize(
    "text",
    _words(
        "0.0.0.0/0 ::/0 8.8.8.0/24 169.254.0.0/16 169.254.169.254/32 168.63.129.16/32 100.100.100.200/32 "
        "192.0.0.192/32 fd00:ec2::254 fe80::/10 224.0.0.1 10.0.0.0/7 0.0.0.0 ::ffff:10.0.0.1 2002::/16 192.168.0.0/15"
    ),
)
def test_an_exception_may_not_name_anything_else(text):
    assert not may_open(ip_network(text, strict=False))


def test_the_ipv4_address_behind_nat64():
    assert behind_nat64(ip_address("64:ff9b::808:404")) == IPv4Address("8.8.4.4")
    assert behind_nat64(ip_address("2001:db8::1")) is None
    assert behind_nat64(ip_address("8.8.4.4")) is None
