"""How the lab's AWS evaluates policies."""

from __future__ import annotations

import pytest

from lab.aws.policy import Document, Request, UnsupportedPolicyError, is_allowed

ROLE_SESSION = "arn:aws:sts::111122223333:assumed-role/airflow-worker/i-1"
DAGS = "arn:aws:s3:::dags"


def policy(**statement: object) -> Document:
    return {"Statement": [{"Effect": "Allow", **statement}]}


def request(action: str = "s3:GetObject", resource: str = f"{DAGS}/a.py", **context: str) -> Request:
    return Request(action=action, resource=resource, principal=ROLE_SESSION, context=context)


READ_DAGS = policy(Action=["s3:GetObject"], Resource=f"{DAGS}/*")


def test_nothing_is_allowed_without_a_statement_for_it():
    assert not is_allowed(request(), [])
    assert not is_allowed(request("s3:PutObject"), [READ_DAGS])
    assert not is_allowed(request(resource="arn:aws:s3:::logs/a.py"), [READ_DAGS])


def test_action_and_resource_may_use_wildcards():
    assert is_allowed(request(), [READ_DAGS])
    assert is_allowed(request(), [policy(Action="s3:Get*", Resource="arn:aws:s3:::dag?/*")])


def test_actions_are_case_insensitive_and_resources_are_not():
    assert is_allowed(request("S3:getobject"), [READ_DAGS])
    assert not is_allowed(request(resource=f"{DAGS}/A.py".upper()), [READ_DAGS])


def test_a_name_is_matched_as_a_whole():
    assert not is_allowed(request("s3:GetObjectAcl"), [READ_DAGS])


def test_characters_of_regular_expressions_are_literal():
    assert not is_allowed(request(resource="arn:aws:s3:::dagsXa"), [policy(Action="*", Resource="arn:aws:s3:::dags.a")])


def test_a_denial_wins_over_every_permission():
    denial = policy(Effect="Deny", Action="s3:*", Resource="*")
    assert not is_allowed(request(), [READ_DAGS, denial])
    assert not is_allowed(request(), [denial, READ_DAGS])


def test_an_unmet_condition_withdraws_a_permission_but_denies_nothing():
    conditional = policy(Action="s3:GetObject", Resource="*", Condition={"Bool": {"aws:SecureTransport": "true"}})
    assert not is_allowed(request(**{"aws:SecureTransport": "false"}), [conditional])
    assert is_allowed(request(**{"aws:SecureTransport": "false"}), [conditional, READ_DAGS])


TLS_ONLY = policy(
    Effect="Deny", Principal="*", Action="s3:*", Resource="*", Condition={"Bool": {"aws:SecureTransport": "false"}}
)
MODERN_TLS_ONLY = policy(
    Effect="Deny", Principal="*", Action="s3:*", Resource="*", Condition={"NumericLessThan": {"s3:TlsVersion": "1.2"}}
)


def test_a_tls_only_bucket_refuses_only_plain_requests():
    assert not is_allowed(request(**{"aws:SecureTransport": "false"}), [READ_DAGS], [TLS_ONLY])
    assert is_allowed(request(**{"aws:SecureTransport": "true"}), [READ_DAGS], [TLS_ONLY])


def test_a_request_without_the_key_of_a_condition_does_not_meet_it():
    assert is_allowed(request(), [READ_DAGS], [MODERN_TLS_ONLY])
    assert not is_allowed(request(**{"s3:TlsVersion": "1.1"}), [READ_DAGS], [MODERN_TLS_ONLY])
    assert is_allowed(request(**{"s3:TlsVersion": "1.3"}), [READ_DAGS], [MODERN_TLS_ONLY])


def test_a_negated_condition_is_met_by_a_request_without_the_key():
    unless = policy(Action="*", Resource="*", Condition={"StringNotEquals": {"aws:PrincipalTag/team": "other"}})
    assert is_allowed(request(), [unless])


