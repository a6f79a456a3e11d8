"""RDS and ElastiCache: the databases, with the endpoints they get."""

from __future__ import annotations

import re
import string
from typing import Any

from aws_catalog import database_storage
from engine.errors import EngineRefusalError
from engine.recording import Registration
from engine.resource_types import fake_ids
from engine.resource_types.definition import MockOutputs, ResourceType, Retention, Safeguard
from engine.resource_types.fake_ids import arn, name, named, short_region, text

_PORTS = {"postgres": 5432, "aurora-postgresql": 5432, "mysql": 3306, "mariadb": 3306, "aurora-mysql": 3306}


def _rds_instance(registration: Registration) -> MockOutputs:
    identifier = name(registration, "identifier", longest=63)
    resource_id = "db-" + fake_ids.characters(registration.urn, 26, string.ascii_uppercase + string.digits)
    port = registration.inputs.get("port") or _PORTS.get(text(registration, "engine"), 5432)
    # The second label is the account's, the same for all its databases in a region.
    address = f"{identifier}.c9xk2m4example.{registration.region}.rds.amazonaws.com"
    outputs = {
        **_storage(registration),
        "arn": arn(registration, "rds", f"db:{identifier}"),
        "address": address,
        "endpoint": f"{address}:{port}",
        "port": port,
        "resourceId": resource_id,
        "hostedZoneId": "Z29XKXDKYMONMX",
        "status": "available",
        "engineVersionActual": text(registration, "engineVersion"),
    }
    if registration.inputs.get("manageMasterUserPassword"):
        outputs["masterUserSecrets"] = [_managed_secret(registration, resource_id)]
    return MockOutputs(id=resource_id, outputs=outputs, planned={"identifier": identifier})


def _storage(registration: Registration) -> dict[str, int]:
    """The IOPS and throughput of a PostgreSQL instance's gp3 storage, whether set or included."""
    if (registration.inputs.get("engine"), registration.inputs.get("storageType")) != ("postgres", "gp3"):
        return {}
    gib, iops, throughput = map(registration.inputs.get, ("allocatedStorage", "iops", "storageThroughput"))
    if refused := database_storage.refusal(int(gib or 0), iops=iops, throughput=throughput):
        raise EngineRefusalError(f"{registration.type} {registration.name!r}: {refused}")
    included = database_storage.included(int(gib or 0))
    return {"iops": iops or included.iops, "storageThroughput": throughput or included.throughput}


def _managed_secret(registration: Registration, resource_id: str) -> dict[str, str]:
    secret = f"secret:rds!db-{fake_ids.uuid4(resource_id)}-{fake_ids.characters(resource_id, 6)}"
    key = f"key/{fake_ids.uuid4(f'aws/secretsmanager:{registration.account_id}:{registration.region}')}"
    return {
        "secretArn": arn(registration, "secretsmanager", secret),
        "secretStatus": "active",
        "kmsKeyId": arn(registration, "kms", key),
    }


def _replication_group(registration: Registration) -> MockOutputs:
    id_ = name(registration, "replicationGroupId", longest=40)
    # With TLS in transit the endpoints have this form; without it their parts are in another order.
    domain = f"{id_}.abc123.{short_region(registration.region)}.cache.amazonaws.com"
    port = registration.inputs.get("port") or 6379
    members = registration.inputs.get("numCacheClusters") or 1
    return MockOutputs(
        id=id_,
        outputs={
            "arn": arn(registration, "elasticache", f"replicationgroup:{id_}"),
            "primaryEndpointAddress": f"master.{domain}",
            "readerEndpointAddress": f"replica.{domain}",
            "port": port,
            "memberClusters": [f"{id_}-{number:03}" for number in range(1, int(members) + 1)],
            "engineVersionActual": text(registration, "engineVersion"),
        },
        planned={"replicationGroupId": id_},
    )


def _version(value: Any) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", str(value))))


TYPES = {
    "aws:rds/eventSubscription:EventSubscription": ResourceType(
        mock=named("rds", "es"),
        name_input="name",
        replaced_by=frozenset({"name", "namePrefix"}),
        sets=frozenset({"eventCategories", "sourceIds"}),
        highlights=("name", "eventCategories", "snsTopic"),
    ),
    "aws:rds/instance:Instance": ResourceType(
        mock=_rds_instance,
        name_input="identifier",
        replaced_by=frozenset(
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
        sets=frozenset({"enabledCloudwatchLogsExports", "vpcSecurityGroupIds"}),
        stateful=True,
        safeguards=(
            Safeguard(
                input="multiAz",
                risk="has no standby: after a failure of its zone or host you have to restore it from a backup",
            ),
        ),
        retention=(
            Retention(
                input="backupRetentionPeriod",
                risk="keeps backups for {new} instead of {old} days; older ones are deleted",
            ),
        ),
        highlights=(
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
    ),
    "aws:rds/subnetGroup:SubnetGroup": ResourceType(
        mock=named("rds", "subgrp"),
        name_input="name",
        replaced_by=frozenset({"name", "namePrefix"}),
        sets=frozenset({"subnetIds"}),
    ),
    "aws:rds/parameterGroup:ParameterGroup": ResourceType(
        mock=named("rds", "pg"),
        name_input="name",
        replaced_by=frozenset({"name", "namePrefix", "description", "family"}),
        sets=frozenset({"parameters"}),
        highlights=("family",),
    ),
    "aws:elasticache/replicationGroup:ReplicationGroup": ResourceType(
        mock=_replication_group,
        name_input="replicationGroupId",
        replaced_by=frozenset(
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
        replaced_if={
            # AWS upgrades a server in place, but cannot downgrade it.
            "engineVersion": lambda old, new: _version(new) < _version(old),
            "engine": lambda old, new: (old, new) != ("redis", "valkey"),
        },
        sets=frozenset({"logDeliveryConfigurations", "securityGroupIds"}),
        stateful=True,
        safeguards=(
            Safeguard(
                input="automaticFailoverEnabled",
                risk="has no replica to fail over to: a failed node comes back empty",
            ),
            Safeguard(input="transitEncryptionEnabled", risk="accepts connections without TLS"),
        ),
        retention=(
            Retention(
                input="snapshotRetentionLimit",
                risk="keeps snapshots for {new} instead of {old} days; older ones are deleted",
            ),
        ),
        highlights=(
            "engine",
            "engineVersion",
            "nodeType",
            "numCacheClusters",
            "automaticFailoverEnabled",
            "transitEncryptionEnabled",
            "atRestEncryptionEnabled",
            "snapshotRetentionLimit",
        ),
    ),
    "aws:elasticache/subnetGroup:SubnetGroup": ResourceType(
        mock=named("elasticache", "subnetgroup"),
        name_input="name",
        replaced_by=frozenset({"name"}),
        sets=frozenset({"subnetIds"}),
    ),
    "aws:elasticache/parameterGroup:ParameterGroup": ResourceType(
        mock=named("elasticache", "parametergroup"),
        name_input="name",
        replaced_by=frozenset({"description", "family", "name"}),
        sets=frozenset({"parameters"}),
        highlights=("family",),
    ),
}
