from __future__ import annotations

import json
from pathlib import Path

import cfnlint
import pytest

from tests.aws_catalog.iam_actions import RESOURCE_TYPES, supports

# The service authorization reference in cfn-lint, on which moto depends.
REFERENCE = json.loads((Path(cfnlint.__file__).parent / "data/AdditionalSpecs/Policies.json").read_text())


@pytest.mark.parametrize("action", RESOURCE_TYPES)
def test_actions_support_the_resource_types_in_awss_reference(action: str):
    service, _, operation = action.partition(":")
    named = REFERENCE[service]["Actions"][operation.lower()].get("Resources", [])
    # Access points of S3 are an alternative to their bucket; the program has none.
    kinds = {kind.lower() for kind in named if not kind.startswith("accesspoint")}
    assert kinds == {kind.lower() for kind in RESOURCE_TYPES[action]}


GROUP = "arn:aws:autoscaling:eu-west-1:111122223333:autoScalingGroup:*:autoScalingGroupName/a"


@pytest.mark.parametrize(
    ("action", "resource", "supported"),
    [
        ("autoscaling:SetDesiredCapacity", GROUP, True),
        ("autoscaling:SetDesiredCapacity", "*", False),
        ("autoscaling:DescribeAutoScalingGroups", GROUP, False),
        ("autoscaling:DescribeAutoScalingGroups", "*", True),
        ("s3:GetObject", "arn:aws:s3:::dags/*", True),
        ("s3:GetObject", "arn:aws:s3:::dags", False),
        ("s3:ListBucket", "arn:aws:s3:::dags", True),
        ("s3:ListBucket", "arn:aws:s3:::dags/*", False),
        ("logs:PutLogEvents", "arn:aws:logs:eu-west-1:111122223333:log-group:/a/flows:*", True),
        ("logs:PutLogEvents", "arn:aws:logs:eu-west-1:111122223333:log-group:/a/flows", False),
        ("logs:DescribeLogGroups", "arn:aws:logs:eu-west-1:111122223333:log-group:*", False),
        ("logs:DescribeLogGroups", "*", True),
    ],
)
def test_an_action_is_allowed_only_on_the_resource_types_it_supports(action: str, resource: str, supported: bool):
    assert supports(action, resource) is supported
