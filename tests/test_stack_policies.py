"""Rules for every policy of every stack, whichever component creates it."""

from __future__ import annotations

import json
import re
import runpy

import pytest

from engine.program import deploy
from lab.aws.policy import Request, is_allowed
from tests.aws_catalog import iam_actions
from tests.stack_file import ROOT, changed
from tests.stack_queries import (
    BUCKET,
    BUCKET_POLICY,
    GROUP,
    LOAD_BALANCER,
    TEMPLATE,
    all_statements,
    as_list,
    each,
    everything_before,
    of_bucket,
    statements,
)
from tests.stack_variants import VARIANTS, recorded, settings_of

every_stack = pytest.mark.parametrize("variant", VARIANTS)

# AWS's own policies, which the program cannot narrow.
MANAGED_POLICIES = {"arn:aws:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"}

# A fully named resource. A `*` may only stand for the objects of a bucket, for the streams of a log group, for the
# connections or the variables of a cluster, or, for load balancers' logs, for the load balancer's prefix and for dates.
NAMED = re.compile(
    r"arn:aws:s3:::[^*]+(/\*)?|arn:aws:s3:::[^*]+/\*/AWSLogs/\d+/\*|arn:aws:logs:[^*]+:log-group:[^*]+:\*"
    r"|arn:aws:secretsmanager:[^*]+:secret:[^*/]+/(connections|variables)/\*|arn:[^*]+"
)

# Actions whose resource has a `*` in its name, and why AWS allows nothing narrower.
_OWN_ID = "AWS puts an id before the group's name, which is complete except for the pool's"
WIDE_RESOURCES = {
    "autoscaling:CompleteLifecycleAction": _OWN_ID,
    "autoscaling:RecordLifecycleActionHeartbeat": _OWN_ID,
    "autoscaling:SetDesiredCapacity": _OWN_ID,
    "autoscaling:SetInstanceHealth": _OWN_ID,
    "autoscaling:TerminateInstanceInAutoScalingGroup": _OWN_ID,
    "autoscaling:DescribeAutoScalingGroups": "lists; IAM grants it for all groups of an account or for none",
    "autoscaling:DescribeScalingActivities": "lists; IAM grants it for all groups of an account or for none",
    "ec2:AttachVolume": "a condition on its tags stands for the instance, whose id AWS chooses",
    "ec2:DescribeVolumes": "lists; IAM grants it for all volumes of an account or for none",
    "logs:DescribeLogGroups": "lists; IAM grants it for all log groups of an account or for none",
}


@every_stack
def test_no_policy_allows_any_action_or_any_resource(variant: str):
    for policy, statement in all_statements(recorded(variant)):
        if statement["Effect"] == "Deny":
            continue
        assert statement.get("Principal", "somebody") != "*", policy.name
        for action in as_list(statement["Action"]):
            assert "*" not in action, f"{policy.name} allows {action}"
            for resource in as_list(statement.get("Resource", [])):
                assert NAMED.fullmatch(resource) or action in WIDE_RESOURCES, (
                    f"{policy.name} allows {action} on {resource}"
                )


@every_stack
def test_every_action_is_allowed_on_a_resource_type_that_it_supports(variant: str):
    """IAM accepts any other pair, but such a pair allows nothing."""
    for policy, statement in all_statements(recorded(variant)):
        if statement["Effect"] == "Deny":  # s3:* on a bucket and its objects: each action applies to one of the two
            continue
        for action in as_list(statement["Action"]):
            for resource in as_list(statement["Resource"]):
                assert iam_actions.supports(action, resource), f"{policy.name} allows {action} on {resource}"


TRUSTED_WITHOUT_CONDITION = {
    "ec2.amazonaws.com": "EC2 gives a role only to instances of the role's own account, and sends no source",
}


@every_stack
def test_a_service_can_assume_a_role_for_our_account_only(variant: str):
    """Any customer could make the service use our role:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html"""
    guarded = set()
    for role in each(recorded(variant), "aws:iam/role:Role"):
        trust = json.loads(role.inputs["assumeRolePolicy"])
        [service] = [statement["Principal"]["Service"] for statement in trust["Statement"]]
        if service in TRUSTED_WITHOUT_CONDITION:
            continue
        guarded.add(service)
        condition = trust["Statement"][0]["Condition"]
        [source] = as_list(condition["ArnLike"]["aws:SourceArn"])
        for account, taken_on in (("111122223333", True), ("444455556666", False)):
            arn = source.replace("111122223333", account).replace("*", "any")
            request = Request(
                action="sts:AssumeRole",
                resource=role.outputs["arn"],
                principal=service,
                context={"aws:SourceAccount": account, "aws:SourceArn": arn},
            )
            assert is_allowed(request, [], [trust]) is taken_on, role.name
        unnamed = Request(action="sts:AssumeRole", resource=role.outputs["arn"], principal=service)
        assert not is_allowed(unnamed, [], [trust]), f"{role.name}: a request without a source is allowed"
    assert "monitoring.rds.amazonaws.com" in guarded


