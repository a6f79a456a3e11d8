"""What a reviewer must not overlook in a change. One function per kind of risk, which yields a sentence per finding."""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from engine.recording import Resource
from engine.resource_types import RESOURCE_TYPES, physical_name, resource_type
from plan.changes import Change, Changes
from plan.permissions import admitted, widened
from plan.resources import INGRESS

INSTANCE = "aws:rds/instance:Instance"
PARAMETER_GROUP = "aws:rds/parameterGroup:ParameterGroup"
BROKER = "aws:elasticache/replicationGroup:ReplicationGroup"
BALANCER = "aws:lb/loadBalancer:LoadBalancer"
LISTENER = "aws:lb/listener:Listener"
SUBNET = "aws:ec2/subnet:Subnet"
KEY = "aws:kms/key:Key"

_SECOND_STACK = "Build a second stack beside this one and move the data: docs/moving-a-cluster.md."

# The inputs that name the resource to which a policy is attached.
_OWNERS = ("role", "bucket", "arn")


def risks(changes: Changes) -> list[str]:
    """All risks as sentences, the most serious first."""
    return [sentence for rule in RULES for sentence in rule(changes)]


def account_moved(changes: Changes) -> Iterator[str]:
    old, new = changes.base.account_id, changes.head.account_id
    if old != new:
        yield (
            f"The account changes from {old} to {new}. A stack cannot move: with the old account's credentials Pulumi "
            "fails, and in the new account nothing in its state exists. The old cluster keeps running, and AWS keeps "
            f"billing it. {_SECOND_STACK}"
        )


def region_moved(changes: Changes) -> Iterator[str]:
    old, new = changes.base.region, changes.head.region
    if old != new:
        yield (
            f"The region changes from {old} to {new}. Pulumi creates everything again there, empty, and deletes what "
            f"is in {old}; protected resources make it fail half-way. {_SECOND_STACK}"
        )


def risky_replacement(changes: Changes) -> Iterator[str]:
    for change in [] if changes.moved else changes.updates():
        risk = resource_type(change.resource.type).replacement_risk
        if risk and change.kind == "replace":
            yield f"{change.resource.name} {risk}. {_SECOND_STACK}"


def zone_removed(changes: Changes) -> Iterator[str]:
    """A zone that had subnets and has none left, in a network that stays."""
    left = {subnet.inputs["availabilityZone"] for subnet in changes.head.of_type(SUBNET)}
    gone = {subnet.inputs["availabilityZone"] for subnet in changes.base.of_type(SUBNET)} - left
    for zone in [] if changes.moved or not left else sorted(gone):
        yield (
            f"Zone {zone} is removed. While a node of RDS or ElastiCache is in it, AWS refuses the change, and "
            "`pulumi up` fails half-way. Otherwise workers in it keep running, but lose their NAT gateway. "
            "Drain it first: docs/removing-a-zone.md."
        )


def cluster_renamed(changes: Changes) -> Iterator[str]:
    for change in changes.updates(INSTANCE):
        old, new = change.sides("identifier")
        if old != new and change.kind == "change":
            yield (
                f"The database is renamed in place, from {old} to {new}. Everything else with the cluster's name "
                "(buckets, secrets, broker, groups, load balancers) is replaced by empty resources; protected ones "
                f"make `pulumi up` fail half-way. {_SECOND_STACK}"
            )


def alias_missing(changes: Changes) -> Iterator[str]:
    """A removed and a created resource with the same name in AWS: most likely one that was renamed in Pulumi."""
    if changes.moved:
        return
    leaving = [change.old or change.resource for change in changes.items if change.kind == "remove" or change.renamed]
    made = [change.resource for change in changes.items if change.kind == "create" or change.renamed]
    gone = {name: old.name for old in leaving if (name := physical_name(old))}
    pairs = [(gone[name], new.name) for new in made if (name := physical_name(new)) and name in gone]
    if pairs:
        yield (
            f"Renamed or moved without an alias: {', '.join(' to '.join(dict.fromkeys(pair)) for pair in pairs)}. "
            "Pulumi creates before it deletes, and both have the same name in AWS: AWS refuses the new one (already "
            "exists), or deletes it with the old one. Give it an alias for its old name."
        )


