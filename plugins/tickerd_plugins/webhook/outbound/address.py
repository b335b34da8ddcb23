"""Which IP addresses are somebody's public server, and which are ours, our neighbours' or nobody's. Pure."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import NamedTuple

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Block(NamedTuple):
    """A part of the address space that is not public."""

    network: Network
    what: str
    """What it is for, with its article: ``"a private network"``."""


def _blocks(what: str, *networks: str) -> list[Block]:
    return [Block(ip_network(network), what) for network in networks]


METADATA = (
    *_blocks("link-local, where clouds serve metadata", "169.254.0.0/16", "fe80::/10"),
    *_blocks("a cloud's metadata service", "100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32"),
    *_blocks("a cloud's metadata service", "fd00:ec2::/32", "fd20:ce::254/128"),
)
"""What no exception opens: whoever reads it has the machine's credentials."""

PRIVATE = (
    *_blocks("loopback", "127.0.0.0/8", "::1/128"),
    *_blocks("a private network", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
    *_blocks("carrier-grade NAT", "100.64.0.0/10"),
    *_blocks("NAT64", "64:ff9b::/96"),
)
"""What an exception may open."""

RESERVED = (
    *_blocks("this host", "0.0.0.0/8", "::/128"),
    *_blocks("reserved for protocols", "192.0.0.0/24", "2001::/23", "5f00::/16"),
    *_blocks("for documentation", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"),
    *_blocks("for documentation", "2001:db8::/32", "3fff::/20"),
    *_blocks("6to4", "192.88.99.0/24", "2002::/16"),
    *_blocks("for benchmarks", "198.18.0.0/15"),
    *_blocks("multicast", "224.0.0.0/4", "ff00::/8"),
    *_blocks("broadcast", "255.255.255.255/32"),
    *_blocks("reserved", "240.0.0.0/4"),
    # IPv4 in IPv6 clothes: mapped, translated, compatible, local NAT64
    *_blocks("an IPv4 address within IPv6", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b:1::/48"),
    *_blocks("reserved", "::/8", "fec0::/10"),
    *_blocks("discarded", "100::/64"),
)
"""What has no public server in it and that nobody needs an exception for."""

_NAT64 = IPv6Network("64:ff9b::/96")
_UNICAST = IPv6Network("2000::/3")


def _block(address: Address, blocks: tuple[Block, ...]) -> Block | None:
    return next((block for block in blocks if address in block.network), None)


def forbidden(address: Address) -> str | None:
    """Why nothing may open this address, or None."""
    block = _block(address, METADATA)
    if block is None and (_block(address, PRIVATE)) is None:
        block = _block(address, RESERVED)
    return f"{address} is {block.what} ({block.network})" if block else None


def not_public(address: Address) -> str | None:
    """Why this is not the address of a public server, or None when it is."""
    if why := forbidden(address):
        return why
    if block := _block(address, PRIVATE):
        return f"{address} is {block.what} ({block.network})"
    # Python's own table, for what was assigned after ours was written
    if not address.is_global or (address.version == 6 and address not in _UNICAST):
        return f"{address} is not a public address"
    return None


def may_open(network: Network) -> bool:
    """Whether an exception may name this network: a part of a private one, or one single public address."""
    if network.num_addresses == 1 and not_public(network.network_address) is None:
        return True
    return any(
        network.version == block.network.version and network.subnet_of(block.network)  # type: ignore[arg-type]
        for block in PRIVATE
    ) and not any(
        network.version == block.network.version and network.subnet_of(block.network)  # type: ignore[arg-type]
        for block in METADATA
    )


def behind_nat64(address: Address) -> IPv4Address | None:
    """The IPv4 server that a NAT64 address leads to."""
    if isinstance(address, IPv6Address) and address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return None
