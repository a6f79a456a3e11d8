"""Numbers that AWS sets and we cannot change, each with the page that states it."""

from __future__ import annotations

# Lengths of names.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
BUCKET_NAME_LENGTH = 63
# https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_CreateReplicationGroup.html
REPLICATION_GROUP_ID_LENGTH = 40
# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html
LOAD_BALANCER_NAME_LENGTH = 32
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
ROLE_NAME_LENGTH = 64
# https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html
DATABASE_IDENTIFIER_LENGTH = 63
# https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_CreateAutoScalingGroup.html
AUTOSCALING_GROUP_NAME_LENGTH = 255
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateLaunchTemplate.html
LAUNCH_TEMPLATE_NAME_LENGTH = 128
# https://docs.aws.amazon.com/acm/latest/APIReference/API_RequestCertificate.html: the first domain name
CERTIFICATE_NAME_LENGTH = 64

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
LOG_GROUP_RETENTION_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545),
    *(731, 1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_WorkingWithAutomatedBackups.BackupRetention.html
DATABASE_BACKUP_RETENTION_DAYS = (0, 35)
# https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/backups-automatic.html
BROKER_SNAPSHOT_RETENTION_DAYS = (0, 35)

# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Storage.html: gp3 for PostgreSQL
DATABASE_STORAGE_GIB = (20, 65_536)
# https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/Replication.html: read replicas of one shard
BROKER_REPLICAS = (0, 5)
# https://docs.aws.amazon.com/ebs/latest/userguide/volume_constraints.html: what gp3 has had in every region all along
LARGEST_ROOT_VOLUME_GIB = 16_384
# The same page: gp3
GP3_VOLUME_GIB = (1, LARGEST_ROOT_VOLUME_GIB)
# https://aws.amazon.com/ec2/instance-types/: r7i.48xlarge, the largest type whose memory follows from its name
LARGEST_REGULAR_MEMORY_GIB = 1_536
# https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_LaunchTemplateOverrides.html
INSTANCE_TYPES_PER_GROUP = 40

# How long a lifecycle hook holds a node at most, even with heartbeats: 48 hours or 100 times its heartbeat timeout,
# whichever is less. https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_LifecycleHook.html: GlobalTimeout
HOOK_HOURS = 48
HOOK_HEARTBEATS = 100

# https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html: shortest and longest prefix of a VPC
VPC_PREFIXES = (16, 28)
# https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html: 5, or up to 50 on request
CIDR_BLOCKS_PER_VPC = 50
# https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html: network, router, DNS, reserved, broadcast
ADDRESSES_RESERVED_PER_SUBNET = 5
# https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html: inbound rules of a security group (default)
RULES_PER_SECURITY_GROUP = 60

# EC2 allows 127 characters, other services 128: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Tag.html,
# https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
TAG_KEY_LENGTH = 127
TAG_VALUE_LENGTH = 256
TAGS_PER_OBJECT = 10
"""In S3, which allows the fewest: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html"""
