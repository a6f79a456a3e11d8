from __future__ import annotations

import json

from components.iam_documents import on_behalf_of, trust_policy


def test_only_the_service_can_assume_the_role():
    [statement] = json.loads(trust_policy("ec2"))["Statement"]
    assert statement == {
        "Effect": "Allow",
        "Principal": {"Service": "ec2.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }


def test_a_condition_restricts_who_can_assume_the_role():
    of_us = on_behalf_of("111122223333", "arn:aws:ec2:eu-west-1:111122223333:vpc-flow-log/*")
    [statement] = json.loads(trust_policy("vpc-flow-logs", condition=of_us))["Statement"]
    assert statement["Condition"] == of_us
