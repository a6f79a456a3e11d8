"""VPC: networks, gateways, routes, endpoints, security groups, flow logs."""

from __future__ import annotations

from engine import fake_ids
from engine.recording import Registration
from engine.resource_types.mock_outputs import Answer, answers, arn, name, text

# Type token -> (prefix of the id, resource part of the ARN)
_EC2_RESOURCES = {
    "aws:ec2/vpc:Vpc": ("vpc", "vpc"),
    "aws:ec2/subnet:Subnet": ("subnet", "subnet"),
    "aws:ec2/internetGateway:InternetGateway": ("igw", "internet-gateway"),
    "aws:ec2/natGateway:NatGateway": ("nat", "natgateway"),
    "aws:ec2/routeTable:RouteTable": ("rtb", "route-table"),
    "aws:ec2/flowLog:FlowLog": ("fl", "vpc-flow-log"),
    "aws:ec2/securityGroup:SecurityGroup": ("sg", "security-group"),
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": ("sg", "security-group"),
}


def _ec2_resource(registration: Registration) -> Answer:
    prefix, kind = _EC2_RESOURCES[registration.type]
    id_ = fake_ids.ec2(prefix, registration.urn)
    return Answer(
        id=id_, outputs={"arn": arn(registration, "ec2", f"{kind}/{id_}"), "ownerId": registration.account_id}
    )


answers(*_EC2_RESOURCES)(_ec2_resource)


@answers("aws:ec2/vpc:Vpc")
def _vpc(registration: Registration) -> Answer:
    base = _ec2_resource(registration)
    made = {
        "defaultSecurityGroupId": fake_ids.ec2("sg", f"default:{registration.urn}"),
        "defaultRouteTableId": fake_ids.ec2("rtb", f"main:{registration.urn}"),
        "mainRouteTableId": fake_ids.ec2("rtb", f"main:{registration.urn}"),
        "defaultNetworkAclId": fake_ids.ec2("acl", f"default:{registration.urn}"),
    }
    return Answer(id=base.id, outputs={**base.outputs, **made})


@answers("aws:ec2/subnet:Subnet")
def _subnet(registration: Registration) -> Answer:
    base = _ec2_resource(registration)
    zone_id = f"{short_region(registration.region)}-az{'abcdef'.find(text(registration, 'availabilityZone')[-1]) + 1}"
    return Answer(id=base.id, outputs={**base.outputs, "availabilityZoneId": zone_id})


@answers("aws:ec2/securityGroup:SecurityGroup")
def _security_group(registration: Registration) -> Answer:
    base = _ec2_resource(registration)
    return Answer(
        id=base.id,
        outputs=base.outputs,
        planned={
            "name": name(registration, longest=255),
            "description": registration.inputs.get("description", "Managed by Pulumi"),
        },
    )


@answers("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup")
def _default_security_group(registration: Registration) -> Answer:
    base = _ec2_resource(registration)
    return Answer(id=base.id, outputs={**base.outputs, "name": "default", "description": "default VPC security group"})


@answers(
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
)
def _security_group_rule(registration: Registration) -> Answer:
    id_ = fake_ids.ec2("sgr", registration.urn)
    return Answer(
        id=id_,
        outputs={"arn": arn(registration, "ec2", f"security-group-rule/{id_}"), "securityGroupRuleId": id_},
    )


@answers("aws:ec2/eip:Eip")
def _elastic_ip(registration: Registration) -> Answer:
    id_ = fake_ids.ec2("eipalloc", registration.urn)
    # 198.51.100.0/24 is reserved for documentation (RFC 5737).
    address = f"198.51.100.{int(fake_ids.hexadecimal(registration.urn, 2), 16)}"
    return Answer(
        id=id_,
        outputs={
            "arn": arn(registration, "ec2", f"elastic-ip/{id_}"),
            "allocationId": id_,
            "publicIp": address,
            "publicDns": f"ec2-{address.replace('.', '-')}.{registration.region}.compute.amazonaws.com",
        },
    )


@answers("aws:ec2/natGateway:NatGateway")
def _nat_gateway(registration: Registration) -> Answer:
    base = _ec2_resource(registration)
    address = f"198.51.100.{int(fake_ids.hexadecimal(text(registration, 'allocationId'), 2), 16)}"
    return Answer(id=base.id, outputs={**base.outputs, "publicIp": address})


@answers("aws:ec2/routeTableAssociation:RouteTableAssociation")
def _route_table_association(registration: Registration) -> Answer:
    return Answer(id=fake_ids.ec2("rtbassoc", registration.urn))


@answers("aws:ec2/route:Route")
def _route(registration: Registration) -> Answer:
    return Answer(
        id=f"r-{text(registration, 'routeTableId')}{int(fake_ids.hexadecimal(registration.urn, 8), 16)}",
        outputs={"origin": "CreateRoute", "state": "active"},
    )


@answers("aws:ec2/vpcEndpoint:VpcEndpoint")
def _endpoint(registration: Registration) -> Answer:
    id_ = fake_ids.ec2("vpce", registration.urn)
    outputs = {"arn": arn(registration, "ec2", f"vpc-endpoint/{id_}"), "state": "available"}
    if registration.inputs.get("vpcEndpointType", "Gateway") == "Gateway":
        outputs["prefixListId"] = f"pl-{fake_ids.hexadecimal(text(registration, 'serviceName'), 8)}"
    return Answer(id=id_, outputs={**outputs, "ownerId": registration.account_id})


def short_region(region: str) -> str:
    """`eu-west-1` as AWS shortens it in zone ids and ElastiCache's host names: `euw1`."""
    area, *direction, number = region.split("-")
    shortened = {"northeast": "ne", "northwest": "nw", "southeast": "se", "southwest": "sw"}
    return area + "".join(shortened.get(part, part[0]) for part in direction) + number
