"""The lab's addresses: the program's own VPC and subnets, and the servers in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from engine.recording import Recording
from lab.progress import LabError

VPC = "aws:ec2/vpc:Vpc"
SUBNET = "aws:ec2/subnet:Subnet"
LOAD_BALANCER = "aws:lb/loadBalancer:LoadBalancer"

# Servers are this far below the end of their subnet or of the VPC; moto gives nodes the first free addresses.
LOAD_BALANCER_PLACE, AWS_PLACE = 12, 10


@dataclass(frozen=True, kw_only=True)
class Subnet:
    """One subnet of the program; the address after its first is the router's, as in every VPC."""

    id: str
    cidr: IPv4Network
    zone: str

    @property
    def router(self) -> IPv4Address:
        return self.cidr[1]


@dataclass(frozen=True, kw_only=True)
class AddressPlan:
    """The VPC of the lab, and the addresses that several parts of the lab need.

    Attributes:
        resolver: the name server of the VPC, AWS's fixed third address.
        aws: the address of all names under amazonaws.com that belong to no server.
        load_balancers: the address of each load balancer, by ARN.
    """

    vpc: IPv4Network
    subnets: Mapping[str, Subnet]
    resolver: IPv4Address
    aws: IPv4Address
    load_balancers: Mapping[str, IPv4Address]

    def subnet_of(self, address: IPv4Address) -> Subnet:
        """The subnet that contains an address."""
        return next(subnet for subnet in self.subnets.values() if address in subnet.cidr)

    def first_subnet(self, recording: Recording, type_: str, name: str) -> Subnet:
        """The first subnet of the subnet group of this type and name."""
        [group] = [group for group in recording.of_type(type_) if group.outputs["name"] == name]
        return self.subnets[group.inputs["subnetIds"][0]]


def plan_addresses(recording: Recording) -> AddressPlan:
    """Give the servers addresses in the recorded network; LabError if the program creates no VPC."""
    if not recording.of_type(VPC):
        raise LabError(
            "airflow:network.existing names a VPC whose addresses are not in the stack file. "
            "The lab builds the stack's network itself: give it cidr and zones (a copy of the stack file will do)."
        )
    vpc = IPv4Network(recording.only(VPC).inputs["cidrBlock"])
    subnets = {
        subnet.id: Subnet(
            id=subnet.id, cidr=IPv4Network(subnet.inputs["cidrBlock"]), zone=subnet.inputs["availabilityZone"]
        )
        for subnet in recording.of_type(SUBNET)
    }
    balancers = {
        balancer.outputs["arn"]: subnets[balancer.inputs["subnets"][0]].cidr[-LOAD_BALANCER_PLACE]
        for balancer in recording.of_type(LOAD_BALANCER)
    }
    return AddressPlan(
        vpc=vpc,
        subnets=subnets,
        resolver=vpc[2],
        aws=vpc[-AWS_PLACE],
        load_balancers=balancers,
    )
