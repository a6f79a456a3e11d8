from __future__ import annotations

import json

from components.trust import assumed_by


def test_only_the_service_takes_the_role_on():
    [statement] = json.loads(assumed_by("ec2"))["Statement"]
    assert statement == {
        "Effect": "Allow",
        "Principal": {"Service": "ec2.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }


def test_a_condition_narrows_the_trust():
    of_us = {"StringEquals": {"aws:SourceAccount": "111122223333"}}
    [statement] = json.loads(assumed_by("vpc-flow-logs", condition=of_us))["Statement"]
    assert statement["Condition"] == of_us