@every_stack
def test_load_balancers_of_other_accounts_cannot_write_to_our_bucket(variant: str):
    """The service sends no source for a condition; the path contains the load balancer's account."""
    by_service = [
        (policy, statement)
        for policy, statement in all_statements(recorded(variant))
        if policy.type == BUCKET_POLICY and "Service" in statement.get("Principal", {})
    ]
    assert {policy.name for policy, _ in by_service} == {"buckets-access-logs-policy"}
    for policy, statement in by_service:
        for account, allowed in (("111122223333", True), ("444455556666", False)):
            request = Request(
                action="s3:PutObject",
                resource=f"arn:aws:s3:::{policy.inputs['bucket']}/web/AWSLogs/{account}/elasticloadbalancing/x.log.gz",
                principal="logdelivery.elasticloadbalancing.amazonaws.com",
            )
            assert is_allowed(request, [], [{"Statement": [statement]}]) is allowed


@every_stack
def test_a_service_can_use_a_key_for_our_account_only(variant: str):
    """A key's policy may allow `*`, which is the key itself."""
    for key in recorded(variant).of_type("aws:kms/key:Key"):
        for statement in statements(key):
            if "Service" in statement["Principal"]:
                assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "111122223333"}}, key.name
            else:
                assert statement["Principal"] == {"AWS": "arn:aws:iam::111122223333:root"}, key.name


@every_stack
def test_only_policies_of_aws_that_cannot_be_narrowed_are_attached(variant: str):
    attached = recorded(variant).of_type("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
    assert {attachment.inputs["policyArn"] for attachment in attached} <= MANAGED_POLICIES
    assert not [r.name for r in recorded(variant).of_type("aws:iam/role:Role") if "managedPolicyArns" in r.inputs]


def test_workers_of_a_removed_pool_keep_the_permissions_they_need_to_drain():
    """Pulumi deletes a group, which waits for its last worker, before the resources on which the group depends."""
    recording = recorded("prod")
    for pool in ("default", "heavy"):
        rights = recording.named("aws:iam/rolePolicy:RolePolicy", f"pool-{pool}-policy")
        own = {arn.rpartition("/")[2] for s in statements(rights) for arn in as_list(s["Resource"]) if "Group" in arn}
        assert own == {f"airflow-prod-pool-{pool}"}
        assert rights in everything_before(recording, recording.named(GROUP, f"pool-{pool}-group"))


@every_stack
def test_each_group_of_nodes_has_its_own_role(variant: str):
    templates = recorded(variant).of_type(TEMPLATE)
    assert len({template.inputs["iamInstanceProfile"]["arn"] for template in templates}) == len(templates) >= 2


MANY_POOLS = {
    f"airflow:workerPools.{'pool-with-a-rather-long-name-' * 3}{number:02}": {
        "queues": [f"queue-{number}"] if number else ["default"],
        "instanceTypes": ["m7i.large"],
        "concurrency": 1,
        "minSize": 0,
        "maxSize": 1,
    }
    for number in range(60)
}


def test_sixty_pools_with_long_names_fit_iams_limits():
    config = changed({"airflow:workerPools": {}, **MANY_POOLS})
    _, recording = deploy(lambda: runpy.run_path(str(ROOT / "__main__.py")), config=config)
    roles = [role.outputs["name"] for role in recording.of_type("aws:iam/role:Role")]
    assert len(set(roles)) == len(roles) > 60
    assert max(map(len, roles)) <= 64
    policies = recording.of_type("aws:iam/rolePolicy:RolePolicy")
    assert len(policies) > 60
    # White space does not count: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    sizes = {policy.name: len("".join(policy.inputs["policy"].split())) for policy in policies}
    assert max(sizes.values()) <= 10_240, sizes


@every_stack
def test_load_balancers_may_write_to_the_access_logs_bucket(variant: str):
    recording, settings = recorded(variant), settings_of(variant)
    for balancer in each(recording, LOAD_BALANCER):
        logs = balancer.inputs["accessLogs"]
        [bucket] = [b for b in recording.of_type(BUCKET) if b.inputs["bucket"] == logs["bucket"]]
        written = f"arn:aws:s3:::{logs['bucket']}/{logs['prefix']}/AWSLogs/{settings.cluster.account_id}/test"
        allowed = [s for s in statements(of_bucket(recording, bucket, "Policy")) if s["Effect"] == "Allow"]
        patterns = [resource for s in allowed for resource in as_list(s["Resource"])]
        matches = [p for p in patterns if re.fullmatch(re.escape(p).replace(r"\*", ".*"), written)]
        assert matches, f"{balancer.name}: AWS tests this at creation, which would fail"
