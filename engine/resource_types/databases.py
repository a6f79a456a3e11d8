"""RDS and ElastiCache: the databases, with the endpoints they get."""

from __future__ import annotations

import string

from aws_catalog import database_storage
from engine import fake_ids
from engine.errors import EngineRefusalError
from engine.recording import Registration
from engine.resource_types.mock_outputs import Answer, answers, arn, name, text
from engine.resource_types.network import short_region

_PORTS = {"postgres": 5432, "aurora-postgresql": 5432, "mysql": 3306, "mariadb": 3306, "aurora-mysql": 3306}


@answers("aws:rds/instance:Instance")
def _rds_instance(registration: Registration) -> Answer:
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
    return Answer(id=resource_id, outputs=outputs, planned={"identifier": identifier})


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


@answers("aws:rds/subnetGroup:SubnetGroup", "aws:rds/parameterGroup:ParameterGroup")
def _rds_group(registration: Registration) -> Answer:
    called = name(registration)
    kind = "subgrp" if registration.type.endswith("SubnetGroup") else "pg"
    return Answer(id=called, outputs={"arn": arn(registration, "rds", f"{kind}:{called}")}, planned={"name": called})


@answers("aws:elasticache/subnetGroup:SubnetGroup", "aws:elasticache/parameterGroup:ParameterGroup")
def _elasticache_group(registration: Registration) -> Answer:
    called = name(registration)
    kind = "subnetgroup" if registration.type.endswith("SubnetGroup") else "parametergroup"
    return Answer(
        id=called, outputs={"arn": arn(registration, "elasticache", f"{kind}:{called}")}, planned={"name": called}
    )


@answers("aws:elasticache/replicationGroup:ReplicationGroup")
def _replication_group(registration: Registration) -> Answer:
    id_ = name(registration, "replicationGroupId", longest=40)
    # With TLS in transit the endpoints have this form; without it the words change their places.
    domain = f"{id_}.abc123.{short_region(registration.region)}.cache.amazonaws.com"
    port = registration.inputs.get("port") or 6379
    members = registration.inputs.get("numCacheClusters") or 1
    return Answer(
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
