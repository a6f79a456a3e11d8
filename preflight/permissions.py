"""Whether the caller may do what the plan's resources need, by IAM's own simulation of the caller's policies."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from preflight import actions
from preflight.account import Account
from preflight.checks import Finding, cannot_tell, passed, will_fail
from preflight.names import deployed
from preflight.needs import Needs, listed

# A request contains the actions in its query; 100 of the longest stay far below what IAM accepts.
_BATCH = 100
# These actions can only be allowed on every resource.
_UNSCOPED = re.compile(
    r"(ec2|autoscaling|elasticloadbalancing|cloudwatch|acm|logs):(Describe|List)|route53:GetChange|kms:(CreateKey|ListAliases)"
)

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html, not counting white space
INLINE_POLICIES_LENGTH = 10_240
TRUST_POLICY_LENGTH = 2_048

ROLE = "aws:iam/role:Role"
PROFILE = "aws:iam/instanceProfile:InstanceProfile"
_SERVICE_ROLES = {
    "aws:autoscaling/group:Group": ("autoscaling.amazonaws.com", "AWSServiceRoleForAutoScaling"),
    "aws:rds/instance:Instance": ("rds.amazonaws.com", "AWSServiceRoleForRDS"),
    "aws:elasticache/replicationGroup:ReplicationGroup": (
        "elasticache.amazonaws.com",
        "AWSServiceRoleForElastiCache",
    ),
    "aws:lb/loadBalancer:LoadBalancer": (
        "elasticloadbalancing.amazonaws.com",
        "AWSServiceRoleForElasticLoadBalancing",
    ),
}
_SPOT_ROLE = ("spot.amazonaws.com", "AWSServiceRoleForEC2Spot")


def caller_permissions(needs: Needs, account: Account) -> Iterator[Finding]:
    """Simulate every action that the plan's resources need, each on the first planned resource of its type."""
    if (root := _root(account)) is not None:
        yield root
        return
    denied: list[str] = []
    undecided: dict[str, set[str]] = {}
    wanted = _actions_by_resource(needs)
    for resource, names in wanted.items():
        for result in _simulated(needs, account, names, resource):
            if result["EvalDecision"] == "allowed":
                continue
            if result["EvalDecision"] != "explicitDeny" and result.get("MissingContextValues"):
                undecided.setdefault(listed(sorted(result["MissingContextValues"])), set()).add(
                    result["EvalActionName"]
                )
            else:
                denied.append(result["EvalActionName"])
    if denied:
        yield will_fail(
            f"the caller may not {listed(sorted(denied))}: use credentials that may, or allow it in the caller's "
            "policies, its permissions boundary, and the organization's policies."
        )
    for keys, names in undecided.items():
        yield cannot_tell(
            f"a policy allows or denies {listed(sorted(names))} depending on {keys}, which a simulation cannot know: "
            "compare the policy's conditions with the plan."
        )
    if not denied and not undecided:
        count = len({name for names in wanted.values() for name in names})
        yield passed(f"the caller may do all {count} actions that creating these resources needs")


def service_linked_roles(needs: Needs, account: Account) -> Iterator[Finding]:
    """The roles that AWS's services create for themselves on first use, if the caller may let them."""
    roles = [role for type_, role in _SERVICE_ROLES.items() if needs.of_type(type_)]
    if any(group.spot for group in needs.groups):
        roles.append(_SPOT_ROLE)
    missing = [
        (service, name)
        for service, name in roles
        if not account.call("iam", "get_role", absent=("NoSuchEntity",), RoleName=name)
    ]
    there = [name for _, name in roles if name not in dict(map(reversed, missing))]
    if there:
        yield passed(f"{listed(there)} {'exists' if len(there) == 1 else 'exist'}")
    if missing and _root(account) is not None:
        yield passed(f"{listed(name for _, name in missing)}: created by the first use")
        return
    for service, name in missing:
        arn = f"arn:aws:iam::{needs.account_id}:role/aws-service-role/{service}/{name}"
        results = _simulated(needs, account, ["iam:CreateServiceLinkedRole"], arn, {"iam:AWSServiceName": service})
        if all(result["EvalDecision"] == "allowed" for result in results):
            yield passed(f"{name} is created by the first use")
        else:
            yield will_fail(
                f"{name} does not exist, and the caller may not iam:CreateServiceLinkedRole: have somebody run "
                f"`aws iam create-service-linked-role --aws-service-name {service}` once."
            )


