"""The IAM actions with which Pulumi's provider creates a resource of each type, and reads it again.

Updates and deletions of resources that exist need more; `pulumi up` names an action that it lacks there, and what runs
keeps running. Services that act for the caller are included where they check the caller: Auto Scaling starts instances
(https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-launch-template-permissions.html), ElastiCache
delivers its logs (https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/Log_Delivery.html), and RDS keeps the
administrator's password in a secret (https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

_LOG_DELIVERY = (
    *("logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:ListLogDeliveries", "logs:PutResourcePolicy"),
    "logs:DescribeResourcePolicies",
)

# Type -> service and names of its actions; an action of another service is written with it.
_ACTIONS: Mapping[str, tuple[str, str]] = {
    "aws:acm/certificate:Certificate": (
        "acm",
        "RequestCertificate DescribeCertificate ListTagsForCertificate AddTagsToCertificate",
    ),
    "aws:acm/certificateValidation:CertificateValidation": ("acm", "DescribeCertificate"),
    "aws:autoscaling/attachment:Attachment": (
        "autoscaling",
        "AttachLoadBalancerTargetGroups DescribeAutoScalingGroups",
    ),
    "aws:autoscaling/group:Group": (
        "autoscaling",
        "CreateAutoScalingGroup UpdateAutoScalingGroup CreateOrUpdateTags EnableMetricsCollection SuspendProcesses "
        "DescribeAutoScalingGroups DescribeScalingActivities ec2:RunInstances",
    ),
    "aws:autoscaling/lifecycleHook:LifecycleHook": ("autoscaling", "PutLifecycleHook DescribeLifecycleHooks"),
    "aws:cloudwatch/dashboard:Dashboard": ("cloudwatch", "PutDashboard GetDashboard"),
    "aws:cloudwatch/logGroup:LogGroup": (
        "logs",
        "CreateLogGroup PutRetentionPolicy TagResource DescribeLogGroups ListTagsForResource",
    ),
    "aws:cloudwatch/metricAlarm:MetricAlarm": (
        "cloudwatch",
        "PutMetricAlarm TagResource DescribeAlarms ListTagsForResource",
    ),
    "aws:ebs/volume:Volume": ("ec2", "CreateVolume CreateTags DescribeVolumes"),
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": (
        "ec2",
        "RevokeSecurityGroupIngress RevokeSecurityGroupEgress DescribeSecurityGroups",
    ),
    "aws:ec2/eip:Eip": ("ec2", "AllocateAddress CreateTags DescribeAddresses DescribeAddressesAttribute"),
    "aws:ec2/flowLog:FlowLog": ("ec2", "CreateFlowLogs CreateTags DescribeFlowLogs"),
    "aws:ec2/internetGateway:InternetGateway": (
        "ec2",
        "CreateInternetGateway AttachInternetGateway CreateTags DescribeInternetGateways",
    ),
    "aws:ec2/launchTemplate:LaunchTemplate": (
        "ec2",
        "CreateLaunchTemplate CreateLaunchTemplateVersion CreateTags DescribeLaunchTemplates "
        "DescribeLaunchTemplateVersions",
    ),
    "aws:ec2/natGateway:NatGateway": ("ec2", "CreateNatGateway CreateTags DescribeNatGateways"),
    "aws:ec2/route:Route": ("ec2", "CreateRoute DescribeRouteTables"),
    "aws:ec2/routeTable:RouteTable": ("ec2", "CreateRouteTable CreateTags DescribeRouteTables"),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": ("ec2", "AssociateRouteTable DescribeRouteTables"),
    "aws:ec2/securityGroup:SecurityGroup": (
        "ec2",
        "CreateSecurityGroup RevokeSecurityGroupEgress CreateTags DescribeSecurityGroups",
    ),
    "aws:ec2/subnet:Subnet": ("ec2", "CreateSubnet ModifySubnetAttribute CreateTags DescribeSubnets"),
    "aws:ec2/vpc:Vpc": (
        "ec2",
        "CreateVpc ModifyVpcAttribute CreateTags DescribeVpcs DescribeVpcAttribute DescribeNetworkAcls "
        "DescribeRouteTables DescribeSecurityGroups",
    ),
    "aws:ec2/vpcEndpoint:VpcEndpoint": (
        "ec2",
        "CreateVpcEndpoint CreateTags DescribeVpcEndpoints DescribePrefixLists",
    ),
    "aws:elasticache/parameterGroup:ParameterGroup": (
        "elasticache",
        "CreateCacheParameterGroup ModifyCacheParameterGroup AddTagsToResource DescribeCacheParameterGroups "
        "DescribeCacheParameters ListTagsForResource",
    ),
    "aws:elasticache/replicationGroup:ReplicationGroup": (
        "elasticache",
        "CreateReplicationGroup AddTagsToResource DescribeReplicationGroups DescribeCacheClusters ListTagsForResource "
        + " ".join(_LOG_DELIVERY),
    ),
    "aws:elasticache/subnetGroup:SubnetGroup": (
        "elasticache",
        "CreateCacheSubnetGroup AddTagsToResource DescribeCacheSubnetGroups ListTagsForResource",
    ),
    "aws:iam/instanceProfile:InstanceProfile": (
        "iam",
        "CreateInstanceProfile AddRoleToInstanceProfile TagInstanceProfile GetInstanceProfile",
    ),
    "aws:iam/role:Role": (
        "iam",
        "CreateRole TagRole GetRole ListRolePolicies ListAttachedRolePolicies PassRole",
    ),
    "aws:iam/rolePolicy:RolePolicy": ("iam", "PutRolePolicy GetRolePolicy"),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": ("iam", "AttachRolePolicy ListAttachedRolePolicies"),
    "aws:kms/alias:Alias": ("kms", "CreateAlias ListAliases"),
    "aws:kms/key:Key": (
        "kms",
        "CreateKey EnableKeyRotation TagResource DescribeKey GetKeyPolicy GetKeyRotationStatus ListResourceTags",
    ),
    "aws:lb/listener:Listener": (
        "elasticloadbalancing",
        "CreateListener ModifyListenerAttributes AddTags DescribeListeners DescribeListenerAttributes DescribeTags",
    ),
    "aws:lb/listenerRule:ListenerRule": ("elasticloadbalancing", "CreateRule AddTags DescribeRules DescribeTags"),
    "aws:lb/loadBalancer:LoadBalancer": (
        "elasticloadbalancing",
        "CreateLoadBalancer ModifyLoadBalancerAttributes AddTags DescribeLoadBalancers DescribeLoadBalancerAttributes "
        "DescribeTags",
    ),
    "aws:lb/targetGroup:TargetGroup": (
        "elasticloadbalancing",
        "CreateTargetGroup ModifyTargetGroupAttributes AddTags DescribeTargetGroups DescribeTargetGroupAttributes "
        "DescribeTags",
    ),
    "aws:rds/eventSubscription:EventSubscription": (
        "rds",
        "CreateEventSubscription AddTagsToResource DescribeEventSubscriptions ListTagsForResource",
    ),
    "aws:rds/instance:Instance": (
        "rds",
        "CreateDBInstance AddTagsToResource DescribeDBInstances ListTagsForResource secretsmanager:CreateSecret "
        "secretsmanager:TagResource",
    ),
    "aws:rds/parameterGroup:ParameterGroup": (
        "rds",
        "CreateDBParameterGroup ModifyDBParameterGroup AddTagsToResource DescribeDBParameterGroups "
        "DescribeDBParameters ListTagsForResource",
    ),
    "aws:rds/subnetGroup:SubnetGroup": (
        "rds",
        "CreateDBSubnetGroup AddTagsToResource DescribeDBSubnetGroups ListTagsForResource",
    ),
    "aws:route53/record:Record": ("route53", "ChangeResourceRecordSets GetChange ListResourceRecordSets GetHostedZone"),
    "aws:route53/zone:Zone": (
        "route53",
        "CreateHostedZone ChangeTagsForResource GetChange GetHostedZone ListTagsForResource ec2:DescribeVpcs",
    ),
    "aws:s3/bucket:Bucket": (
        "s3",
        "CreateBucket PutBucketTagging ListBucket GetBucketTagging GetBucketLocation GetBucketPolicy GetBucketAcl "
        "GetBucketVersioning GetBucketLogging GetLifecycleConfiguration GetEncryptionConfiguration GetBucketCORS "
        "GetBucketWebsite GetAccelerateConfiguration GetBucketRequestPayment GetReplicationConfiguration "
        "GetBucketObjectLockConfiguration",
    ),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": (
        "s3",
        "PutLifecycleConfiguration GetLifecycleConfiguration",
    ),
    "aws:s3/bucketObjectv2:BucketObjectv2": ("s3", "PutObject GetObject PutObjectTagging GetObjectTagging"),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": (
        "s3",
        "PutBucketOwnershipControls GetBucketOwnershipControls",
    ),
    "aws:s3/bucketPolicy:BucketPolicy": ("s3", "PutBucketPolicy GetBucketPolicy"),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": (
        "s3",
        "PutBucketPublicAccessBlock GetBucketPublicAccessBlock",
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        "s3",
        "PutEncryptionConfiguration GetEncryptionConfiguration",
    ),
    "aws:s3/bucketVersioning:BucketVersioning": ("s3", "PutBucketVersioning GetBucketVersioning"),
    "aws:secretsmanager/secret:Secret": (
        "secretsmanager",
        "CreateSecret TagResource DescribeSecret GetResourcePolicy",
    ),
    "aws:secretsmanager/secretVersion:SecretVersion": ("secretsmanager", "PutSecretValue GetSecretValue"),
    "aws:sns/topic:Topic": ("sns", "CreateTopic SetTopicAttributes TagResource GetTopicAttributes ListTagsForResource"),
    "aws:sns/topicPolicy:TopicPolicy": ("sns", "SetTopicAttributes GetTopicAttributes"),
    "aws:sns/topicSubscription:TopicSubscription": (
        "sns",
        "Subscribe SetSubscriptionAttributes GetSubscriptionAttributes",
    ),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": (
        "ec2",
        "AuthorizeSecurityGroupEgress CreateTags DescribeSecurityGroupRules",
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": (
        "ec2",
        "AuthorizeSecurityGroupIngress CreateTags DescribeSecurityGroupRules",
    ),
}


def types() -> frozenset[str]:
    """The type tokens in the table."""
    return frozenset(_ACTIONS)


def needed(type_: str) -> Iterator[str]:
    """The actions that a resource of this type needs; none for a type that is not in AWS, such as a random id."""
    service, names = _ACTIONS.get(type_, ("", ""))
    for name in names.split():
        yield name if ":" in name else f"{service}:{name}"
