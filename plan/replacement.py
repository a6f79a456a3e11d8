"""The inputs that a provider cannot update in place: when one of them changes, it replaces the resource.

The source is the provider itself. Each input of these types was changed on its own, and Terraform's AWS provider 5.100
planned the change through its plugin protocol (`requires_replace` in the response to PlanResourceChange). Where version
6, on which pulumi-aws 7 is built, might differ, the table follows its schema: `ForceNew` and `RequiresReplace` in
https://github.com/hashicorp/terraform-provider-aws/tree/main/internal/service.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

ANY = "*"
"""Stands for every input."""

_NAME = frozenset({"name", "namePrefix"})
_BUCKET = frozenset({"bucket"})
_BUCKET_AND_OWNER = frozenset({"bucket", "expectedBucketOwner"})
_GROUP_RULE = frozenset({"securityGroupId"})
_BROKER = "aws:elasticache/replicationGroup:ReplicationGroup"

REPLACED_BY: Mapping[str, frozenset[str]] = {
    "aws:acm/certificate:Certificate": frozenset(
        {
            "certificateAuthorityArn",
            "domainName",
            "keyAlgorithm",
            "subjectAlternativeNames",
            "validationMethod",
            "validationOptions",
        }
    ),
    "aws:acm/certificateValidation:CertificateValidation": frozenset({"certificateArn", "validationRecordFqdns"}),
    "aws:autoscaling/attachment:Attachment": frozenset({"autoscalingGroupName", "elb", "lbTargetGroupArn"}),
    "aws:autoscaling/group:Group": _NAME | {"initialLifecycleHooks"},
    "aws:autoscaling/lifecycleHook:LifecycleHook": frozenset({"name"}),
    "aws:backup/vault:Vault": frozenset({"name", "kmsKeyArn"}),
    "aws:cloudwatch/dashboard:Dashboard": frozenset({"dashboardName"}),
    "aws:cloudwatch/logGroup:LogGroup": _NAME | {"logGroupClass"},
    "aws:cloudwatch/metricAlarm:MetricAlarm": frozenset({"name"}),
    "aws:ebs/volume:Volume": frozenset({"availabilityZone", "encrypted", "kmsKeyId", "snapshotId"}),
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": frozenset({"vpcId"}),
    "aws:ec2/eip:Eip": frozenset({"address", "domain", "ipamPoolId", "networkBorderGroup", "publicIpv4Pool"}),
    "aws:ec2/flowLog:FlowLog": frozenset(
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
    "aws:ec2/internetGateway:InternetGateway": frozenset(),
    "aws:ec2/launchTemplate:LaunchTemplate": _NAME,
    "aws:ec2/natGateway:NatGateway": frozenset({"allocationId", "connectivityType", "privateIp", "subnetId"}),
    "aws:ec2/route:Route": frozenset(
        {"destinationCidrBlock", "destinationIpv6CidrBlock", "destinationPrefixListId", "routeTableId"}
    ),
    "aws:ec2/routeTable:RouteTable": frozenset({"vpcId"}),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": frozenset({"gatewayId", "subnetId"}),
    "aws:ec2/securityGroup:SecurityGroup": _NAME | {"description", "vpcId"},
    "aws:ec2/subnet:Subnet": frozenset(
        {"availabilityZone", "availabilityZoneId", "cidrBlock", "ipv6Native", "outpostArn", "vpcId"}
    ),
    "aws:ec2/vpc:Vpc": frozenset({"cidrBlock", "instanceTenancy", "ipv4IpamPoolId", "ipv4NetmaskLength"}),
    "aws:ec2/vpcEndpoint:VpcEndpoint": frozenset(
        {"resourceConfigurationArn", "serviceName", "serviceNetworkArn", "serviceRegion", "vpcEndpointType", "vpcId"}
    ),
    "aws:efs/fileSystem:FileSystem": frozenset(
        {"availabilityZoneName", "creationToken", "encrypted", "kmsKeyId", "performanceMode"}
    ),
    "aws:elasticache/parameterGroup:ParameterGroup": frozenset({"description", "family", "name"}),
    _BROKER: frozenset(
        {
            "atRestEncryptionEnabled",
            "dataTieringEnabled",
            "globalReplicationGroupId",
            "kmsKeyId",
            "networkType",
            "port",
            "replicationGroupId",
            "securityGroupNames",
            "snapshotArns",
            "snapshotName",
            "subnetGroupName",
        }
    ),
    "aws:elasticache/subnetGroup:SubnetGroup": frozenset({"name"}),
    "aws:iam/instanceProfile:InstanceProfile": _NAME | {"path"},
    "aws:iam/policy:Policy": _NAME | {"description", "path"},
    "aws:iam/role:Role": _NAME | {"path"},
    "aws:iam/rolePolicy:RolePolicy": _NAME | {"role"},
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": frozenset({"policyArn", "role"}),
    "aws:kms/key:Key": frozenset({"customKeyStoreId", "customerMasterKeySpec", "keyUsage", "multiRegion", "xksKeyId"}),
    "aws:lb/listener:Listener": frozenset({"loadBalancerArn"}),
    "aws:lb/listenerRule:ListenerRule": frozenset({"listenerArn"}),
    "aws:lb/loadBalancer:LoadBalancer": _NAME | {"customerOwnedIpv4Pool", "internal", "loadBalancerType"},
    "aws:lb/targetGroup:TargetGroup": _NAME
    | {"ipAddressType", "port", "protocol", "protocolVersion", "targetType", "vpcId"},
    "aws:rds/instance:Instance": frozenset(
        {
            "availabilityZone",
            "backupTarget",
            "characterSetName",
            "customIamInstanceProfile",
            "dbName",
            "engine",
            "kmsKeyId",
            "ncharCharacterSetName",
            "restoreToPointInTime",
            "snapshotIdentifier",
            "storageEncrypted",
            "timezone",
            "username",
        }
    ),
    "aws:rds/parameterGroup:ParameterGroup": _NAME | {"description", "family"},
    "aws:rds/subnetGroup:SubnetGroup": _NAME,
    "aws:route53/record:Record": frozenset({"name", "zoneId"}),
    "aws:route53/zone:Zone": frozenset({"name", "delegationSetId"}),
    "aws:s3/bucket:Bucket": frozenset({"bucket", "bucketPrefix", "objectLockEnabled"}),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _BUCKET_AND_OWNER,
    "aws:s3/bucketObjectv2:BucketObjectv2": frozenset({"bucket", "key"}),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": _BUCKET,
    "aws:s3/bucketPolicy:BucketPolicy": _BUCKET,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _BUCKET,
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _BUCKET_AND_OWNER,
    "aws:s3/bucketVersioning:BucketVersioning": _BUCKET_AND_OWNER,
    "aws:secretsmanager/secret:Secret": _NAME,
    # A version is never overwritten: a new value becomes a new version of the same secret.
    "aws:secretsmanager/secretVersion:SecretVersion": frozenset(
        {"secretBinary", "secretId", "secretString", "secretStringWoVersion"}
    ),
    "aws:sns/topic:Topic": _NAME | {"fifoTopic"},
    "aws:sns/topicPolicy:TopicPolicy": frozenset({"arn"}),
    "aws:sns/topicSubscription:TopicSubscription": frozenset({"endpoint", "protocol", "topic"}),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _GROUP_RULE,
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _GROUP_RULE,
    # A value is generated once; a change of any input generates another.
    "random:index/randomBytes:RandomBytes": frozenset({ANY}),
    "random:index/randomId:RandomId": frozenset({ANY}),
    "random:index/randomPassword:RandomPassword": frozenset({ANY}),
    "random:index/randomString:RandomString": frozenset({ANY}),
    "random:index/randomUuid:RandomUuid": frozenset({ANY}),
}

SETS: Mapping[str, frozenset[str]] = {
    "aws:acm/certificate:Certificate": frozenset({"subjectAlternativeNames"}),
    "aws:acm/certificateValidation:CertificateValidation": frozenset({"validationRecordFqdns"}),
    "aws:autoscaling/group:Group": frozenset(
        {
            "enabledMetrics",
            "initialLifecycleHooks",
            "suspendedProcesses",
            "tags",
            "targetGroupArns",
            "vpcZoneIdentifiers",
        }
    ),
    "aws:cloudwatch/metricAlarm:MetricAlarm": frozenset(
        {"alarmActions", "insufficientDataActions", "metricQueries", "okActions"}
    ),
    "aws:ec2/launchTemplate:LaunchTemplate": frozenset({"networkInterfaces.securityGroups", "vpcSecurityGroupIds"}),
    "aws:ec2/vpcEndpoint:VpcEndpoint": frozenset({"routeTableIds", "securityGroupIds", "subnetIds"}),
    "aws:elasticache/parameterGroup:ParameterGroup": frozenset({"parameters"}),
    _BROKER: frozenset({"logDeliveryConfigurations", "securityGroupIds"}),
    "aws:elasticache/subnetGroup:SubnetGroup": frozenset({"subnetIds"}),
    "aws:iam/role:Role": frozenset({"managedPolicyArns"}),
    "aws:lb/listenerRule:ListenerRule": frozenset(
        {
            "conditions",
            "conditions.hostHeader.values",
            "conditions.httpHeader.values",
            "conditions.httpRequestMethod.values",
            "conditions.pathPattern.values",
            "conditions.sourceIp.values",
        }
    ),
    "aws:lb/loadBalancer:LoadBalancer": frozenset({"securityGroups", "subnets"}),
    "aws:rds/instance:Instance": frozenset({"enabledCloudwatchLogsExports", "vpcSecurityGroupIds"}),
    "aws:rds/parameterGroup:ParameterGroup": frozenset({"parameters"}),
    "aws:rds/subnetGroup:SubnetGroup": frozenset({"subnetIds"}),
    "aws:route53/record:Record": frozenset({"records"}),
    "aws:route53/zone:Zone": frozenset({"vpcs"}),
}
"""The inputs that are sets to the provider (`terraform providers schema -json`): their order is no change. Dots lead
into what is nested. Lists whose order counts, such as a pool's instance types, are not among them."""

