"""Where everything of the lab has its address: the program's own VPC and subnets, with the servers in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from engine.recording import Recording, Resource
from lab.progress import LabError

VPC = "aws:ec2/vpc:Vpc"
SUBNET = "aws:ec2/subnet:Subnet"
LOAD_BALANCER = "aws:lb/loadBalancer:LoadBalancer"
DATABASE = "aws:rds/instance:Instance"
DATABASE_SUBNETS = "aws:rds/subnetGroup:SubnetGroup"
BROKER = "aws:elasticache/replicationGroup:ReplicationGroup"
BROKER_SUBNETS = "aws:elasticache/subnetGroup:SubnetGroup"

# Servers sit this far below the end of their subnet; moto gives nodes the first free addresses from the beginning.
DATABASE_PLACE, BROKER_PLACE, LOAD_BALANCER_PLACE = 10, 11, 12
AWS_PLACE = 10


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
    """Addresses of the lab's parts.

    Attributes:
        resolver: the name server of the VPC, AWS's fixed third address.
        aws: where all names under amazonaws.com lead to.
        load_balancers: by ARN.
    """

    vpc: IPv4Network
    subnets: Mapping[str, Subnet]
    resolver: IPv4Address
    aws: IPv4Address
    database: IPv4Address
    broker: IPv4Address
    load_balancers: Mapping[str, IPv4Address]

    def subnet_of(self, address: IPv4Address) -> Subnet:
        """The subnet an address lies in."""
        return next(subnet for subnet in self.subnets.values() if address in subnet.cidr)

    @property
    def servers(self) -> tuple[IPv4Address, ...]:
        """The addresses the lab's own servers listen on."""
        return (self.resolver, self.aws, self.database, self.broker, *self.load_balancers.values())


def plan_addresses(recording: Recording) -> AddressPlan:
    """Lay the servers out in the recorded network; LabError when the program makes no VPC of its own."""
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
        database=subnets[_first_subnet(recording, DATABASE, "dbSubnetGroupName", DATABASE_SUBNETS)].cidr[
            -DATABASE_PLACE
        ],
        broker=subnets[_first_subnet(recording, BROKER, "subnetGroupName", BROKER_SUBNETS)].cidr[-BROKER_PLACE],
        load_balancers=balancers,
    )


def _first_subnet(recording: Recording, type_: str, key: str, group_type: str) -> str:
    """The first subnet of the subnet group that the resource names."""
    user: Resource = recording.only(type_)
    group = next(group for group in recording.of_type(group_type) if group.outputs["name"] == user.inputs[key])
    return group.inputs["subnetIds"][0]
