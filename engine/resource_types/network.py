"""VPC: networks, gateways, routes, endpoints, security groups, flow logs."""

from __future__ import annotations

from collections.abc import Callable

from engine.recording import Registration
from engine.resource_types import fake_ids
from engine.resource_types.definition import MockOutputs, ResourceType
from engine.resource_types.fake_ids import arn, name, short_region, text

_PEERS = ("cidrIpv4", "referencedSecurityGroupId", "cidrIpv6", "prefixListId")


def _ec2(prefix: str, kind: str) -> Callable[[Registration], MockOutputs]:
    """A resource with an EC2 id and an ARN: `vpc-0a1b...` and `arn:...:vpc/vpc-0a1b...`."""

    def mock(registration: Registration) -> MockOutputs:
        id_ = fake_ids.ec2(prefix, registration.urn)
        return MockOutputs(
            id=id_, outputs={"arn": arn(registration, "ec2", f"{kind}/{id_}"), "ownerId": registration.account_id}
        )

    return mock


def _vpc(registration: Registration) -> MockOutputs:
    base = _ec2("vpc", "vpc")(registration)
    made = {
        "defaultSecurityGroupId": fake_ids.ec2("sg", f"default:{registration.urn}"),
        "defaultRouteTableId": fake_ids.ec2("rtb", f"main:{registration.urn}"),
        "mainRouteTableId": fake_ids.ec2("rtb", f"main:{registration.urn}"),
        "defaultNetworkAclId": fake_ids.ec2("acl", f"default:{registration.urn}"),
    }
    return MockOutputs(id=base.id, outputs={**base.outputs, **made})


def _subnet(registration: Registration) -> MockOutputs:
    base = _ec2("subnet", "subnet")(registration)
    zone_id = f"{short_region(registration.region)}-az{'abcdef'.find(text(registration, 'availabilityZone')[-1]) + 1}"
    return MockOutputs(id=base.id, outputs={**base.outputs, "availabilityZoneId": zone_id})


def _security_group(registration: Registration) -> MockOutputs:
    base = _ec2("sg", "security-group")(registration)
    return MockOutputs(
        id=base.id,
        outputs=base.outputs,
        planned={
            "name": name(registration, longest=255),
            "description": registration.inputs.get("description", "Managed by Pulumi"),
        },
    )


def _default_security_group(registration: Registration) -> MockOutputs:
    base = _ec2("sg", "security-group")(registration)
    return MockOutputs(
        id=base.id, outputs={**base.outputs, "name": "default", "description": "default VPC security group"}
    )


def _security_group_rule(registration: Registration) -> MockOutputs:
    id_ = fake_ids.ec2("sgr", registration.urn)
    return MockOutputs(
        id=id_,
        outputs={"arn": arn(registration, "ec2", f"security-group-rule/{id_}"), "securityGroupRuleId": id_},
    )


def _elastic_ip(registration: Registration) -> MockOutputs:
    id_ = fake_ids.ec2("eipalloc", registration.urn)
    # 198.51.100.0/24 is reserved for documentation (RFC 5737).
    address = f"198.51.100.{int(fake_ids.hexadecimal(registration.urn, 2), 16)}"
    return MockOutputs(
        id=id_,
        outputs={
            "arn": arn(registration, "ec2", f"elastic-ip/{id_}"),
            "allocationId": id_,
            "publicIp": address,
            "publicDns": f"ec2-{address.replace('.', '-')}.{registration.region}.compute.amazonaws.com",
        },
    )


def _nat_gateway(registration: Registration) -> MockOutputs:
    base = _ec2("nat", "natgateway")(registration)
    address = f"198.51.100.{int(fake_ids.hexadecimal(text(registration, 'allocationId'), 2), 16)}"
    return MockOutputs(id=base.id, outputs={**base.outputs, "publicIp": address})


def _route_table_association(registration: Registration) -> MockOutputs:
    return MockOutputs(id=fake_ids.ec2("rtbassoc", registration.urn))


def _route(registration: Registration) -> MockOutputs:
    return MockOutputs(
        id=f"r-{text(registration, 'routeTableId')}{int(fake_ids.hexadecimal(registration.urn, 8), 16)}",
        outputs={"origin": "CreateRoute", "state": "active"},
    )


