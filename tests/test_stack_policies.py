"""What every policy of every stack allows, whichever component writes it."""

from __future__ import annotations

import re

import pytest

from tests.stack_queries import all_statements, as_list, statements
from tests.stack_variants import VARIANTS, recorded

every_stack = pytest.mark.parametrize("variant", VARIANTS)

# AWS's own policies, which nobody here can narrow.
MANAGED_POLICIES = {"arn:aws:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"}

# A resource that is spelt out: a `*` stands for the objects of a bucket or the streams of a log group, or, for load
# balancers' logs, for the balancer's prefix and for dates; nowhere else.
NAMED = re.compile(
    r"arn:aws:s3:::[^*]+(/\*)?|arn:aws:s3:::[^*]+/\*/AWSLogs/\d+/\*|arn:aws:logs:[^*]+:log-group:[^*]+:\*|arn:[^*]+"
)

# Actions whose resource has a `*` in its name, and why AWS leaves no choice.
_OWN_ID = "AWS puts an id of its own before the group's name, which is spelt out up to the pool's"
WIDE_RESOURCES = {
    "autoscaling:CompleteLifecycleAction": _OWN_ID,
    "autoscaling:RecordLifecycleActionHeartbeat": _OWN_ID,
    "autoscaling:SetDesiredCapacity": _OWN_ID,
    "autoscaling:SetInstanceHealth": _OWN_ID,
    "autoscaling:TerminateInstanceInAutoScalingGroup": _OWN_ID,
    "autoscaling:DescribeAutoScalingGroups": "lists; IAM grants it for all groups of an account or for none",
    "autoscaling:DescribeScalingActivities": "lists; IAM grants it for all groups of an account or for none",
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
def test_policies_of_aws_are_the_ones_that_nobody_can_narrow(variant: str):
    attached = recorded(variant).of_type("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
    assert {attachment.inputs["policyArn"] for attachment in attached} <= MANAGED_POLICIES
    assert not [r.name for r in recorded(variant).of_type("aws:iam/role:Role") if "managedPolicyArns" in r.inputs]


def test_workers_of_a_pool_that_was_taken_out_may_still_drain_and_leave():
    """Pulumi narrows policies first and deletes groups at the end, when their last worker has gone."""
    [policy] = [p for p in recorded("prod").of_type("aws:iam/rolePolicy:RolePolicy") if p.name.startswith("worker-")]
    groups = {arn.partition(":autoScalingGroupName/")[2] for s in statements(policy) for arn in as_list(s["Resource"])}
    assert groups - {""} == {"airflow-prod-pool-*"}, "no pool's name, which would go with it"
