"""The caller's address behind trusted proxies. Pure.

Only ``X-Forwarded-For`` counts, only from a peer that is trusted, and it is read from right to left: what a
trusted proxy added is true, and what stands left of the first address that is not trusted is hearsay.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from tickerd.control.peer import Peer

HEADER = "x-forwarded-for"
MOST_HOPS = 32

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


def caller_address(peer: Peer, forwarded: str | None, trusted: Sequence[Network]) -> str | None:
    """The IP address to hold responsible, or None for somebody on this host.

    Args:
        peer: who connected. Over a Unix socket it may say for whom: it can but lower what it may do.
        forwarded: all ``X-Forwarded-For`` headers in their order, joined by commas.
        trusted: proxies whose word is taken.
    """
    responsible = None if peer.transport == "unix" else parse(peer.address)
    if responsible is not None and not is_trusted(responsible, trusted):
        return str(responsible)
    hops = (forwarded or "").split(",")[-MOST_HOPS:] if forwarded else []
    for hop in reversed(hops):
        address = parse(hop)
        if address is None:
            break  # whoever wrote that is the last that is known
        responsible = address
        if not is_trusted(address, trusted):
            break
    return None if responsible is None else str(responsible)


def is_trusted(address: Address, trusted: Sequence[Network]) -> bool:
    """Whether it lies in one of the networks."""
    return any(address.version == network.version and address in network for network in trusted)


def parse(text: str) -> Address | None:
    """An IP address, perhaps with a port or in brackets, as proxies write them."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