def data_lost(changes: Changes) -> Iterator[str]:
    names = [change.resource.name for change in changes.losing_data]
    if names and not changes.moved:
        yield f"Deleted with {'its' if len(names) == 1 else 'their'} data: {', '.join(names)}."


def protection_lost(changes: Changes) -> Iterator[str]:
    lost = [
        change.resource.name
        for change in changes.updates()
        if (change.old is not None and change.old.options.protect and not change.resource.options.protect)
        or any(change.sides(key) == (True, False) for key in ("deletionProtection", "enableDeletionProtection"))
    ]
    if lost:
        yield f"No longer protected against deletion and replacement: {', '.join(lost)}."


def snapshot_skipped(changes: Changes) -> Iterator[str]:
    for change in changes.updates(INSTANCE):
        if change.sides("skipFinalSnapshot") == (False, True):
            yield (
                f"{change.resource.name}: if it is ever deleted or replaced, there will be no final snapshot, and its "
                "backups are deleted with it. Nothing is lost now."
            )


def retention_shortened(changes: Changes) -> Iterator[str]:
    found = []
    for token, type_ in RESOURCE_TYPES.items():
        for retention, change in itertools.product(type_.retention, changes.updates(token)):
            old, new = change.sides(retention.input)
            if _decreased(old, new):
                found.append((change, retention.risk.format(old=old, new=new)))
    for change in changes.updates("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"):
        for difference in change.differences:
            ends = difference.path.endswith(("expiration.days", "noncurrentDays"))
            if ends and _decreased(difference.old, difference.new):
                meaning = (
                    f"deletes objects after {difference.new} instead of {difference.old} days, older ones within a day"
                )
                found.append((change, meaning))
    yield from _grouped(found)


def safeguard_lost(changes: Changes) -> Iterator[str]:
    yield from _grouped(
        [
            (change, safeguard.risk)
            for token, type_ in RESOURCE_TYPES.items()
            for safeguard in type_.safeguards
            for change in changes.updates(token)
            if change.sides(safeguard.input)[0] in safeguard.safe
            and change.sides(safeguard.input)[1] in safeguard.unsafe
        ]
    )


def opened_to_the_internet(changes: Changes) -> Iterator[str]:
    for change in changes.items:
        if change.kind == "remove":
            continue
        resource = change.resource
        if resource.type == INGRESS:
            for key in ("cidrIpv4", "cidrIpv6"):
                old, new = change.sides(key)
                if new != old and _public(new):
                    yield f"{resource.name}: {_source(new)} may connect to {_ports(resource)}."
        elif resource.type == BALANCER:
            old, new = change.sides("internal")
            if new is not True and (change.kind == "create" or old is True):
                yield f"{resource.name}: a load balancer that faces the internet."
        elif resource.type == INSTANCE and change.sides("publiclyAccessible") in ((False, True), (None, True)):
            yield f"{resource.name}: the database gets a public address."


def tls_removed(changes: Changes) -> Iterator[str]:
    for change in changes.items:
        if change.resource.type == LISTENER and change.kind != "create":
            before = (change.old or change.resource).inputs
            after = {} if change.kind == "remove" else change.resource.inputs
            if before.get("protocol") == "HTTPS" != after.get("protocol"):
                yield f"{change.resource.name}: no more HTTPS on port {before.get('port')}."
    for change in changes.updates(PARAMETER_GROUP):
        for difference in change.differences:
            if "[rds.force_ssl]" in difference.path and difference.new != "1":
                yield f"{change.resource.name}: the database accepts connections without TLS."


