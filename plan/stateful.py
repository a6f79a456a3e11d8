"""Resources whose content cannot be recreated: deleting or replacing one deletes its content."""

from __future__ import annotations

_STATEFUL = frozenset(
    {
        "aws:backup/vault:Vault",
        "aws:cloudwatch/logGroup:LogGroup",
        "aws:ebs/volume:Volume",
        "aws:efs/fileSystem:FileSystem",
        "aws:elasticache/replicationGroup:ReplicationGroup",
        "aws:kms/key:Key",
        "aws:rds/cluster:Cluster",
        "aws:rds/instance:Instance",
        "aws:route53/zone:Zone",
        "aws:s3/bucket:Bucket",
        "aws:secretsmanager/secret:Secret",
        # A replacement has another value: data encrypted or signed with the old one is lost. Random ids are for names.
        "random:index/randomBytes:RandomBytes",
        "random:index/randomPassword:RandomPassword",
        "random:index/randomString:RandomString",
    }
)


def is_stateful(type_: str) -> bool:
    """Whether resources of this type hold something that a new one would not have."""
    return type_ in _STATEFUL