# Since version 7 of pulumi-aws a resource may have its own region, and changing it replaces the resource.
_REGION = "region"

_PHYSICAL_NAMES = frozenset({"bucket", "dashboardName", "identifier", "name", "replicationGroupId"})

RENEWED_BY_UPDATE: Mapping[str, str] = {"aws:ec2/launchTemplate:LaunchTemplate": "latestVersion"}
"""Outputs that change with an update in place."""


def forces_replacement(type_: str, key: str, old: Any, new: Any) -> bool:
    """Whether this change of an input makes the provider replace the resource."""
    if type_ == _BROKER and key == "engineVersion":
        return _version(new) < _version(old)  # AWS upgrades a server in place, but cannot downgrade it
    if type_ == _BROKER and key == "engine":
        return (old, new) != ("redis", "valkey")
    forcing = REPLACED_BY.get(type_, frozenset())
    return key in forcing or ANY in forcing or (key == _REGION and type_.startswith("aws:"))


def keeps_its_name(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether the program gives the resource a physical name that stays the same.

    Two resources cannot have the same name at once, so Pulumi deletes such a resource before it creates the replacement
    (https://www.pulumi.com/docs/iac/concepts/resources/options/deletebeforereplace/).
    """
    return any(old[key] == new.get(key) for key in _PHYSICAL_NAMES & old.keys())


def _version(value: Any) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", str(value))))
