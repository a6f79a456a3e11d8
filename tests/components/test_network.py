from __future__ import annotations

import json

import pulumi
import pytest

from components.network import Network, NetworkArgs, flow_logs_policy
from engine.program import deploy
from engine.recording import Recording, Resource
from settings import ExistingNetwork, NetworkSettings
from tests.components.contexts import context

SUBNET = "aws:ec2/subnet:Subnet"
ROUTE = "aws:ec2/route:Route"
ASSOCIATION = "aws:ec2/routeTableAssociation:RouteTableAssociation"
NAT = "aws:ec2/natGateway:NatGateway"

THREE_ZONES = NetworkSettings(cidr="10.80.0.0/16", zones=("eu-west-1a", "eu-west-1b", "eu-west-1c"))
ONE_GATEWAY = THREE_ZONES.model_copy(update={"nat_gateways": "single"})
EXISTING = NetworkSettings(
    existing=ExistingNetwork(
        vpc_id="vpc-0123456789abcdef0",
        cidrs=("10.20.0.0/16",),
        public_subnet_ids=("subnet-0000000000000000a", "subnet-0000000000000000b"),
        private_subnet_ids=("subnet-0000000000000000c", "subnet-0000000000000000d"),
        data_subnet_ids=("subnet-0000000000000000e", "subnet-0000000000000000f"),
    )
)


def build(settings: NetworkSettings) -> Network:
    return Network(
        "network",
        NetworkArgs(context=context(), settings=settings),
    )


def network(settings: NetworkSettings) -> Recording:
    _, recording = deploy(lambda: build(settings))
    return recording


def tables_of(recording: Recording, tier: str) -> set[str]:
    subnets = {subnet.id for subnet in recording.of_type(SUBNET) if subnet.inputs["tags"]["airflow:tier"] == tier}
    associations = [item.inputs for item in recording.of_type(ASSOCIATION) if item.inputs["subnetId"] in subnets]
    assert len(associations) == len(subnets), f"each {tier} subnet needs a route table of ours, not the VPC's main one"
    return {association["routeTableId"] for association in associations}


def routes_from(recording: Recording, tier: str) -> list[Resource]:
    tables = tables_of(recording, tier)
    return [route for route in recording.of_type(ROUTE) if route.inputs["routeTableId"] in tables]


@pytest.mark.parametrize("settings", [THREE_ZONES, ONE_GATEWAY], ids=["gateway per zone", "single gateway"])
def test_the_data_tier_has_no_route_out_of_the_vpc(settings: NetworkSettings):
    recording = network(settings)
    assert not routes_from(recording, "data")
    endpoint = recording.only("aws:ec2/vpcEndpoint:VpcEndpoint")
    assert not tables_of(recording, "data") & set(endpoint.inputs["routeTableIds"])


def test_nodes_reach_the_internet_through_the_gateway_of_their_own_zone():
    recording = network(THREE_ZONES)
    gateways = {gateway.id: gateway.name[-1] for gateway in recording.of_type(NAT)}
    assert {
        (route.name[-1], gateways[route.inputs["natGatewayId"]]) for route in routes_from(recording, "private")
    } == {
        ("a", "a"),
        ("b", "b"),
        ("c", "c"),
    }, "the failure of a zone must not affect the others"


def test_a_single_gateway_serves_all_zones_which_keep_their_route_tables():
    recording = network(ONE_GATEWAY)
    assert len(recording.of_type(NAT)) == 1
    assert len(routes_from(recording, "private")) == 3
    assert len(tables_of(recording, "private")) == 3, "a change to one gateway per zone must change routes, not tables"


def test_no_subnet_assigns_public_addresses():
    assert not [subnet.name for subnet in network(THREE_ZONES).of_type(SUBNET) if subnet.inputs["mapPublicIpOnLaunch"]]


def test_s3_is_reached_without_nat_from_every_private_subnet():
    recording = network(THREE_ZONES)
    endpoint = recording.only("aws:ec2/vpcEndpoint:VpcEndpoint").inputs
    assert endpoint["vpcEndpointType"] == "Gateway"
    assert endpoint["serviceName"] == "com.amazonaws.eu-west-1.s3"
    assert set(endpoint["routeTableIds"]) == tables_of(recording, "private")


def test_the_vpcs_default_security_group_allows_nothing():
    group = network(THREE_ZONES).only("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup")
    assert not group.inputs.get("ingress")
    assert not group.inputs.get("egress")


def test_flow_logs_are_kept_for_the_set_time_and_may_be_written():
    recording = network(THREE_ZONES.model_copy(update={"flow_log_retention_days": 30}))
    assert recording.only("aws:cloudwatch/logGroup:LogGroup").inputs["retentionInDays"] == 30
    policy = recording.only("aws:iam/rolePolicy:RolePolicy")
    flow_log = recording.only("aws:ec2/flowLog:FlowLog")
    assert policy.urn in flow_log.dependencies, "a flow log that is created before its permission delivers nothing"


def test_flow_logs_may_write_to_their_own_group_only():
    group = "arn:aws:logs:eu-west-1:111122223333:log-group:/airflow-prod/vpc-flow-logs"
    statements = json.loads(flow_logs_policy(group))["Statement"]
    writing = [item for item in statements if "logs:PutLogEvents" in item["Action"]]
    assert [item["Resource"] for item in writing] == [f"{group}:*"]


def test_flow_logs_of_other_accounts_cannot_assume_the_role():
    role = network(THREE_ZONES).only("aws:iam/role:Role")
    [statement] = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
    assert statement["Principal"] == {"Service": "vpc-flow-logs.amazonaws.com"}
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": "111122223333"}


def test_a_subnets_id_is_known_once_its_default_route_exists():
    """A node that starts earlier cannot install anything and fails its first boot."""

    def program() -> None:
        made = build(THREE_ZONES)
        pulumi.CustomResource("test:index:Node", "node", {"subnetId": made.private_subnet_ids[0]})

    _, recording = deploy(program)
    node = recording.only("test:index:Node")
    association = recording.named(ASSOCIATION, "network-private-association-a")
    assert node.inputs["subnetId"] == recording.named(SUBNET, "network-private-a").id
    assert association.urn in node.dependencies
    assert recording.named(ROUTE, "network-private-route-a").urn in association.dependencies


def test_an_existing_vpc_is_not_changed():
    made, recording = deploy(lambda: build(EXISTING))
    assert [resource.type for resource in recording.resources] == ["airflow:network:Network"]
    assert made.vpc_id == "vpc-0123456789abcdef0"
    assert list(made.data_subnet_ids) == ["subnet-0000000000000000e", "subnet-0000000000000000f"]
