"""IPv4 networks in a stack file: which of them each key accepts, and what to write instead of the others."""

from __future__ import annotations

import ipaddress
import re

from aws_catalog import limits

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

# The cluster's own VPC is divided into subnets for each zone and tier (components/subnet_layout.py). The smallest, in
# the data tier, are 1/64 of the VPC, and AWS allows none smaller than a /28.
OWN_VPC_PREFIXES = (limits.VPC_PREFIXES[0], limits.VPC_PREFIXES[1] - 6)


def network(text: str) -> ipaddress.IPv4Network | None:
    """The network that this text denotes in CIDR notation, or None."""
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
    """Whether a well-formed CIDR lies in a range that never is the source of packets from another machine."""
    return _lies_in(cidr, _NEVER_A_SOURCE)


def is_on_the_internet(cidr: str) -> bool:
    """Whether a well-formed CIDR can contain addresses of clients on the internet."""
    return not _lies_in(cidr, _NOT_ON_THE_INTERNET)


def _lies_in(cidr: str, blocks: tuple[ipaddress.IPv4Network, ...]) -> bool:
    return any(ipaddress.IPv4Network(cidr).subnet_of(block) for block in blocks)


def is_own_vpc(text: str) -> bool:
    """Whether the cluster's own VPC may have this range."""
    shortest, longest = OWN_VPC_PREFIXES
    named = network(text)
    return named is not None and _lies_in(text, _PRIVATE) and shortest <= named.prefixlen <= longest


def is_existing_vpc(text: str) -> bool:
    """Whether AWS allows VPCs with this range."""
    named = network(text)
    shortest, longest = limits.VPC_PREFIXES
    return named is not None and shortest <= named.prefixlen <= longest


def remedy(text: str) -> str:
    """What to do about text that should be an IPv4 network in CIDR notation."""
    interface = _interface(text)
    if isinstance(interface, str):
        return interface
    if "/" not in text:
        return f"add a prefix length; for this one address write {text}/32"
    return f"the network address is {interface.network.network_address}; write {interface.network}"


def vpc_remedy(text: str) -> str:
    """What to do about text that should be the range of the cluster's own VPC."""
    interface = _interface(text)
    if isinstance(interface, str):
        return interface
    if not _lies_in(f"{interface.ip}/32", _PRIVATE):
        return (
            "choose a range within 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16 that no peered network uses, for "
            "example 10.80.0.0/16"
        )
    shortest, longest = OWN_VPC_PREFIXES
    # A bare address has no prefix length: suggest the largest range.
    prefix = min(max(interface.network.prefixlen if "/" in text else shortest, shortest), longest)
    fitting = ipaddress.IPv4Network((interface.ip, prefix), strict=False)
    return f"write {fitting}: AWS allows no VPC larger than a /{shortest} and no subnet smaller than a /28"


def existing_vpc_remedy(text: str) -> str:
    """What to do about text that should be the range of an existing VPC."""
    advice = remedy(text)
    return (
        advice
        if is_existing_vpc(advice.rpartition(" ")[2])
        else "copy it from the VPC console, for example 10.0.0.0/16"
    )


def _interface(text: str) -> ipaddress.IPv4Interface | str:
    """The address and its network, or what to do if the text has neither."""
    try:
        interface = ipaddress.ip_interface(text)
    except ValueError:
        return "give the network address, a slash and the prefix length, for example 10.80.0.0/16"
    if isinstance(interface, ipaddress.IPv6Interface):
        return "give the IPv4 network: the load balancers and the VPC are IPv4 only"
    return interface