def test_an_if_exists_condition_is_met_without_the_key():
    lenient = policy(Action="*", Resource="*", Condition={"StringEqualsIfExists": {"aws:RequestedRegion": "eu-west-1"}})
    assert is_allowed(request(), [lenient])
    assert not is_allowed(request(**{"aws:RequestedRegion": "us-east-1"}), [lenient])


def test_keys_of_conditions_are_case_insensitive():
    listing = policy(Action="s3:ListBucket", Resource=DAGS, Condition={"StringLike": {"S3:Prefix": "team/*"}})
    assert is_allowed(request("s3:ListBucket", DAGS, **{"s3:prefix": "team/a"}), [listing])
    assert not is_allowed(request("s3:ListBucket", DAGS, **{"s3:prefix": "other/"}), [listing])


@pytest.mark.parametrize(
    "principal",
    ["*", {"AWS": "arn:aws:iam::111122223333:role/airflow-worker"}, {"AWS": ["111122223333"]}],
)
def test_a_bucket_policy_may_name_the_caller_by_role_account_or_star(principal: object):
    assert is_allowed(request(), [], [policy(Principal=principal, Action="s3:GetObject", Resource="*")])


def test_a_bucket_policy_for_another_caller_allows_nothing():
    service = {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"}
    assert not is_allowed(request(), [], [policy(Principal=service, Action="s3:GetObject", Resource="*")])


def test_a_resource_of_another_account_needs_the_permission_of_both():
    elsewhere = request(**{"aws:ResourceAccount": "444455556666"})
    open_to_all = policy(Principal="*", Action="s3:GetObject", Resource="*")
    assert not is_allowed(elsewhere, [READ_DAGS])
    assert not is_allowed(elsewhere, [], [open_to_all])
    assert is_allowed(elsewhere, [READ_DAGS], [open_to_all])


def test_a_permission_for_our_account_does_not_apply_to_resources_of_another():
    ours = policy(
        Action="s3:GetObject",
        Resource=f"{DAGS}/*",
        Condition={"StringEquals": {"aws:ResourceAccount": "111122223333"}},
    )
    open_to_all = policy(Principal="*", Action="s3:GetObject", Resource="*")
    assert is_allowed(request(**{"aws:ResourceAccount": "111122223333"}), [ours])
    assert not is_allowed(request(**{"aws:ResourceAccount": "444455556666"}), [ours], [open_to_all])


OF_OUR_FLOW_LOGS = policy(
    Principal={"Service": "vpc-flow-logs.amazonaws.com"},
    Action="sts:AssumeRole",
    Condition={"ArnLike": {"aws:SourceArn": "arn:aws:ec2:eu-west-1:111122223333:vpc-flow-log/*"}},
)


@pytest.mark.parametrize(
    ("service", "account", "taken_on"),
    [
        ("vpc-flow-logs.amazonaws.com", "111122223333", True),
        ("vpc-flow-logs.amazonaws.com", "444455556666", False),
        ("monitoring.rds.amazonaws.com", "111122223333", False),
    ],
)
def test_only_the_trusted_service_can_assume_a_role_under_its_conditions(service: str, account: str, taken_on: bool):
    """A role's trust is a policy of the role itself, and names no resource."""
    source = {"aws:SourceArn": f"arn:aws:ec2:eu-west-1:{account}:vpc-flow-log/fl-1"}
    role = "arn:aws:iam::111122223333:role/flow-logs"
    request = Request(action="sts:AssumeRole", resource=role, principal=service, context=source)
    assert is_allowed(request, [], [OF_OUR_FLOW_LOGS]) is taken_on


@pytest.mark.parametrize(
    "statement",
    [
        {"Action": "*", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}},
        {"Action": "*", "Resource": "arn:aws:s3:::${aws:username}"},
        {"Action": "*", "Resource": "*", "Frobnicate": "yes"},
    ],
)
def test_an_unsupported_element_of_a_policy_is_an_error(statement: dict[str, object]):
    with pytest.raises(UnsupportedPolicyError):
        is_allowed(request(**{"aws:SourceIp": "10.1.1.1"}), [policy(**statement)])
