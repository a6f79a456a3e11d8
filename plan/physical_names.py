"""What tells a resource from all others of its type in AWS, whatever Pulumi calls it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from engine.recording import Resource

_NAMES = ("bucket", "identifier", "replicationGroupId", "dashboardName", "name")

_ORIGIN = ("cidrIpv4", "referencedSecurityGroupId", "cidrIpv6", "prefixListId")
_GROUP_RULE = ("securityGroupId", "ipProtocol", "fromPort", "toPort", *_ORIGIN)
_OPTIONAL = {*_ORIGIN, "fromPort", "toPort", "setIdentifier"}

NAMED_BY: Mapping[str, Sequence[str]] = {
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
"""The inputs that together are the name, where a name alone is not. Of two resources with the same ones AWS refuses the
second, or takes both for one, which the deletion of either then removes.

Of one name there may be many public zones, but one private zone in a VPC (ConflictingDomainExists in
https://docs.aws.amazon.com/Route53/latest/APIReference/API_CreateHostedZone.html)."""


def physical_name(resource: Resource) -> tuple[Any, ...] | None:
    """What no two resources can share; None if AWS or the provider decides it."""
    keys = NAMED_BY.get(resource.type) or [key for key in _NAMES if key in resource.inputs][:1]
    inputs = {key: json.dumps(value) if isinstance(value, list) else value for key, value in resource.inputs.items()}
    missing = any(inputs.get(key) is None for key in keys if key not in _OPTIONAL)
    return None if missing or not keys else (resource.type, *(inputs.get(key) for key in keys))
