"""Resources that hold what cannot be made again, and the changes that make a provider replace them.

A replacement deletes the old resource with its content. The lists are the arguments that the AWS and random providers
mark as forcing a new resource; an argument that is refused by AWS rather than replaced (less storage) is not in them.
"""

from __future__ import annotations

from collections.abc import Mapping

ANY = "*"
"""Stands for every input."""

# Since version 7 of the AWS provider every resource may name its region, and moving it makes a new one.
_REGION = "region"

FORCES_REPLACEMENT: Mapping[str, frozenset[str]] = {
    "aws:rds/instance:Instance": frozenset(
        {
            "availabilityZone",
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
            _REGION,
        }
    ),
    "aws:elasticache/replicationGroup:ReplicationGroup": frozenset(
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
            _REGION,
        }
    ),
    "aws:s3/bucket:Bucket": frozenset({"bucket", "bucketPrefix", "objectLockEnabled", _REGION}),
    "aws:secretsmanager/secret:Secret": frozenset({"name", "namePrefix", _REGION}),
    "aws:cloudwatch/logGroup:LogGroup": frozenset({"name", "namePrefix", "logGroupClass", _REGION}),
    "aws:kms/key:Key": frozenset({"customerMasterKeySpec", "keyUsage", "multiRegion", _REGION}),
    "aws:ebs/volume:Volume": frozenset({"availabilityZone", "encrypted", "kmsKeyId", "snapshotId", _REGION}),
    "aws:efs/fileSystem:FileSystem": frozenset(
        {"availabilityZoneName", "creationToken", "encrypted", "kmsKeyId", "performanceMode", _REGION}
    ),
    "aws:backup/vault:Vault": frozenset({"name", "kmsKeyArn", _REGION}),
    "aws:route53/zone:Zone": frozenset({"name", "delegationSetId"}),
    # A value drawn anew: whatever was encrypted or signed with the old one is lost.
    "random:index/randomBytes:RandomBytes": frozenset({ANY}),
    "random:index/randomId:RandomId": frozenset({ANY}),
    "random:index/randomPassword:RandomPassword": frozenset({ANY}),
    "random:index/randomString:RandomString": frozenset({ANY}),
    "random:index/randomUuid:RandomUuid": frozenset({ANY}),
}


def is_stateful(type_: str) -> bool:
    """Whether resources of this type hold something that a new one would not have."""
    return type_ in FORCES_REPLACEMENT


def forces_replacement(type_: str, key: str) -> bool:
    """Whether a change of this input replaces a stateful resource."""
    forcing = FORCES_REPLACEMENT.get(type_, frozenset())
    return key in forcing or ANY in forcing
