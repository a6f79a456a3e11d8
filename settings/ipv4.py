"""IPv4 networks in a stack file: how they are written, and from which of them packets can come."""

from __future__ import annotations

import ipaddress
import re

# Python also accepts a bare address or a netmask as a network; AWS does not.
_CIDR = re.compile(r"[\d.]+/\d{1,2}")


def _blocks(*cidrs: str) -> tuple[ipaddress.IPv4Network, ...]:
    return tuple(map(ipaddress.IPv4Network, cidrs))


_PRIVATE = _blocks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
# https://www.iana.org/assignments/iana-ipv4-special-registry: this host, loopback, link-local, multicast.
_NEVER_A_SOURCE = _blocks("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4")
# From the same registry: carrier-grade NAT, protocol assignments, benchmarking, reserved. Internet routers drop them;
# companies may use them internally.
_NOT_ON_THE_INTERNET = (
    *_PRIVATE,
    *_NEVER_A_SOURCE,
    *_blocks("100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15", "240.0.0.0/4"),
)


def network(text: str) -> ipaddress.IPv4Network | None:
    """The network that a text in CIDR notation stands for; None for any other text."""
    if not _CIDR.fullmatch(text):
        return None
    try:
        return ipaddress.IPv4Network(text)
    except ValueError:
        return None


def is_network(text: str) -> bool:
    """Whether this is an IPv4 network in CIDR notation."""
    return network(text) is not None


def is_never_a_source(cidr: str) -> bool:
    """Whether a well-formed CIDR is in a range from which no other machine can send packets."""
    return _lies_in(cidr, _NEVER_A_SOURCE)


def is_on_the_internet(cidr: str) -> bool:
    """Whether a well-formed CIDR can contain addresses of clients on the internet."""
    return not _lies_in(cidr, _NOT_ON_THE_INTERNET)


def is_private(cidr: str) -> bool:
    """Whether a well-formed CIDR is within the private ranges of RFC 1918."""
    return _lies_in(cidr, _PRIVATE)


def _lies_in(cidr: str, blocks: tuple[ipaddress.IPv4Network, ...]) -> bool:
    return any(ipaddress.IPv4Network(cidr).subnet_of(block) for block in blocks)


def remedy(text: str) -> str:
    """What to do about text that should be an IPv4 network in CIDR notation."""
    found = interface(text)
    if isinstance(found, str):
        return found
    if "/" not in text:
        return f"add a prefix length; for this one address write {text}/32"
    return f"the network address is {found.network.network_address}; write {found.network}"


def interface(text: str) -> ipaddress.IPv4Interface | str:
    """The address and its network, or what to do if the text has neither."""
    try:
        found = ipaddress.ip_interface(text)
    except ValueError:
        return "give the network address, a slash and the prefix length, for example 10.80.0.0/16"
    if isinstance(found, ipaddress.IPv6Interface):
        return "give the IPv4 network: the load balancers and the VPC are IPv4 only"
    return found
