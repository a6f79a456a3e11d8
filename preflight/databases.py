"""RDS and ElastiCache: engine versions, parameter families, classes in each zone, and quotas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engine.recording import Resource
from preflight import quotas
from preflight.account import Account
from preflight.checks import Finding, passed, will_fail
from preflight.needs import Needs, listed
from preflight.network import zones_of
from preflight.quotas import fits

DATABASE = "aws:rds/instance:Instance"
DATABASE_PARAMETERS = "aws:rds/parameterGroup:ParameterGroup"
DATABASE_SUBNETS = "aws:rds/subnetGroup:SubnetGroup"
BROKER = "aws:elasticache/replicationGroup:ReplicationGroup"
BROKER_PARAMETERS = "aws:elasticache/parameterGroup:ParameterGroup"


def database_offers(needs: Needs, account: Account) -> Iterator[Finding]:
    """The engine's version, its parameter family, and the class with the planned storage in the planned zones."""
    for database in needs.of_type(DATABASE):
        engine, wanted = database.inputs["engine"], database.inputs["engineVersion"]
        found = account.call("rds", "describe_db_engine_versions", Engine=engine, EngineVersion=wanted)
        versions = found.get("DBEngineVersions", [])
        if not versions:
            yield will_fail(
                f"RDS does not offer {engine} {wanted} in {needs.region}: set airflow:database.engineVersion to one of "
                f"`aws rds describe-db-engine-versions --engine {engine} --query 'DBEngineVersions[].EngineVersion'`."
            )
            continue
        families = {each["DBParameterGroupFamily"] for each in versions}
        planned = {str(each.inputs["family"]) for each in needs.of_type(DATABASE_PARAMETERS)}
        if planned - families:
            yield will_fail(
                f"the parameter group is for {listed(planned)}, but {engine} {wanted} needs {listed(families)}."
            )
        # RDS takes the newest minor version that it offers unless the stack file names one.
        newest = max((each["EngineVersion"] for each in versions), key=_version)
        yield _class_offer(database, newest, needs, account)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def _class_offer(database: Resource, version: str, needs: Needs, account: Account) -> Finding:
    inputs = database.inputs
    what = f"{inputs['instanceClass']} with {inputs['engine']} {version}"
    offers = account.call(
        "rds",
        "describe_orderable_db_instance_options",
        Engine=inputs["engine"],
        EngineVersion=version,
        DBInstanceClass=inputs["instanceClass"],
        Vpc=True,
    ).get("OrderableDBInstanceOptions", [])
    of_storage = [each for each in offers if each.get("StorageType") == inputs["storageType"]]
    if not of_storage:
        return will_fail(
            f"RDS does not offer {what} and {inputs['storageType']} storage in {needs.region}: choose another "
            "airflow:database.instanceClass."
        )
    offer = of_storage[0]
    subnets = [id_ for group in needs.of_type(DATABASE_SUBNETS) for id_ in group.inputs["subnetIds"]]
    zones = zones_of(subnets, needs, account)
    offered = [each["Name"] for each in offer["AvailabilityZones"] if each["Name"] in zones]
    if problem := _lacking(inputs, offer, offered):
        return will_fail(f"{what}: {problem}")
    return passed(f"{what} is offered in {listed(offered)}")


def _lacking(inputs: Mapping[str, Any], offer: Mapping[str, Any], offered: list[str]) -> str | None:
    least, most = offer.get("MinStorageSize", 0), offer.get("MaxStorageSize", inputs["maxAllocatedStorage"])
    zones = 2 if inputs.get("multiAz") else 1
    if len(offered) < zones:
        where = f"only in {listed(offered)}" if offered else "in none"
        return (
            f"offered {where} of the data subnets' zones, but {zones} are needed: choose another "
            "airflow:database.instanceClass, or other zones."
        )
    if inputs.get("multiAz") and not offer["MultiAZCapable"]:
        return "not offered with a standby: choose another airflow:database.instanceClass, or set multiAz to false."
    if not least <= inputs["allocatedStorage"] <= inputs["maxAllocatedStorage"] <= most:
        return f"its storage can have {least} to {most:,} GiB: change airflow:database.allocatedStorageGib."
    return None


def database_quotas(needs: Needs, account: Account) -> Iterator[Finding]:
    """Instances, and the storage that they begin with."""
    planned = {str(each.inputs["identifier"]): each for each in needs.of_type(DATABASE)}
    if not planned:
        return
    found = account.call("rds", "describe_db_instances").get("DBInstances", [])
    others = [each for each in found if each["DBInstanceIdentifier"] not in planned]
    yield from fits(quotas.DATABASES, account, used=len(others), needed=len(planned))
    yield from fits(
        quotas.DATABASE_STORAGE,
        account,
        used=sum(each.get("AllocatedStorage", 0) for each in others),
        needed=sum(each.inputs["allocatedStorage"] for each in planned.values()),
    )


def broker_offers(needs: Needs, account: Account) -> Iterator[Finding]:
    """The engine's version, its parameter family, and the node type in this region."""
    for broker in needs.of_type(BROKER):
        engine, version, node = (broker.inputs[key] for key in ("engine", "engineVersion", "nodeType"))
        found = account.call("elasticache", "describe_cache_engine_versions", Engine=engine)
        versions = {each["EngineVersion"]: each["CacheParameterGroupFamily"] for each in found["CacheEngineVersions"]}
        matching = {family for each, family in versions.items() if f"{each}.".startswith(f"{version}.")}
        planned = {str(each.inputs["family"]) for each in needs.of_type(BROKER_PARAMETERS)}
        if not matching:
            yield will_fail(
                f"ElastiCache does not offer {engine} {version} in {needs.region}, only {listed(sorted(versions))}: "
                "another region, or a change of this program, is needed."
            )
        elif planned - matching:
            yield will_fail(
                f"the parameter group is for {listed(planned)}, but {engine} {version} needs {listed(matching)}."
            )
        else:
            yield passed(f"{engine} {version} is offered")
        # The only list of node types by region; ElastiCache publishes none by zone.
        offers = account.call("elasticache", "describe_reserved_cache_nodes_offerings", CacheNodeType=node)
        if offers.get("ReservedCacheNodesOfferings"):
            yield passed(f"{node} is offered in {needs.region} (ElastiCache does not say in which zones)")
        else:
            yield will_fail(
                f"ElastiCache does not offer {node} in {needs.region}: choose another airflow:broker.nodeType."
            )


def broker_quotas(needs: Needs, account: Account) -> Iterator[Finding]:
    """Cache nodes in the region."""
    planned = {str(each.inputs["replicationGroupId"]): each for each in needs.of_type(BROKER)}
    if not planned:
        return
    found = account.call("elasticache", "describe_cache_clusters").get("CacheClusters", [])
    others = [each for each in found if each.get("ReplicationGroupId") not in planned]
    yield from fits(
        quotas.CACHE_NODES,
        account,
        used=sum(each.get("NumCacheNodes", 1) for each in others),
        needed=sum(int(each.inputs["numCacheClusters"]) for each in planned.values()),
    )