def role_quotas(needs: Needs, account: Account) -> Iterator[Finding]:
    """Roles and instance profiles of the account; the sizes of the planned policies."""
    summary = account.call("iam", "get_account_summary")["SummaryMap"]
    exists = deployed(needs, account)
    for what, type_, key in (("roles", ROLE, "Roles"), ("instance profiles", PROFILE, "InstanceProfiles")):
        planned, limit = len(needs.of_type(type_)), summary[f"{key}Quota"]
        others = max(0, summary[key] - (planned if exists else 0))
        counted = f"{what}: {others:,} used by others, {planned:,} planned, {limit:,} allowed"
        if others + planned <= limit:
            yield passed(counted)
        else:
            yield will_fail(f"{counted}. Request more in Service Quotas (in us-east-1), or delete unused ones.")
    yield from _policy_sizes(needs)


def _policy_sizes(needs: Needs) -> Iterator[Finding]:
    sizes: Counter[str] = Counter()
    for policy in needs.of_type("aws:iam/rolePolicy:RolePolicy"):
        sizes[str(policy.inputs["role"])] += _size(policy.inputs["policy"])
    trust = {str(role.id): _size(role.inputs["assumeRolePolicy"]) for role in needs.of_type(ROLE)}
    for what, found, limit in (
        ("inline policies", sizes, INLINE_POLICIES_LENGTH),
        ("trust policy", trust, TRUST_POLICY_LENGTH),
    ):
        large = {name: size for name, size in found.items() if size > limit}
        for name, size in large.items():
            yield will_fail(f"the {what} of {name}: {size:,} characters, but IAM accepts {limit:,}: shorten them.")
        if found and not large:
            yield passed(f"{what}: at most {max(found.values()):,} of {limit:,} characters")


def _size(document: str) -> int:
    """The size as IAM counts it: without white space."""
    return len("".join(str(document).split()))


def _actions_by_resource(needs: Needs) -> dict[str, list[str]]:
    """The actions to simulate by the ARN to simulate them on, each action once for each type that needs it."""
    wanted: dict[str, dict[str, None]] = {}
    for type_ in sorted(actions.types()):
        planned = needs.of_type(type_)
        arn = str(planned[0].outputs.get("arn") or "*") if planned else "*"
        for action in actions.needed(type_) if planned else ():
            same_service = arn.split(":")[2:3] == [action.partition(":")[0]]
            resource = arn if same_service and not _UNSCOPED.match(action) else "*"
            wanted.setdefault(resource, {})[action] = None
    return {resource: list(names) for resource, names in wanted.items()}


def _simulated(
    needs: Needs,
    account: Account,
    names: Sequence[str],
    resource: str,
    context: Mapping[str, str] | None = None,
) -> Sequence[Mapping[str, Any]]:
    """IAM's results; raises CannotTellError, also where the caller may not simulate."""
    entries = {"aws:RequestedRegion": needs.region, **(context or {})}
    results: list[Mapping[str, Any]] = []
    for start in range(0, len(names), _BATCH):
        answer = account.call(
            "iam",
            "simulate_principal_policy",
            PolicySourceArn=_principal(account),
            ActionNames=names[start : start + _BATCH],
            ResourceArns=[resource],
            ContextEntries=[
                {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
                for key, value in entries.items()
            ],
        )
        results += answer["EvaluationResults"]
    return results


def _root(account: Account) -> Finding | None:
    if account.identity()["Arn"].endswith(":root"):
        return passed("the caller is the account's root user, which may do everything; use a role instead")
    return None


def _principal(account: Account) -> str:
    """The ARN of the caller's user or role; that of an assumed role's session lacks the role's path."""
    arn = account.identity()["Arn"]
    if ":assumed-role/" not in arn:
        return arn
    name = arn.split("/")[1]
    return str(account.call("iam", "get_role", RoleName=name)["Role"]["Arn"])
