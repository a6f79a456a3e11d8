"""What a changed policy allows and the old one did not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from plan.permissions import admitted, widened

READ = {"Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::dags/*"]}
GROUPS = "arn:aws:autoscaling:eu-west-1:111122223333:autoScalingGroup:*:autoScalingGroupName"
TLS_ONLY = {
    "Effect": "Deny",
    "Action": "s3:*",
    "Principal": "*",
    "Resource": ["arn:aws:s3:::dags", "arn:aws:s3:::dags/*"],
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}


def modern_tls_only(version: str) -> dict[str, Any]:
    return {**TLS_ONLY, "Condition": {"NumericLessThan": {"s3:TlsVersion": version}}}


def of_accounts(*accounts: str) -> dict[str, Any]:
    return {**READ, "Condition": {"StringEquals": {"aws:ResourceAccount": [*accounts]}}}


def trust(*services: str, **condition: Any) -> dict[str, Any]:
    principal = {"Service": [*services]}
    return {"Action": "sts:AssumeRole", "Principal": principal, **({"Condition": condition} if condition else {})}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Statement": [{"Effect": "Allow", **statement} for statement in statements]})


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ({"Action": "s3:*", "Resource": "arn:aws:s3:::dags/*"}, ["may s3:*"]),
        ({"Action": "s3:GetObject", "Resource": "*"}, ["may s3:GetObject on *"]),
        (
            {"Action": "s3:GetObject", "Resource": ["arn:aws:s3:::dags/*", "arn:aws:s3:::logs/*"]},
            ["may s3:GetObject on arn:aws:s3:::logs/*"],
        ),
        ({"NotAction": "iam:*", "Resource": "*"}, ["may do everything but iam:*"]),
        (
            {"Action": "s3:GetObject", "NotResource": "arn:aws:s3:::logs/*"},
            ["may s3:GetObject on everything but arn:aws:s3:::logs/*"],
        ),
        ({"Action": "s3:GetObject", "Resource": "arn:aws:s3:::other/*"}, ["may s3:GetObject on arn:aws:s3:::other/*"]),
        ({"Action": "s3:GetObject", "Resource": "arn:aws:s3:::dags/team/*"}, []),
        ({"Action": ["S3:getobject"], "Resource": ["arn:aws:s3:::dags/*"]}, []),
    ],
)
def test_wider_permissions_are_reported(statement: dict[str, Any], expected: list[str]):
    assert widened(policy(READ), policy(statement)) == expected


@pytest.mark.parametrize(
    ("old", "new"),
    [("arn:aws:s3:::b/environments/*", "arn:aws:s3:::b/*"), (f"{GROUPS}/c-pool-x", f"{GROUPS}/*")],
)
def test_a_wider_wildcard_in_place_of_a_resource_is_reported(old: str, new: str):
    before, after = (policy({"Action": "a:Act", "Resource": each}) for each in (old, new))
    assert widened(before, after) == [f"may a:Act on {new}"]
    assert widened(after, before) == []


def test_an_action_on_the_resource_of_another_statement_is_reported():
    write = {"Action": "s3:PutObject", "Resource": "arn:aws:s3:::logs/*"}
    both = {"Action": ["s3:GetObject", "s3:PutObject"], "Resource": ["arn:aws:s3:::dags/*", "arn:aws:s3:::logs/*"]}
    assert widened(policy(READ, write), policy(both)) == [
        "may s3:GetObject on arn:aws:s3:::logs/*",
        "may s3:PutObject on arn:aws:s3:::dags/*",
    ]


def test_the_same_permissions_in_other_statements_are_not_reported():
    one = {"Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::dags/*"}
    two = [{**one, "Action": action} for action in one["Action"]]
    assert widened(policy(one), policy(*two)) == widened(policy(*two), policy(one)) == []


class TestConditions:
    def test_a_dropped_one_is_reported(self):
        assert widened(policy(of_accounts("1")), policy(READ)) == [
            "may s3:GetObject without a condition on aws:ResourceAccount"
        ]

    def test_another_value_in_it_is_reported(self):
        assert widened(policy(of_accounts("1")), policy(of_accounts("1", "2"))) == [
            "may s3:GetObject under a wider condition on aws:ResourceAccount"
        ]
        assert widened(policy(of_accounts("1", "2")), policy(of_accounts("1"))) == []

    def test_another_excluded_value_is_not_reported(self):
        before, after = (
            policy({**READ, "Condition": {"StringNotEquals": {"aws:username": names}}}) for names in (["a"], ["a", "b"])
        )
        assert widened(before, after) == []
        assert widened(after, before) == ["may s3:GetObject under a wider condition on aws:username"]

    def test_a_service_that_may_act_for_anybody_is_reported(self):
        source = {"StringEquals": {"aws:SourceAccount": "1"}, "ArnLike": {"aws:SourceArn": "arn:aws:rds:*:1:*"}}
        before = policy(trust("monitoring.rds.amazonaws.com", **source))
        after = policy(trust("monitoring.rds.amazonaws.com", ArnLike={"aws:SourceArn": "*"}))
        assert widened(before, after) == [
            "may sts:AssumeRole without a condition on aws:SourceAccount and under a wider condition on aws:SourceArn"
        ]
        assert widened(after, before) == []


class TestDenials:
    def test_a_dropped_one_is_reported(self):
        denied = {"Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*"}
        assert widened(policy(READ, denied), policy(READ)) == ["no longer denies s3:DeleteObject"]
        assert widened(policy(READ), policy(READ, denied)) == []

    def test_dropping_one_of_two_for_the_same_action_is_reported(self):
        before, after = policy(TLS_ONLY, modern_tls_only("1.2")), policy(modern_tls_only("1.2"))
        assert widened(before, after) == ["no longer denies s3:* (Bool aws:SecureTransport false)"]

    def test_a_weaker_condition_is_reported(self):
        before, after = policy(modern_tls_only("1.2")), policy(modern_tls_only("1.0"))
        assert widened(before, after) == ["no longer denies s3:* (NumericLessThan s3:TlsVersion 1.2)"]
        assert widened(after, before) == []

    def test_a_removed_resource_is_reported(self):
        after = policy({**TLS_ONLY, "Resource": "arn:aws:s3:::dags"})
        assert widened(policy(TLS_ONLY), after) == [
            "no longer denies s3:* (Bool aws:SecureTransport false) on arn:aws:s3:::dags/*"
        ]


class TestPrincipals:
    def test_a_new_one_is_reported(self):
        assert widened(policy(trust("ec2")), policy(trust("ec2"), trust("rds"))) == ["admits Service rds"]

    def test_everybody_is_reported(self):
        everybody = {"Action": "sts:AssumeRole", "Principal": "*"}
        account = {"Action": "sts:AssumeRole", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}}
        assert widened(policy(account), policy(everybody)) == ["admits AWS *"]
        assert widened(policy(everybody), policy(account)) == []

    def test_a_new_role_reports_only_principals_that_are_not_services(self):
        account = {"Action": "sts:AssumeRole", "Principal": {"AWS": "444455556666", "Service": "ec2.amazonaws.com"}}
        assert admitted(policy(account)) == ["admits AWS 444455556666"]
        assert admitted("{}") == []


@pytest.mark.parametrize("document", ["", "None", "{}", "[]", '{"Statement": "x"}', '{"Statement": [1]}'])
def test_a_document_that_is_not_a_policy_allows_nothing(document: str):
    assert widened(document, document) == []