def permissions_widened(changes: Changes) -> Iterator[str]:
    if changes.moved:
        return
    existed = {resource.urn for resource in changes.base.resources}
    renamed = _renamed(changes)
    for change in changes.items:
        resource = change.resource
        new_owner = {urn for key in _OWNERS for urn in resource.property_dependencies.get(key, ())} - existed
        made = change.kind == "create" and (new_owner or resource.type == KEY)
        if change.kind == "remove" or made:
            continue  # a new role, bucket, topic or key needs permissions, so these are not reported
        for key in ("policy", "assumeRolePolicy"):
            old, new = change.sides(key)
            created_role = change.kind == "create" and key == "assumeRolePolicy"
            before = _with_new_names(str(old), renamed)
            found = [] if new is None else admitted(str(new)) if created_role else widened(before, str(new))
            if found and resource.type.startswith(("aws:iam/", "aws:s3/", "aws:sns/", "aws:kms/")):
                yield f"{resource.name}: {'; '.join(found)}."
        if resource.type == "aws:iam/rolePolicyAttachment:RolePolicyAttachment":
            old, new = change.sides("policyArn")
            if old != new:
                yield f"{resource.name}: attaches {new} to a role."


def engine_upgraded(changes: Changes) -> Iterator[str]:
    for change in changes.updates(INSTANCE):
        old, new = (_major(value) for value in change.sides("engineVersion"))
        if old is not None and new is not None and new > old:
            yield (
                f"{change.resource.name}: an upgrade from PostgreSQL {old} to {new}. The database is down meanwhile, "
                "and going back requires a restore from a backup."
            )
        elif old is not None and new is not None and new < old:
            yield f"{change.resource.name}: RDS refuses a downgrade from PostgreSQL {old} to {new}."


Rule = Callable[[Changes], Iterator[str]]
RULES: Sequence[Rule] = (
    account_moved,
    region_moved,
    risky_replacement,
    zone_removed,
    cluster_renamed,
    alias_missing,
    data_lost,
    protection_lost,
    snapshot_skipped,
    retention_shortened,
    safeguard_lost,
    opened_to_the_internet,
    tls_removed,
    permissions_widened,
    engine_upgraded,
)
"""In the order in which the plan lists the risks."""


def _grouped(findings: Sequence[tuple[Change, str]]) -> Iterator[str]:
    """One sentence for all resources with the same finding."""
    names: dict[str, list[str]] = {}
    for change, meaning in findings:
        names.setdefault(meaning, []).append(change.resource.name)
    for meaning, found in names.items():
        yield f"{', '.join(found)}: {meaning}."


def _renamed(changes: Changes) -> dict[str, str]:
    """The names in AWS that change, old to new: a permission on a renamed resource is not a new one."""
    pairs = (
        pair
        for change in changes.updates()
        if change.old is not None
        for pair in zip(physical_name(change.old) or (), physical_name(change.resource) or (), strict=False)
    )
    return {old: new for old, new in pairs if isinstance(old, str) and isinstance(new, str) and old != new}


def _with_new_names(document: str, renamed: Mapping[str, str]) -> str:
    longest_first = sorted(renamed, key=len, reverse=True)
    pattern = "|".join(map(re.escape, longest_first))
    return re.sub(pattern, lambda found: renamed[found.group()], document) if pattern else document


def _decreased(old: object, new: object) -> bool:
    return isinstance(old, (int, float)) and isinstance(new, (int, float)) and new < old


def _public(cidr: object) -> bool:
    if not isinstance(cidr, str):
        return False
    try:
        return ipaddress.ip_network(cidr, strict=False).is_global
    except ValueError:
        return False


def _source(cidr: str) -> str:
    return f"the whole internet ({cidr})" if cidr in ("0.0.0.0/0", "::/0") else f"the public network {cidr}"


def _ports(rule: Resource) -> str:
    first, last = rule.inputs.get("fromPort"), rule.inputs.get("toPort")
    return "all ports" if first is None else f"port {first}" if first == last else f"ports {first} to {last}"


def _major(version: object) -> int | None:
    found = re.match(r"\d+", str(version or ""))
    return int(found.group()) if found else None
