"""What holds for every check: it passes, a denied call makes it undecided, and it asks no more than is documented."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import botocore.session
import pytest

from preflight import actions
from preflight.__main__ import CHECKS
from preflight.account import iam_action
from tests.preflight.conftest import Preflight, plan_of
from tests.preflight.recorded_aws import KEY, allowed, image
from tests.stack_file import ROOT
from tests.stack_variants import VARIANTS

Preflights = Callable[..., Preflight]
OWNED_KEY = {"KeyMetadata": {"KeyId": "k", "Arn": KEY, "KeyState": "Enabled", "KeyManager": "CUSTOMER"}}


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_account_without_obstacles_passes_everything(preflight: Preflights, variant: str):
    answers = preflight(variant).answers()
    problems = [(each.title, found.text) for each in answers for found in each.findings if found.verdict != "pass"]
    assert problems == []
    silent = {check.title for check in CHECKS} - {each.title for each in answers}
    conditional = {"hosted zone", "existing network", "zones", "endpoint services"}
    assert silent <= conditional, "every other check has something to look at in each stack"


def test_each_check_finds_something_in_one_of_the_stacks(preflight: Preflights):
    titles = {answer.title for variant in ("prod", "alerts", "existing-vpc") for answer in preflight(variant).answers()}
    assert titles == {check.title for check in CHECKS}


def questions(preflight: Preflights) -> dict[str, list[tuple[str, str]]]:
    """The calls of each check, in the stacks that make it ask most."""
    found: dict[str, list[tuple[str, str]]] = {}
    for variant in ("prod", "alerts", "existing-vpc"):
        for check in CHECKS:
            prepared = preflight(variant)
            prepared.findings(check.title)
            found.setdefault(check.title, []).extend(prepared.aws.asked)
    return found


def test_a_denied_call_makes_only_its_own_checks_undecided_and_names_the_missing_action(preflight: Preflights):
    asked = questions(preflight)
    calls = {call for title in asked for call in asked[title]} - {("sts", "GetCallerIdentity")}
    assert len(calls) > 30
    for service, operation in sorted(calls):
        denied = preflight("alerts", **{f"{service}__{operation}": "AccessDenied"})
        for answer in denied.answers():
            if (service, operation) in asked[answer.title]:
                if (service, operation) not in denied.aws.asked:
                    continue
                verdicts = {found.verdict for found in answer.findings}
                texts = " ".join(found.text for found in answer.findings)
                assert "cannot tell" in verdicts, f"{answer.title} without {operation}"
                assert iam_action(service, operation) in texts
            else:
                assert {found.verdict for found in answer.findings} == {"pass"}, f"{answer.title} is not concerned"


def test_the_documented_policy_allows_exactly_what_the_checks_ask(preflight: Preflights):
    page = (ROOT / "docs" / "preflight.md").read_text(encoding="utf-8")
    policy = json.loads(page.partition("```json\n")[2].partition("```")[0])
    documented = {action for statement in policy["Statement"] for action in statement["Action"]}
    asked = {call for calls in questions(preflight).values() for call in calls}
    for changes in (
        {"ec2__GetEbsDefaultKmsKeyId": {"KmsKeyId": KEY}, "kms__DescribeKey": OWNED_KEY},
        {"service_quotas__GetServiceQuota": "NoSuchResourceException"},
        everything_exists(),
    ):
        prepared = preflight("alerts", **changes)
        prepared.answers()
        asked |= set(prepared.aws.asked)
    # Everybody may ask who they are.
    needed = {iam_action(*call) for call in asked} - {"sts:GetCallerIdentity"}
    assert documented == needed


def everything_exists() -> dict:
    """Answers of an account that has something of each planned name, without tags."""
    needs = plan_of("prod")

    def name(type_: str, key: str) -> str:
        return next(str(each.inputs[key]) for each in needs.of_type(type_) if key in each.inputs)

    arn = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/app/x/1"
    log_group = name("aws:cloudwatch/logGroup:LogGroup", "name")
    return {
        "s3__ListBuckets": {"Buckets": [{"Name": name("aws:s3/bucket:Bucket", "bucket")}]},
        "elbv2__DescribeLoadBalancers": {
            "LoadBalancers": [
                {
                    "LoadBalancerName": name("aws:lb/loadBalancer:LoadBalancer", "name"),
                    "LoadBalancerArn": arn,
                    "Type": "application",
                }
            ]
        },
        "elasticache__DescribeReplicationGroups": {
            "ReplicationGroups": [{"ReplicationGroupId": "airflow-prod-broker", "ARN": "arn:aws:elasticache:x"}]
        },
        "kms__DescribeKey": OWNED_KEY,
        "sns__ListTopics": {"Topics": [{"TopicArn": "arn:aws:sns:x:airflow-prod-alerts-critical"}]},
        "logs__DescribeLogGroups": {"logGroups": [{"logGroupName": log_group, "arn": f"arn:aws:logs:x:{log_group}:*"}]},
    }


def test_the_table_of_actions_has_every_type_that_the_program_registers():
    planned = {
        each.type for variant in VARIANTS for each in plan_of(variant).recording.resources if each.options.custom
    }
    missing = {type_ for type_ in planned if type_.startswith("aws:")} - actions.types()
    assert not missing, "add the type to preflight/actions.py"
    assert not actions.types() - planned, "the program no longer registers these"


# Actions that are not an operation of the same name.
OF_S3 = {
    *("s3:ListBucket", "s3:GetLifecycleConfiguration", "s3:PutLifecycleConfiguration", "s3:GetEncryptionConfiguration"),
    *("s3:PutEncryptionConfiguration", "s3:GetAccelerateConfiguration", "s3:GetReplicationConfiguration"),
    *(
        "s3:GetBucketCORS",
        "s3:GetBucketObjectLockConfiguration",
        "s3:PutBucketPublicAccessBlock",
        "s3:GetBucketPublicAccessBlock",
    ),
}
WITHOUT_OPERATION = {
    *("iam:PassRole", "logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:ListLogDeliveries"),
}


def test_each_action_in_the_table_is_one_of_the_service():
    session = botocore.session.get_session()
    services = {"elasticloadbalancing": "elbv2"}
    unknown = [
        action
        for type_ in sorted(actions.types())
        for action in actions.needed(type_)
        if action not in OF_S3 | WITHOUT_OPERATION
        and action.partition(":")[2]
        not in session.get_service_model(
            services.get(action.partition(":")[0], action.partition(":")[0])
        ).operation_names
    ]
    assert unknown == []


def test_no_check_changes_anything():
    calls = re.findall(r'account\.call\(\s*"([\w-]+)",\s*"(\w+)"', all_sources())
    assert len(calls) > 30
    reading = ("describe_", "get_", "list_", "head_", "simulate_")
    assert [call for call in calls if not call[1].startswith(reading)] == []


def all_sources() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(Path(ROOT, "preflight").glob("*.py")))


def test_no_secret_is_in_the_output(preflight: Preflights, capsys: pytest.CaptureFixture[str]):
    prepared = preflight("prod", iam__SimulatePrincipalPolicy=allowed, ec2__DescribeImages=image(State="failed"))
    texts = " ".join(found.text for answer in prepared.answers() for found in answer.findings)
    texts += capsys.readouterr().err
    assert not [secret for secret in prepared.needs.recording.secret_texts if len(secret) > 8 and secret in texts]
