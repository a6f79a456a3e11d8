"""What AWS may answer about the database and the broker, and what the checks find in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.preflight.faults.fault import Fault
from tests.preflight.recorded_aws import ZONES, orderable


def engine(version: str, family: str) -> Mapping[str, Any]:
    return {"DBEngineVersions": [{"Engine": "postgres", "EngineVersion": version, "DBParameterGroupFamily": family}]}


def cache(version: str, family: str) -> Mapping[str, Any]:
    return {"CacheEngineVersions": [{"EngineVersion": version, "CacheParameterGroupFamily": family}]}


FAULTS = [
    Fault(
        "database",
        "prod",
        {"rds__DescribeDBEngineVersions": {"DBEngineVersions": []}},
        "will fail",
        ["postgres 17", "describe-db-engine-versions"],
    ),
    Fault(
        "database",
        "prod",
        {"rds__DescribeDBEngineVersions": engine("17.9", "postgres17-v2")},
        "will fail",
        ["postgres17-v2"],
    ),
    Fault(
        "database",
        "prod",
        {"rds__DescribeOrderableDBInstanceOptions": {"OrderableDBInstanceOptions": []}},
        "will fail",
        ["db.m7g.large with postgres 17.10", "gp3"],
    ),
    Fault(
        "database",
        "prod",
        {"rds__DescribeOrderableDBInstanceOptions": orderable(StorageType="io1")},
        "will fail",
        ["gp3"],
    ),
    Fault(
        "database",
        "prod",
        {"rds__DescribeOrderableDBInstanceOptions": orderable(MultiAZCapable=False)},
        "will fail",
        ["standby"],
    ),
    Fault(
        "database",
        "prod",
        {"rds__DescribeOrderableDBInstanceOptions": orderable(AvailabilityZones=[{"Name": ZONES[0]}])},
        "will fail",
        ["only in eu-west-1a", "2 are needed"],
    ),
    Fault(
        "database",
        "prod",
        {"rds__DescribeOrderableDBInstanceOptions": orderable(MaxStorageSize=400)},
        "will fail",
        ["20 to 400 GiB"],
    ),
    Fault(
        "broker",
        "prod",
        {"elasticache__DescribeCacheEngineVersions": cache("7.2", "valkey7")},
        "will fail",
        ["valkey 8.2", "7.2"],
    ),
    Fault(
        "broker",
        "prod",
        {"elasticache__DescribeCacheEngineVersions": cache("8.2", "valkey8.2")},
        "will fail",
        ["valkey8.2"],
    ),
    Fault(
        "broker",
        "prod",
        {"elasticache__DescribeReservedCacheNodesOfferings": {}},
        "will fail",
        ["cache.m7g.large", "airflow:broker.nodeType"],
    ),
    Fault(
        "quotas: database",
        "prod",
        {"rds__DescribeDBInstances": {"DBInstances": [{"DBInstanceIdentifier": "x", "AllocatedStorage": 950}]}},
        "will fail",
        ["950 used by others, 100 planned, 1,000 allowed"],
    ),
    Fault(
        "quotas: broker",
        "prod",
        {"elasticache__DescribeCacheClusters": {"CacheClusters": [{"NumCacheNodes": 999}]}},
        "will fail",
        ["999 used by others, 2 planned, 1,000 allowed"],
    ),
]
