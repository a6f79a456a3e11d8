"""What AWS may answer about permissions, roles and their quotas, and what the checks find in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.preflight.faults.fault import Fault
from tests.preflight.recorded_aws import evaluated, role


def simulation(**others: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], Any]:
    """A caller who may do everything but these."""
    decided = {name.replace("__", ":"): each for name, each in others.items()}
    return lambda given: evaluated(given, decided)


def without_role(name: str) -> Callable[[Mapping[str, Any]], Any]:
    """An account that lacks one of the service-linked roles."""
    return lambda given: "NoSuchEntity" if given["RoleName"] == name else role(given["RoleName"])


FAULTS = [
    Fault(
        "permissions of the caller",
        "prod",
        {"iam__SimulatePrincipalPolicy": simulation(rds__CreateDBInstance={"EvalDecision": "implicitDeny"})},
        "will fail",
        ["may not rds:CreateDBInstance"],
    ),
    Fault(
        "permissions of the caller",
        "prod",
        {
            "iam__SimulatePrincipalPolicy": simulation(
                ec2__CreateVpc={"EvalDecision": "implicitDeny", "MissingContextValues": ["aws:MultiFactorAuthPresent"]}
            )
        },
        "cannot tell",
        ["ec2:CreateVpc", "aws:MultiFactorAuthPresent"],
    ),
    Fault(
        "service-linked roles",
        "prod",
        {
            "iam__GetRole": without_role("AWSServiceRoleForRDS"),
            "iam__SimulatePrincipalPolicy": simulation(iam__CreateServiceLinkedRole={"EvalDecision": "explicitDeny"}),
        },
        "will fail",
        ["AWSServiceRoleForRDS does not exist", "create-service-linked-role --aws-service-name rds.amazonaws.com"],
    ),
    Fault(
        "service-linked roles",
        "spot",
        {"iam__GetRole": without_role("AWSServiceRoleForEC2Spot")},
        "pass",
        ["EC2Spot is created"],
    ),
    Fault(
        "quotas: IAM",
        "prod",
        {
            "iam__GetAccountSummary": {
                "SummaryMap": {"Roles": 999, "RolesQuota": 1_000, "InstanceProfiles": 1, "InstanceProfilesQuota": 1_000}
            }
        },
        "will fail",
        ["roles: 999 used by others"],
    ),
]
