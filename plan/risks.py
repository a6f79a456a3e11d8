"""What a reviewer must not overlook in a change. One function per kind of risk, which yields a sentence per finding."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from engine.recording import Resource
from plan.changes import Change, Changes
from plan.permissions import admitted, widened
from plan.physical_names import physical_name

INSTANCE = "aws:rds/instance:Instance"
BROKER = "aws:elasticache/replicationGroup:ReplicationGroup"
BALANCER = "aws:lb/loadBalancer:LoadBalancer"
LISTENER = "aws:lb/listener:Listener"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
SUBNET = "aws:ec2/subnet:Subnet"
ACCESS_BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"

_SECOND_STACK = "Build a second stack beside this one and move the data: docs/moving-a-cluster.md."

# (type, input in days, what a smaller number means)
_KEPT_DAYS = (
    (INSTANCE, "backupRetentionPeriod", "keeps backups for {new} instead of {old} days; older ones are deleted"),
    (BROKER, "snapshotRetentionLimit", "keeps snapshots for {new} instead of {old} days; older ones are deleted"),
    ("aws:cloudwatch/logGroup:LogGroup", "retentionInDays", "keeps logs for {new} instead of {old} days"),
    (
        "aws:secretsmanager/secret:Secret",
        "recoveryWindowInDays",
        "can be restored for {new} instead of {old} days after a deletion",
    ),
)

# The inputs that name the resource to which a policy is attached.
_OWNERS = ("role", "bucket")

_SWITCHED_OFF = ((True,), (False, None))
_SWITCHED_ON = ((False, None), (True,))
# (type, input, values before and after, what that means)
_SAFEGUARDS = (
    (
        INSTANCE,
        "multiAz",
        _SWITCHED_OFF,
        "has no standby: after a failure of its zone or host you have to restore it from a backup",
    ),
    (
        BROKER,
        "automaticFailoverEnabled",
        _SWITCHED_OFF,
        "has no replica to fail over to: a failed node comes back empty",
    ),
    (BROKER, "transitEncryptionEnabled", _SWITCHED_OFF, "accepts connections without TLS"),
    (ACCESS_BLOCK, "blockPublicAcls", _SWITCHED_OFF, "lets objects be made public"),
    (ACCESS_BLOCK, "blockPublicPolicy", _SWITCHED_OFF, "lets the bucket be made public"),
    (ACCESS_BLOCK, "ignorePublicAcls", _SWITCHED_OFF, "lets objects be public"),
    (ACCESS_BLOCK, "restrictPublicBuckets", _SWITCHED_OFF, "lets the bucket be public"),
    ("aws:s3/bucket:Bucket", "forceDestroy", _SWITCHED_ON, "can be deleted with the objects in it"),
    (
        "aws:s3/bucketVersioning:BucketVersioning",
        "versioningConfiguration.status",
        (("Enabled",), ("Suspended",)),
        "keeps no old versions of objects that are overwritten or deleted",
    ),
    (
        "aws:ec2/launchTemplate:LaunchTemplate",
        "metadataOptions.httpTokens",
        (("required",), ("optional", None)),
        "exposes the role's credentials to anybody who can make a node fetch a URL (IMDSv1)",
    ),
)


def risks(changes: Changes) -> list[str]:
    """All risks as sentences, the most far-reaching first."""
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


def network_replaced(changes: Changes) -> Iterator[str]:
    for change in [] if changes.moved else changes.updates("aws:ec2/vpc:Vpc"):
        if change.kind == "replace":
            yield (
                f"{change.resource.name} is replaced, with every subnet and security group in it. RDS and ElastiCache "
                "do not move to another VPC: `pulumi up` fails half-way, with nodes that reach neither of them. "
                f"{_SECOND_STACK}"
            )


def zone_removed(changes: Changes) -> Iterator[str]:
    """A zone that had subnets and has none left, in a network that stays."""
    left = {subnet.inputs["availabilityZone"] for subnet in changes.head.of_type(SUBNET)}
    gone = {subnet.inputs["availabilityZone"] for subnet in changes.base.of_type(SUBNET)} - left
    for zone in [] if changes.moved or not left else sorted(gone):
        yield (
            f"Zone {zone} is removed. While a node of RDS or ElastiCache is in it, they refuse, and `pulumi up` fails "
            "half-way. Otherwise workers in it keep running, but lose their NAT gateway. "
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
    """Two resources of one name in AWS, of which one goes: most likely the same one under another name in Pulumi."""
    if changes.moved:
        return
    leaving = [change.old or change.resource for change in changes.items if change.kind == "remove" or change.renamed]
    made = [change.resource for change in changes.items if change.kind == "create" or change.renamed]
    gone = {name: old.name for old in leaving if (name := physical_name(old))}
    pairs = [(gone[name], new.name) for new in made if (name := physical_name(new)) and name in gone]
    if pairs:
        yield (
            f"Renamed or moved without an alias: {', '.join(' to '.join(dict.fromkeys(pair)) for pair in pairs)}. "
            "Pulumi creates before it deletes, and both have one name in AWS: the new one is refused (already "
            "exists), or deleted with the old one. Give it an alias to its old name."
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


def kept_for_less(changes: Changes) -> Iterator[str]:
    found = []
    for type_, key, meaning in _KEPT_DAYS:
        for change in changes.updates(type_):
            old, new = change.sides(key)
            if _fell(old, new):
                found.append((change, meaning.format(old=old, new=new)))
    for change in changes.updates("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"):
        for difference in change.differences:
            ends = difference.path.endswith(("expiration.days", "noncurrentDays"))
            if ends and _fell(difference.old, difference.new):
                meaning = (
                    f"deletes objects after {difference.new} instead of {difference.old} days, older ones within a day"
                )
                found.append((change, meaning))
    yield from _together(found)


def safeguard_lost(changes: Changes) -> Iterator[str]:
    yield from _together(
        [
            (change, meaning)
            for type_, key, (safe, unsafe), meaning in _SAFEGUARDS
            for change in changes.updates(type_)
            if change.sides(key)[0] in safe and change.sides(key)[1] in unsafe
        ]
    )


def opened_to_the_world(changes: Changes) -> Iterator[str]:
    for change in changes.items:
        if change.kind == "remove":
            continue
        resource = change.resource
        if resource.type == INGRESS:
            for key in ("cidrIpv4", "cidrIpv6"):
                old, new = change.sides(key)
                if new != old and _public(new):
                    yield f"{resource.name}: {_people(new)} may connect to {_ports(resource)}."
        elif resource.type == BALANCER:
            old, new = change.sides("internal")
            if new is not True and (change.kind == "create" or old is True):
                yield f"{resource.name}: a load balancer that faces the internet."
        elif resource.type == INSTANCE and change.sides("publiclyAccessible") in ((False, True), (None, True)):
            yield f"{resource.name}: the database gets a public address."


def without_tls(changes: Changes) -> Iterator[str]:
    for change in changes.items:
        if change.resource.type == LISTENER and change.kind != "create":
            before = (change.old or change.resource).inputs
            after = {} if change.kind == "remove" else change.resource.inputs
            if before.get("protocol") == "HTTPS" != after.get("protocol"):
                yield f"{change.resource.name}: no more HTTPS on port {before.get('port')}."
    for change in changes.updates("aws:rds/parameterGroup:ParameterGroup"):
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
        if change.kind == "remove" or (change.kind == "create" and new_owner):
            continue  # a new role or bucket needs its permissions, so they are no finding
        for key in ("policy", "assumeRolePolicy"):
            old, new = change.sides(key)
            created_role = change.kind == "create" and key == "assumeRolePolicy"
            before = _as_called_now(str(old), renamed)
            found = [] if new is None else admitted(str(new)) if created_role else widened(before, str(new))
            if found and resource.type.startswith(("aws:iam/", "aws:s3/")):
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
    network_replaced,
    zone_removed,
    cluster_renamed,
    alias_missing,
    data_lost,
    protection_lost,
    snapshot_skipped,
    kept_for_less,
    safeguard_lost,
    opened_to_the_world,
    without_tls,
    permissions_widened,
    engine_upgraded,
)
"""In the order of the plan."""


def _together(findings: Sequence[tuple[Change, str]]) -> Iterator[str]:
    """One sentence for all resources with the same finding."""
    names: dict[str, list[str]] = {}
    for change, meaning in findings:
        names.setdefault(meaning, []).append(change.resource.name)
    for meaning, found in names.items():
        yield f"{', '.join(found)}: {meaning}."


def _renamed(changes: Changes) -> dict[str, str]:
    """The names in AWS that change, old to new: what a policy allows under the new name is nothing new."""
    pairs = (
        pair
        for change in changes.updates()
        if change.old is not None
        for pair in zip(physical_name(change.old) or (), physical_name(change.resource) or (), strict=False)
    )
    return {old: new for old, new in pairs if isinstance(old, str) and isinstance(new, str) and old != new}


def _as_called_now(document: str, renamed: Mapping[str, str]) -> str:
    longest_first = sorted(renamed, key=len, reverse=True)
    pattern = "|".join(map(re.escape, longest_first))
    return re.sub(pattern, lambda found: renamed[found.group()], document) if pattern else document


def _fell(old: object, new: object) -> bool:
    return isinstance(old, (int, float)) and isinstance(new, (int, float)) and new < old


def _public(cidr: object) -> bool:
    if not isinstance(cidr, str):
        return False
    try:
        return ipaddress.ip_network(cidr, strict=False).is_global
    except ValueError:
        return False


def _people(cidr: str) -> str:
    return f"the whole internet ({cidr})" if cidr in ("0.0.0.0/0", "::/0") else f"the public network {cidr}"


def _ports(rule: Resource) -> str:
    first, last = rule.inputs.get("fromPort"), rule.inputs.get("toPort")
    return "all ports" if first is None else f"port {first}" if first == last else f"ports {first} to {last}"


def _major(version: object) -> int | None:
    found = re.match(r"\d+", str(version or ""))
    return int(found.group()) if found else None
