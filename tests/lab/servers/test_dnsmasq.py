"""The VPC's name server and DHCP server: the names and addresses of servers and nodes."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from lab.addresses import AddressPlan
from lab.servers.dnsmasq import arguments


@pytest.fixture
def command(plan: AddressPlan) -> list[str]:
    names = {"db.eu-west-1.rds.amazonaws.com": IPv4Address("10.80.27.246")}
    return arguments(plan, names, region="eu-west-1")


def test_no_name_of_aws_resolves_to_aws(command: list[str], plan: AddressPlan):
    assert f"--address=/amazonaws.com/{plan.aws}" in command
    assert "--local=/amazonaws.com/" in command, "their IPv6 addresses would be looked up outside"


def test_database_and_broker_have_addresses_of_their_own(command: list[str]):
    assert "--address=/db.eu-west-1.rds.amazonaws.com/10.80.27.246" in command


def test_nodes_have_the_names_that_ec2_gives(command: list[str], plan: AddressPlan):
    assert f"--synth-domain=eu-west-1.compute.internal,{plan.vpc},ip-" in command


def test_each_subnet_has_its_own_router(command: list[str], plan: AddressPlan):
    routers = {word.rpartition(",")[2] for word in command if "option:router" in word}
    assert routers == {str(subnet.cidr[1]) for subnet in plan.subnets.values()}
