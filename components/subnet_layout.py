"""Where each zone's subnets lie in the VPC's address range."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network
from string import ascii_lowercase

ZONE_SHARES = 8
"""Equal parts of the VPC, one for each zone letter from a to h. No region has a zone beyond f."""


@dataclass(frozen=True, kw_only=True)
class ZoneSubnets:
    """One zone's subnets: half of its share for nodes, a quarter for load balancers, an eighth for data."""

    zone: str
    public: IPv4Network
    private: IPv4Network
    data: IPv4Network


def zone_subnets(vpc_cidr: str, zone: str) -> ZoneSubnets:
    """The subnets of one zone (`eu-west-1a`).

    The zone's letter alone decides its place, so adding, removing or reordering zones moves no subnet of the others. A
    subnet whose range changes is replaced, with everything in it.
    """
    shares = list(IPv4Network(vpc_cidr).subnets(prefixlen_diff=ZONE_SHARES.bit_length() - 1))
    share = shares[ascii_lowercase.index(zone[-1])]
    private, rest = share.subnets(prefixlen_diff=1)
    public, remainder = rest.subnets(prefixlen_diff=1)
    data, _free = remainder.subnets(prefixlen_diff=1)
    return ZoneSubnets(zone=zone, public=public, private=private, data=data)
