"""What tells a resource from all others of its type in AWS, whatever Pulumi calls it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from offline.recording import Resource

_NAMES = ("bucket", "identifier", "replicationGroupId", "dashboardName", "name")

_OPTIONAL = frozenset(
    {"cidrIpv4", "cidrIpv6", "fromPort", "prefixListId", "referencedSecurityGroupId", "setIdentifier", "toPort"}
)
_GROUP_RULE = ("securityGroupId", "ipProtocol", *sorted(_OPTIONAL - {"setIdentifier"}))

# The types of which a name alone does not say it. Of one name there may be many public zones, but one private zone in
# a VPC (ConflictingDomainExists in https://docs.aws.amazon.com/Route53/latest/APIReference/API_CreateHostedZone.html).
_IDENTITY: Mapping[str, Sequence[str]] = {
    "aws:autoscaling/attachment:Attachment": ("autoscalingGroupName", "lbTargetGroupArn"),
    "aws:autoscaling/lifecycleHook:LifecycleHook": ("autoscalingGroupName", "name"),
    "aws:ec2/route:Route": ("routeTableId", "destinationCidrBlock"),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": ("subnetId",),
    "aws:ec2/securityGroup:SecurityGroup": ("vpcId", "name"),
    "aws:ec2/subnet:Subnet": ("vpcId", "cidrBlock"),
    "aws:iam/rolePolicy:RolePolicy": ("role", "name"),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": ("role", "policyArn"),
    "aws:lb/listener:Listener": ("loadBalancerArn", "port"),
    "aws:lb/listenerRule:ListenerRule": ("listenerArn", "priority"),
    "aws:route53/record:Record": ("zoneId", "name", "type", "setIdentifier"),
    "aws:route53/zone:Zone": ("name", "vpcs"),
    "aws:s3/bucketObjectv2:BucketObjectv2": ("bucket", "key"),
    "aws:sns/topicPolicy:TopicPolicy": ("arn",),
    "aws:sns/topicSubscription:TopicSubscription": ("topic", "protocol", "endpoint"),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _GROUP_RULE,
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _GROUP_RULE,
}


def physical_name(resource: Resource) -> tuple[Any, ...] | None:
    """What no two resources can share; None if AWS or the provider decides it."""
    keys = _IDENTITY.get(resource.type, [key for key in _NAMES if key in resource.inputs][:1])
    inputs = {key: json.dumps(value) if isinstance(value, list) else value for key, value in resource.inputs.items()}
    values = tuple(inputs.get(key) for key in keys)
    missing = any(value is None for key, value in zip(keys, values, strict=True) if key not in _OPTIONAL)
    return None if missing or not keys else (resource.type, *values)