def _endpoint(registration: Registration) -> MockOutputs:
    id_ = fake_ids.ec2("vpce", registration.urn)
    outputs = {"arn": arn(registration, "ec2", f"vpc-endpoint/{id_}"), "state": "available"}
    if registration.inputs.get("vpcEndpointType", "Gateway") == "Gateway":
        outputs["prefixListId"] = f"pl-{fake_ids.hexadecimal(text(registration, 'serviceName'), 8)}"
    return MockOutputs(id=id_, outputs={**outputs, "ownerId": registration.account_id})


_GROUP_RULE = ResourceType(
    mock=_security_group_rule,
    unique_by=("securityGroupId", "ipProtocol", "fromPort", "toPort", *_PEERS),
    optional=frozenset({"fromPort", "toPort", *_PEERS}),
    replaced_by=frozenset({"securityGroupId"}),
)

TYPES = {
    "aws:ec2/vpc:Vpc": ResourceType(
        mock=_vpc,
        replaced_by=frozenset({"cidrBlock", "instanceTenancy", "ipv4IpamPoolId", "ipv4NetmaskLength"}),
        replacement_risk=(
            "is replaced, with every subnet and security group in it. RDS and ElastiCache do not move to another VPC: "
            "`pulumi up` fails half-way and leaves nodes that can reach neither of them"
        ),
        highlights=("cidrBlock",),
    ),
    "aws:ec2/subnet:Subnet": ResourceType(
        mock=_subnet,
        unique_by=("vpcId", "cidrBlock"),
        replaced_by=frozenset(
            {"availabilityZone", "availabilityZoneId", "cidrBlock", "ipv6Native", "outpostArn", "vpcId"}
        ),
        highlights=("cidrBlock", "availabilityZone", "mapPublicIpOnLaunch"),
    ),
    "aws:ec2/internetGateway:InternetGateway": ResourceType(mock=_ec2("igw", "internet-gateway")),
    "aws:ec2/eip:Eip": ResourceType(
        mock=_elastic_ip,
        replaced_by=frozenset({"address", "domain", "ipamPoolId", "networkBorderGroup", "publicIpv4Pool"}),
    ),
    "aws:ec2/natGateway:NatGateway": ResourceType(
        mock=_nat_gateway,
        replaced_by=frozenset({"allocationId", "connectivityType", "privateIp", "subnetId"}),
        highlights=("subnetId",),
    ),
    "aws:ec2/routeTable:RouteTable": ResourceType(mock=_ec2("rtb", "route-table"), replaced_by=frozenset({"vpcId"})),
    "aws:ec2/route:Route": ResourceType(
        mock=_route,
        unique_by=("routeTableId", "destinationCidrBlock"),
        replaced_by=frozenset(
            {"destinationCidrBlock", "destinationIpv6CidrBlock", "destinationPrefixListId", "routeTableId"}
        ),
        highlights=("routeTableId", "destinationCidrBlock", "gatewayId", "natGatewayId"),
    ),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": ResourceType(
        mock=_route_table_association,
        unique_by=("subnetId",),
        replaced_by=frozenset({"gatewayId", "subnetId"}),
        highlights=("subnetId", "routeTableId"),
    ),
    "aws:ec2/vpcEndpoint:VpcEndpoint": ResourceType(
        mock=_endpoint,
        replaced_by=frozenset(
            {
                "resourceConfigurationArn",
                "serviceName",
                "serviceNetworkArn",
                "serviceRegion",
                "vpcEndpointType",
                "vpcId",
            }
        ),
        sets=frozenset({"routeTableIds", "securityGroupIds", "subnetIds"}),
        highlights=("serviceName", "vpcEndpointType"),
    ),
    "aws:ec2/flowLog:FlowLog": ResourceType(
        mock=_ec2("fl", "vpc-flow-log"),
        replaced_by=frozenset(
            {
                "deliverCrossAccountRole",
                "destinationOptions",
                "eniId",
                "iamRoleArn",
                "logDestination",
                "logDestinationType",
                "logFormat",
                "maxAggregationInterval",
                "subnetId",
                "trafficType",
                "transitGatewayAttachmentId",
                "transitGatewayId",
                "vpcId",
            }
        ),
        highlights=("trafficType", "logDestination"),
    ),
    "aws:ec2/securityGroup:SecurityGroup": ResourceType(
        mock=_security_group,
        name_input="name",
        unique_by=("vpcId", "name"),
        replaced_by=frozenset({"name", "namePrefix", "description", "vpcId"}),
        highlights=("description",),
    ),
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": ResourceType(
        mock=_default_security_group, replaced_by=frozenset({"vpcId"})
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _GROUP_RULE,
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _GROUP_RULE,
}
