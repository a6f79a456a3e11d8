"""Whether the names that the plan gives are free, or already belong to this very cluster.

The state of Pulumi is not read. What exists counts as the cluster's own if it has the tags that the plan gives it, and
the cluster has a group of nodes: a stack that was destroyed may have left something behind that its successor does not
own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from engine.recording import Resource
from preflight import quotas
from preflight.account import Account, CannotTellError
from preflight.checks import Finding, cannot_tell, passed, will_fail
from preflight.needs import CLUSTER_TAG, GROUP, Needs, listed, tags_of
from preflight.quotas import fits

ALIAS = "aws:kms/alias:Alias"
BUCKET = "aws:s3/bucket:Bucket"
SECRET = "aws:secretsmanager/secret:Secret"  # noqa: S105 a type token

_NO_TAGS = "(no tags planned)"  # no resource has it: without tags, nothing tells whose something is


@dataclass(frozen=True)
class Existing:
    """Something with a planned name; `problem` is a sentence if the name cannot be had, whoever owns it."""

    tags: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


Finder = Callable[[str, Account], Existing | None]


def deployed(needs: Needs, account: Account) -> bool:
    """Whether the cluster has a group of nodes in the account."""
    return any(tags_of(group).get(CLUSTER_TAG) == needs.cluster for group in _groups(account))


def free_names(needs: Needs, account: Account) -> Iterator[Finding]:
    """Each name that the plan gives, where AWS refuses a second resource of the same name."""
    for type_, (what, key, find) in FINDERS.items():
        planned = {str(each.inputs[key]): each for each in needs.of_type(type_) if each.inputs.get(key)}
        if not planned:
            continue
        try:
            existing = {name: found for name in planned if (found := find(name, account))}
        except CannotTellError as error:
            yield cannot_tell(f"names of {what}: {error}")
            continue
        ours = [name for name, found in existing.items() if _planned_tags(planned[name], needs) <= found.tags.items()]
        if free := [name for name in planned if name not in existing]:
            yield passed(f"{len(free)} of {len(planned)} {what}: names are free")
        for name, found in existing.items():
            if found.problem:
                yield will_fail(found.problem)
            elif name not in ours or not deployed(needs, account):
                yield _unclear(what, name, needs, is_ours=name in ours, is_deployed=deployed(needs, account))
        if deployed(needs, account) and (kept := [name for name in ours if not existing[name].problem]):
            yield passed(f"{listed(kept)} ({what}): exists and belongs to this cluster")


def _planned_tags(planned: Resource, needs: Needs) -> Set[tuple[str, str]]:
    """The tags by which something of the cluster is known; of an alias, which has none, those of its key."""
    if planned.type == GROUP:
        return {(tag["key"], tag["value"]) for tag in planned.inputs["tags"]}
    owners = {urn for urns in planned.property_dependencies.values() for urn in urns} if planned.type == ALIAS else ()
    tagged = [each for each in needs.recording.resources if each.urn in owners] or [planned]
    return (tagged[0].outputs.get("tagsAll") or {_NO_TAGS: ""}).items()


def _unclear(what: str, name: str, needs: Needs, *, is_ours: bool, is_deployed: bool) -> Finding:
    """A name that is taken without clear signs of the owner."""
    if is_ours:
        return cannot_tell(
            f"{name} ({what}) exists with this stack's tags, but the cluster has no nodes: unless `pulumi stack "
            "--show-urns` lists it, an earlier stack has left it behind. Then delete it, or `pulumi import` it."
        )
    if is_deployed:
        return cannot_tell(
            f"{name} ({what}) exists without this stack's tags, and so does the cluster: unless `pulumi stack "
            "--show-urns` lists it, it is somebody else's, and `pulumi up` fails."
        )
    return will_fail(
        f"{name} ({what}) exists and does not have the tags of this stack: give the cluster another "
        f"airflow:cluster.name than {needs.cluster}, or delete what has the name."
    )


def bucket_and_secret_quotas(needs: Needs, account: Account) -> Iterator[Finding]:
    """Buckets of the account, and secrets in the region."""
    if planned := {str(each.inputs["bucket"]) for each in needs.of_type(BUCKET)}:
        others = {each["Name"] for each in account.call("s3", "list_buckets").get("Buckets", [])} - planned
        yield from fits(quotas.BUCKETS, account, used=len(others), needed=len(planned))
    if planned := {str(each.inputs["name"]) for each in needs.of_type(SECRET)}:
        others = {each["Name"] for each in _secrets(account)} - planned
        yield from fits(quotas.SECRETS, account, used=len(others), needed=len(planned))


def _bucket(name: str, account: Account) -> Existing | None:
    if name in {each["Name"] for each in account.call("s3", "list_buckets").get("Buckets", [])}:
        return Existing(
            tags_of(account.call("s3", "get_bucket_tagging", absent=("NoSuchTagSet",), Bucket=name), "TagSet")
        )
    try:
        account.call("s3", "head_bucket", absent=("404", "NoSuchBucket"), Bucket=name)
    except CannotTellError as error:
        # HeadBucket has no body, so that its error codes are HTTP statuses; S3 answers so for buckets of others.
        if error.code not in ("301", "403"):
            raise
        return Existing(
            problem=f"the bucket {name} belongs to another account (or the credentials may not s3:ListBucket); names "
            "are unique worldwide. Choose another airflow:cluster.name."
        )
    return None


def _secret(name: str, account: Account) -> Existing | None:
    found = next((each for each in _secrets(account) if each["Name"] == name), None)
    if found is None:
        return None
    if deleted := found.get("DeletedDate"):
        return Existing(
            problem=f"the secret {name} is scheduled for deletion since {deleted:%Y-%m-%d}, and keeps its name until "
            "then. If nobody needs its value: aws secretsmanager delete-secret --force-delete-without-recovery "
            f"--region {account.region} --secret-id {name}"
        )
    return Existing(tags_of(found))


def _secrets(account: Account) -> Sequence[Mapping[str, Any]]:
    return account.call("secretsmanager", "list_secrets", IncludePlannedDeletion=True).get("SecretList", [])


def _role(name: str, account: Account) -> Existing | None:
    found = account.call("iam", "get_role", absent=("NoSuchEntity",), RoleName=name)
    return Existing(tags_of(found["Role"])) if found else None


def _instance_profile(name: str, account: Account) -> Existing | None:
    found = account.call("iam", "get_instance_profile", absent=("NoSuchEntity",), InstanceProfileName=name)
    return Existing(tags_of(found["InstanceProfile"])) if found else None


def _load_balancer(name: str, account: Account) -> Existing | None:
    for each in account.call("elbv2", "describe_load_balancers").get("LoadBalancers", []):
        if each["LoadBalancerName"] == name:
            tags = account.call("elbv2", "describe_tags", ResourceArns=[each["LoadBalancerArn"]])
            return Existing(tags_of(tags["TagDescriptions"][0]))
    return None


def _database(name: str, account: Account) -> Existing | None:
    for each in account.call("rds", "describe_db_instances").get("DBInstances", []):
        if each["DBInstanceIdentifier"] == name:
            return Existing(tags_of(each, "TagList"))
    return None


def _broker(name: str, account: Account) -> Existing | None:
    for each in account.call("elasticache", "describe_replication_groups").get("ReplicationGroups", []):
        if each["ReplicationGroupId"] == name:
            tags = account.call("elasticache", "list_tags_for_resource", ResourceName=each["ARN"])
            return Existing(tags_of(tags, "TagList"))
    return None


def _log_group(name: str, account: Account) -> Existing | None:
    for each in account.call("logs", "describe_log_groups", logGroupNamePrefix=name).get("logGroups", []):
        if each["logGroupName"] == name:
            arn = each["arn"].removesuffix(":*")
            return Existing(account.call("logs", "list_tags_for_resource", resourceArn=arn).get("tags", {}))
    return None


def _alias(name: str, account: Account) -> Existing | None:
    found = account.call("kms", "describe_key", absent=("NotFoundException",), KeyId=name)
    if not found:
        return None
    tags = account.call("kms", "list_resource_tags", KeyId=found["KeyMetadata"]["KeyId"]).get("Tags", [])
    return Existing({tag["TagKey"]: tag["TagValue"] for tag in tags})


def _topic(name: str, account: Account) -> Existing | None:
    for each in account.call("sns", "list_topics").get("Topics", []):
        if each["TopicArn"].endswith(f":{name}"):
            return Existing(tags_of(account.call("sns", "list_tags_for_resource", ResourceArn=each["TopicArn"])))
    return None


def _group(name: str, account: Account) -> Existing | None:
    found = (each for each in _groups(account) if each["AutoScalingGroupName"] == name)
    return next((Existing(tags_of(each)) for each in found), None)


def _groups(account: Account) -> Sequence[Mapping[str, Any]]:
    return account.call("autoscaling", "describe_auto_scaling_groups").get("AutoScalingGroups", [])


FINDERS: Mapping[str, tuple[str, str, Finder]] = {
    BUCKET: ("buckets", "bucket", _bucket),
    SECRET: ("secrets", "name", _secret),
    "aws:rds/instance:Instance": ("DB instances", "identifier", _database),
    "aws:elasticache/replicationGroup:ReplicationGroup": ("replication groups", "replicationGroupId", _broker),
    "aws:lb/loadBalancer:LoadBalancer": ("load balancers", "name", _load_balancer),
    GROUP: ("Auto Scaling groups", "name", _group),
    "aws:iam/role:Role": ("roles", "name", _role),
    "aws:iam/instanceProfile:InstanceProfile": ("instance profiles", "name", _instance_profile),
    ALIAS: ("aliases of keys", "name", _alias),
    "aws:sns/topic:Topic": ("topics", "name", _topic),
    "aws:cloudwatch/logGroup:LogGroup": ("log groups", "name", _log_group),
}
"""By type: what it is called, the input with the name, and how to find it."""
