from __future__ import annotations

from ipaddress import IPv4Network
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.subnet_layout import ZoneSubnets, zone_subnets

LETTERS = "abcdef"
VPC_CIDRS = st.builds(
    lambda address, prefix: str(IPv4Network((address & (0xFFFFFFFF << (32 - prefix)), prefix))),
    st.integers(min_value=0x0A000000, max_value=0x0AFFFFFF),
    st.integers(min_value=16, max_value=22),
)


def subnets_of(zone: ZoneSubnets) -> list[IPv4Network]:
    return [zone.public, zone.private, zone.data]


@given(VPC_CIDRS)
def test_no_two_subnets_of_a_vpc_overlap(cidr: str):
    layout = [zone_subnets(cidr, f"us-east-1{letter}") for letter in LETTERS]
    subnets = [subnet for zone in layout for subnet in subnets_of(zone)]
    assert not [pair for pair in combinations(subnets, 2) if pair[0].overlaps(pair[1])]
    assert all(subnet.subnet_of(IPv4Network(cidr)) for subnet in subnets)


@given(VPC_CIDRS, st.sampled_from(LETTERS))
def test_aws_accepts_each_subnet_of_a_vpc_from_16_to_22(cidr: str, letter: str):
    zone = zone_subnets(cidr, f"us-east-1{letter}")
    assert zone.public.prefixlen <= 27, "a load balancer requires at least a /27"
    assert zone.data.prefixlen <= 28, "AWS allows no subnet smaller than a /28"


def test_adding_or_reordering_zones_moves_no_subnet():
    assert zone_subnets("10.80.0.0/16", "eu-west-1a") == ZoneSubnets(
        zone="eu-west-1a",
        private=IPv4Network("10.80.0.0/20"),
        public=IPv4Network("10.80.16.0/21"),
        data=IPv4Network("10.80.24.0/22"),
    ), "a change of these ranges would replace the subnets of running clusters"
    assert zone_subnets("10.80.0.0/16", "eu-west-1c").private == IPv4Network("10.80.64.0/20")


@pytest.mark.parametrize("zone", ["eu-west-1z", "eu-west-1"])
def test_a_name_that_is_not_a_zone_has_no_subnets(zone: str):
    with pytest.raises((IndexError, ValueError)):
        zone_subnets("10.80.0.0/16", zone)
