"""The properties that a reviewer looks for, by type. What is not listed is in the JSON format."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from engine.recording import Resource
from plan.documents import packed_size
from plan.labels import Names

_INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
_EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
_PEERS = ("referencedSecurityGroupId", "cidrIpv4", "cidrIpv6", "prefixListId")

HIGHLIGHTS: Mapping[str, tuple[str, ...]] = {
    "aws:acm/certificate:Certificate": ("domainName", "validationMethod"),
    "aws:autoscaling/attachment:Attachment": ("autoscalingGroupName", "lbTargetGroupArn"),
    "aws:autoscaling/group:Group": (
        "minSize",
        "maxSize",
        "healthCheckType",
        "healthCheckGracePeriod",
        "capacityRebalance",
        "mixedInstancesPolicy.instancesDistribution.onDemandBaseCapacity",
        "mixedInstancesPolicy.instancesDistribution.onDemandPercentageAboveBaseCapacity",
        "mixedInstancesPolicy.launchTemplate.overrides.instanceType",
        "instanceLifecyclePolicy.retentionTriggers.terminateHookAbandon",
    ),
    "aws:autoscaling/lifecycleHook:LifecycleHook": ("name", "heartbeatTimeout", "defaultResult"),
    "aws:cloudwatch/logGroup:LogGroup": ("name", "retentionInDays"),
    "aws:cloudwatch/metricAlarm:MetricAlarm": ("name", "metricName", "comparisonOperator", "threshold", "alarmActions"),
    "aws:ec2/flowLog:FlowLog": ("trafficType", "logDestination"),
    "aws:ec2/launchTemplate:LaunchTemplate": (
        "imageId",
        "instanceType",
        "metadataOptions.httpTokens",
        "blockDeviceMappings.ebs.volumeSize",
        "blockDeviceMappings.ebs.encrypted",
        "userData",
    ),
    "aws:ec2/natGateway:NatGateway": ("subnetId",),
    "aws:ec2/route:Route": ("routeTableId", "destinationCidrBlock", "gatewayId", "natGatewayId"),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": ("subnetId", "routeTableId"),
    "aws:ec2/securityGroup:SecurityGroup": ("description",),
    "aws:ec2/subnet:Subnet": ("cidrBlock", "availabilityZone", "mapPublicIpOnLaunch"),
    "aws:ec2/vpc:Vpc": ("cidrBlock",),
    "aws:ec2/vpcEndpoint:VpcEndpoint": ("serviceName", "vpcEndpointType"),
    "aws:elasticache/parameterGroup:ParameterGroup": ("family",),
    "aws:elasticache/replicationGroup:ReplicationGroup": (
        "engine",
        "engineVersion",
        "nodeType",
        "numCacheClusters",
        "automaticFailoverEnabled",
        "transitEncryptionEnabled",
        "atRestEncryptionEnabled",
        "snapshotRetentionLimit",
    ),
    "aws:iam/instanceProfile:InstanceProfile": ("role",),
    "aws:iam/role:Role": ("name", "assumeRolePolicy"),
    "aws:iam/rolePolicy:RolePolicy": ("policy",),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": ("policyArn",),
    "aws:lb/listener:Listener": ("port", "protocol", "sslPolicy", "defaultActions.type"),
    "aws:lb/listenerRule:ListenerRule": (
        "priority",
        "conditions.pathPattern.values",
        "conditions.pathPattern.regexValues",
        "actions.type",
    ),
    "aws:lb/loadBalancer:LoadBalancer": ("internal", "enableDeletionProtection"),
    "aws:lb/targetGroup:TargetGroup": ("port", "protocol", "healthCheck.path", "healthCheck.matcher"),
    "aws:rds/instance:Instance": (
        "engine",
        "engineVersion",
        "instanceClass",
        "allocatedStorage",
        "maxAllocatedStorage",
        "multiAz",
        "storageEncrypted",
        "publiclyAccessible",
        "deletionProtection",
        "backupRetentionPeriod",
    ),
    "aws:rds/parameterGroup:ParameterGroup": ("family",),
    "aws:route53/record:Record": ("name", "type"),
    "aws:route53/zone:Zone": ("name",),
    "aws:s3/bucket:Bucket": ("bucket", "forceDestroy"),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": (
        "rules.id",
        "rules.expiration.days",
        "rules.noncurrentVersionExpiration.noncurrentDays",
    ),
    "aws:s3/bucketObjectv2:BucketObjectv2": ("key",),
    "aws:s3/bucketPolicy:BucketPolicy": ("policy",),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": (
        "blockPublicAcls",
        "blockPublicPolicy",
        "ignorePublicAcls",
        "restrictPublicBuckets",
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        "rules.applyServerSideEncryptionByDefault.sseAlgorithm",
    ),
    "aws:s3/bucketVersioning:BucketVersioning": ("versioningConfiguration.status",),
    "aws:secretsmanager/secret:Secret": ("name", "recoveryWindowInDays"),
    "random:index/randomBytes:RandomBytes": ("length",),
    "random:index/randomId:RandomId": ("byteLength",),
    "random:index/randomPassword:RandomPassword": ("length",),
}


def highlights(resource: Resource, names: Names) -> str:
    """One line of `property=value` and what its options mean for its life; secret properties never are in it."""
    if resource.type in (_INGRESS, _EGRESS):
        return _rule(resource, names)
    shown = []
    for path in HIGHLIGHTS.get(resource.type, ()):
        key = path.split(".", 1)[0]
        if key not in resource.inputs or key in resource.secret_inputs:
            continue
        values = list(dict.fromkeys(_write(path, value, names) for value in _at(resource.inputs, path.split("."))))
        if values:
            shown.append(f"{path.rsplit('.', 1)[-1]}={','.join(values)}")
    return "  ".join([*shown, *_marks(resource)])


def _rule(resource: Resource, names: Names) -> str:
    """A rule in the direction of its connections: `<who> -> <whom> tcp 8080`."""
    inputs = resource.inputs
    group = names.write(inputs.get("securityGroupId"))
    peer = next((names.write(inputs[key]) for key in _PEERS if key in inputs), "nobody")
    first, last = inputs.get("fromPort"), inputs.get("toPort")
    ports = "all ports" if first is None else f"{first}" if first == last else f"{first}-{last}"
    protocol = "any protocol" if str(inputs.get("ipProtocol")) == "-1" else f"{inputs.get('ipProtocol')} {ports}"
    ends = (peer, group) if resource.type == _INGRESS else (group, peer)
    return f"{ends[0]} -> {ends[1]}  {protocol}"


def _marks(resource: Resource) -> Iterator[str]:
    # A component hands both down; a mark on each of its children says it where it matters.
    if resource.options.custom and resource.options.protect:
        yield "[protected]"
    if resource.options.custom and resource.options.retain_on_delete:
        yield "[retained]"


def _at(value: Any, path: list[str]) -> Iterator[Any]:
    """The values at a path; every item of a list on the way counts."""
    if isinstance(value, list) and path:
        for item in value:
            yield from _at(item, path)
    elif not path:
        yield value
    elif isinstance(value, Mapping) and path[0] in value:
        yield from _at(value[path[0]], path[1:])


def _write(path: str, value: Any, names: Names) -> str:
    if path == "userData":
        return f"{packed_size(str(value)):,} bytes"
    if path in ("policy", "assumeRolePolicy"):
        return _policy(str(value))
    return names.write(value)


def _policy(document: str) -> str:
    """The actions of a policy: `allow(s3:GetObject,s3:ListBucket) deny(s3:*)`."""
    try:
        statements = json.loads(document)["Statement"]
    except (ValueError, KeyError, TypeError):
        return "(not a policy)"
    actions: dict[str, list[str]] = {}
    for statement in statements if isinstance(statements, list) else [statements]:
        listed = statement.get("Action") or statement.get("NotAction") or []
        names = [listed] if isinstance(listed, str) else listed
        actions.setdefault(str(statement.get("Effect", "?")).lower(), []).extend(names)
    return " ".join(f"{effect}({','.join(dict.fromkeys(names))})" for effect, names in actions.items())
